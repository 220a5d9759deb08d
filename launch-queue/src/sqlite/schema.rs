//! Tables and indexes, and how a file gets them.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::failure::Failure;
use super::file;

/// The steps from an empty file to today's schema. The file's `user_version` counts the
/// steps it has made. A step that was released is never edited; a change is a new step.
const MIGRATIONS: [&str; VERSION as usize] = [
    include_str!("schema/v1.sql"),
    include_str!("schema/v2.sql"),
    include_str!("schema/v3.sql"),
];

/// The schema version this code writes.
pub(super) const VERSION: u32 = 3;

/// Says that a file is ours: "LNCQ", in SQLite's header field for that.
const APPLICATION_ID: i32 = 0x4c4e_4351;

/// The log shrinks back to this many bytes after a burst of large specs.
const LOG_SIZE_LIMIT: i64 = 16 << 20;

/// How long to wait before asking a busy file again, where SQLite does not do so itself.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Opens the file at `path`, makes it if there is none, and brings its schema up to date.
pub(super) fn open(path: &Path, busy_timeout: Duration) -> Result<Connection, Failure> {
    // Absolute, since SQLite knows names that are no files, such as `:memory:`.
    let path = std::path::absolute(path)?;
    file::ensure(&path)?;
    let started = Instant::now();
    loop {
        match connect(&path, busy_timeout) {
            // Turning on the log, or recovering it after a crash, fails at once when
            // another process does it at the same moment: the busy timeout is not heeded.
            Err(failure) if failure.is_busy() && started.elapsed() < busy_timeout => {
                thread::sleep(BUSY_PAUSE);
            }
            other => return other,
        }
    }
}

fn connect(path: &Path, busy_timeout: Duration) -> Result<Connection, Failure> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    // First of all, and before anything is written: is this file ours, and known?
    // In one transaction, lest another process fill an empty file between two questions.
    let reading = connection.transaction()?;
    check_owner(&reading)?;
    reading.finish()?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Failure::NoWal(mode));
    }
    connection.pragma_update(None, "synchronous", "full")?;
    // On macOS an ordinary fsync leaves data in the drive's cache.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "journal_size_limit", LOG_SIZE_LIMIT)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

fn check_owner(connection: &Connection) -> Result<(), Failure> {
    let owner: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: u32 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if owner != APPLICATION_ID && !(owner == 0 && tables == 0) {
        return Err(Failure::Foreign);
    }
    match version(connection)? {
        newer if newer > VERSION => Err(Failure::Newer(newer)),
        _ => Ok(()),
    }
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Failure> {
    if version(connection)? == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Again, now that nobody else can write: another process may have been faster.
    check_owner(&transaction)?;
    let found = version(&transaction)?;
    for step in MIGRATIONS
        .iter()
        .skip(usize::try_from(found).unwrap_or(usize::MAX))
    {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    tracing::debug!(path = %path.display(), from = found, to = VERSION, "migrated the queue");
    Ok(())
}

fn version(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pragma(connection: &Connection, name: &str) -> String {
        let text = |row: &rusqlite::Row<'_>| {
            row.get::<_, rusqlite::types::Value>(0)
                .map(|value| format!("{value:?}"))
        };
        connection.pragma_query_value(None, name, text).unwrap()
    }

    #[test]
    fn a_connection_is_durable() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("q.db");
        for _ in 0..2 {
            let connection = open(&path, Duration::from_secs(5)).unwrap();
            assert_eq!(pragma(&connection, "journal_mode"), r#"Text("wal")"#);
            assert_eq!(pragma(&connection, "synchronous"), "Integer(2)", "FULL");
            assert_eq!(pragma(&connection, "busy_timeout"), "Integer(5000)");
            assert_eq!(
                pragma(&connection, "user_version"),
                format!("Integer({VERSION})")
            );
        }
    }

    #[test]
    fn a_job_is_ready_or_due_or_ended() {
        let home = tempfile::tempdir().unwrap();
        let connection = open(&home.path().join("q.db"), Duration::from_secs(5)).unwrap();
        let insert = |state: &str, ready: i32, due_at: Option<i64>| {
            let sql = "INSERT INTO jobs (id, queue, priority, state, ready, due_at, enqueued_at)
                VALUES (hex(randomblob(8)), 'q', 2, ?1, ?2, ?3, 0)";
            connection.execute(sql, (state, ready, due_at))
        };
        for (state, ready, due_at) in [
            ("waiting", 1, None),
            ("waiting", 0, Some(5)),
            ("leased", 0, Some(5)),
            ("ended", 0, None),
        ] {
            insert(state, ready, due_at).unwrap();
        }
        for (state, ready, due_at) in [
            ("waiting", 0, None),
            ("leased", 1, Some(5)),
            ("ended", 1, None),
            ("odd", 1, None),
        ] {
            assert!(
                insert(state, ready, due_at).is_err(),
                "{state} {ready} {due_at:?}"
            );
        }
    }
}
