//! One SQLite connection on a thread of its own.

use std::thread;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::failure::Failure;

/// How many calls may wait for the thread before callers wait to hand theirs over.
const WAITING_CALLS: usize = 64;

/// How many writes share a transaction at most: none waits long for those after it.
const SHARED: usize = 64;

/// Tells a caller what became of a write, once its transaction is through.
type Tell = Box<dyn FnOnce(Result<(), &rusqlite::Error>)>;

/// Work on the connection.
enum Call {
    Read(Box<dyn FnOnce(&mut Connection) + Send>),
    Write(Write),
}

/// A write, given the transaction it is part of, or why there is none.
type Write = Box<dyn FnOnce(Result<&Transaction<'_>, rusqlite::Error>) -> Tell + Send>;

/// A connection that is used by one thread, in the order of calls.
///
/// The thread ends, and closes the connection, when this value is dropped and the calls
/// that were handed over are done.
pub(super) struct ConnectionThread {
    calls: mpsc::Sender<Call>,
    closed: oneshot::Receiver<()>,
}

impl ConnectionThread {
    /// Starts the thread, and opens its connection there.
    pub(super) async fn start(
        open: impl FnOnce() -> Result<Connection, Failure> + Send + 'static,
    ) -> Result<Self, Failure> {
        let (calls, waiting) = mpsc::channel::<Call>(WAITING_CALLS);
        let (answer, opened) = oneshot::channel();
        let (closing, closed) = oneshot::channel();
        let thread = thread::Builder::new().name("launch-queue".to_owned());
        thread.spawn(move || {
            let connection = match open() {
                Ok(connection) => connection,
                // If nobody hears it, there is nobody to tell.
                Err(failure) => return drop(answer.send(Err(failure))),
            };
            if answer.send(Ok(())).is_ok() {
                serve(connection, waiting);
            }
            drop(closing);
        })?;
        opened.await.map_err(|_| Failure::Stopped)??;
        Ok(Self { calls, closed })
    }

    /// Runs `work` on the thread.
    ///
    /// If the future is dropped before the work began, it never begins; after that, it
    /// completes unheard.
    pub(super) async fn call<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, done) = oneshot::channel();
        let call = Call::Read(Box::new(move |connection| {
            if !answer.is_closed() {
                drop(answer.send(work(connection)));
            }
        }));
        self.calls.send(call).await.map_err(|_| Failure::Stopped)?;
        done.await.map_err(|_| Failure::Stopped)?
    }

    /// Runs `work` on the thread, in a transaction that is kept if `work` succeeds; as
    /// [`call`](Self::call) else. Writes that wait for each other share one transaction, and
    /// so one wait for the disk: each is undone alone if it fails, and none is answered
    /// before all are on the disk.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, done) = oneshot::channel();
        let call: Write = Box::new(move |transaction| -> Tell {
            if answer.is_closed() {
                return Box::new(|_| {});
            }
            let result = match transaction {
                Ok(transaction) => alone(transaction, work),
                Err(error) => Err(error.into()),
            };
            Box::new(move |kept| {
                let kept = kept.map_err(unkept);
                // Why a write failed says more than that its transaction did, too.
                drop(answer.send(result.and_then(|value| kept.map(|()| value))));
            })
        });
        self.calls
            .send(Call::Write(call))
            .await
            .map_err(|_| Failure::Stopped)?;
        done.await.map_err(|_| Failure::Stopped)?
    }

    /// Waits until the calls that were handed over are done and the connection is closed.
    pub(super) async fn close(self) {
        drop(self.calls);
        // Nothing is ever sent: the end of the thread is the message.
        drop(self.closed.await);
    }
}

fn serve(mut connection: Connection, mut waiting: mpsc::Receiver<Call>) {
    while let Some(call) = waiting.blocking_recv() {
        let mut next = Some(call);
        while let Some(call) = next.take() {
            match call {
                Call::Read(call) => call(&mut connection),
                Call::Write(call) => next = share(&mut connection, call, &mut waiting),
            }
        }
    }
}

/// Runs a write and those that wait behind it in one transaction; answers the call that is
/// none of them.
///
/// The write lock is taken first, so that no write reads what another process changes before
/// it writes.
fn share(
    connection: &mut Connection,
    first: Write,
    waiting: &mut mpsc::Receiver<Call>,
) -> Option<Call> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = match begun {
        Ok(transaction) => transaction,
        Err(error) => {
            first(Err(error))(Ok(()));
            return None;
        }
    };
    let (mut told, mut next) = (vec![first(Ok(&transaction))], None);
    // Some failures undo all of it: then those before are told so, and none follows.
    while told.len() < SHARED && !transaction.is_autocommit() {
        match waiting.try_recv() {
            Ok(Call::Write(call)) => told.push(call(Ok(&transaction))),
            Ok(read) => {
                next = Some(read);
                break;
            }
            Err(_) => break,
        }
    }
    let kept = transaction.commit();
    for tell in told {
        tell(kept.as_ref().copied());
    }
    next
}

/// The failure of a transaction, for each of the writes that shared it.
fn unkept(error: &rusqlite::Error) -> Failure {
    let text = Some(error.to_string());
    match error.sqlite_error() {
        Some(code) => rusqlite::Error::SqliteFailure(*code, text).into(),
        None => Failure::Unkept(error.to_string()),
    }
}

/// Runs a write so that it can be undone without those it shares its transaction with.
fn alone<T>(
    transaction: &Transaction<'_>,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    transaction.execute_batch("SAVEPOINT one")?;
    let result = work(transaction);
    let end = match result {
        Ok(_) => "RELEASE one",
        Err(_) => "ROLLBACK TO one; RELEASE one",
    };
    transaction.execute_batch(end)?;
    result
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc as blocking;

    use super::*;

    async fn start() -> ConnectionThread {
        let opened = ConnectionThread::start(|| Ok(Connection::open_in_memory()?)).await;
        opened.unwrap_or_else(|failure| panic!("{failure}"))
    }

    #[tokio::test]
    async fn a_call_that_was_dropped_before_it_began_never_begins() {
        let thread = start().await;
        let (release, released) = blocking::channel::<()>();
        let (note, notes) = blocking::channel();
        let saying = |word: &'static str| {
            let note = note.clone();
            move |_: &mut Connection| note.send(word).map_err(|_| Failure::Stopped)
        };
        let slow = thread.call(move |_| released.recv().map_err(|_| Failure::Stopped));
        let dropped = async {
            tokio::select! {
                biased;
                _ = thread.call(saying("dropped")) => panic!("it went ahead of the slow one"),
                () = tokio::task::yield_now() => release.send(()).unwrap(),
            }
        };
        let (slow, ()) = tokio::join!(slow, dropped);
        slow.unwrap();
        thread.call(saying("kept")).await.unwrap();
        drop(note);
        assert_eq!(notes.iter().collect::<Vec<_>>(), ["kept"]);
    }

    #[tokio::test]
    async fn writes_that_wait_share_a_transaction_and_fail_alone() {
        let thread = start().await;
        let (release, released) = blocking::channel::<()>();
        let make = thread.write(|tx| Ok(tx.execute_batch("CREATE TABLE t (n UNIQUE)")?));
        make.await.unwrap();
        let insert = |number: i64| {
            thread.write(move |tx| {
                tx.execute("INSERT INTO t VALUES (?1)", [number])?;
                // All that waited are seen by the last, before anything is kept.
                let seen: i64 = tx.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?;
                Ok((seen, tx.is_autocommit()))
            })
        };
        let slow = thread.call(move |_| released.recv().map_err(|_| Failure::Stopped));
        let hold = async {
            tokio::task::yield_now().await;
            release.send(()).unwrap();
        };
        let (slow, one, again, two, ()) = tokio::join!(slow, insert(1), insert(1), insert(2), hold);
        slow.unwrap();
        assert_eq!(one.unwrap(), (1, false));
        assert!(
            matches!(again, Err(Failure::Sqlite(_))),
            "it is there already"
        );
        assert_eq!(two.unwrap(), (2, false));
        let left = thread.call(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0))?)
        });
        assert_eq!(left.await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_call_that_panics_is_a_failure_and_so_are_all_after_it() {
        let thread = start().await;
        let broken: Result<(), _> = thread.call(|_| panic!("on purpose")).await;
        assert!(matches!(broken, Err(Failure::Stopped)));
        assert!(matches!(
            thread.call(|_| Ok(())).await,
            Err(Failure::Stopped)
        ));
    }
}
