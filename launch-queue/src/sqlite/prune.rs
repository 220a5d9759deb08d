//! Forgetting old jobs.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::failure::Failure;
use super::record::signed;
use crate::clock::deadline_ms;

/// The oldest first, by the index of what has ended.
const OLD: &str = "SELECT seq FROM jobs WHERE state = 'ended' AND ended_at <= ?1
    ORDER BY ended_at LIMIT ?2";

/// The end of the oldest job that is kept, if there are so many newer ones.
const LAST_KEPT: &str = "SELECT ended_at FROM jobs WHERE state = 'ended'
    ORDER BY ended_at DESC LIMIT 1 OFFSET ?1";

const FORGET: [&str; 3] = [
    "DELETE FROM reports WHERE job = ?1",
    "DELETE FROM specs WHERE job = ?1",
    "DELETE FROM jobs WHERE seq = ?1",
];

/// Forgets up to `limit` jobs that ended at least `age` ago; answers how many. The file does
/// not shrink: what they took is used again.
pub(super) fn prune(
    tx: &Transaction<'_>,
    age: Duration,
    limit: usize,
    now_ms: u64,
) -> Result<u64, Failure> {
    let before = now_ms.saturating_sub(deadline_ms(0, age));
    forget(tx, signed(before), limit)
}

/// Forgets up to `limit` of the jobs that ended before so many newer ones, and one more.
pub(super) fn surplus(tx: &Transaction<'_>, newer: i64, limit: usize) -> Result<u64, Failure> {
    let mut statement = tx.prepare_cached(LAST_KEPT)?;
    let last: Option<i64> = statement.query_row([newer], |row| row.get(0)).optional()?;
    last.map_or(Ok(0), |last| forget(tx, last - 1, limit))
}

fn forget(tx: &Transaction<'_>, until_ms: i64, limit: usize) -> Result<u64, Failure> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let old: Vec<i64> = tx
        .prepare_cached(OLD)?
        .query_map(params![until_ms, limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for seq in &old {
        for sql in FORGET {
            tx.prepare_cached(sql)?.execute([seq])?;
        }
    }
    Ok(old.len() as u64)
}
