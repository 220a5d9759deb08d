//! One SQLite connection on a thread of its own.

use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::failure::Failure;

/// How many calls may wait for the thread before callers wait to hand theirs over.
const WAITING_CALLS: usize = 64;

type Call = Box<dyn FnOnce(&mut Connection) + Send>;

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
        let call: Call = Box::new(move |connection| {
            if !answer.is_closed() {
                drop(answer.send(work(connection)));
            }
        });
        self.calls.send(call).await.map_err(|_| Failure::Stopped)?;
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
        call(&mut connection);
    }
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
