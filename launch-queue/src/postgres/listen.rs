//! Hearing of arrivals: `LISTEN` on a connection of its own.

use std::future::{pending, poll_fn};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;

use super::connect::Server;
use super::failure::Failure;
use super::statement::channel;

/// How long to wait before connecting again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A task that listens until this value is dropped.
#[derive(Debug)]
pub(super) struct Listener {
    arrivals: watch::Receiver<u64>,
    task: JoinHandle<()>,
}

impl Listener {
    /// Starts to listen. Needs a tokio runtime, as every call to the server does.
    pub(super) fn start(server: Server, schema: &str) -> Self {
        let (tell, arrivals) = watch::channel(0);
        let listen = format!("LISTEN {}", channel(schema));
        let task = tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let heard = *tell.borrow();
                if let Err(error) = listen_once(&server, &listen, &tell).await {
                    tracing::debug!(%error, "not listening for arrivals");
                }
                let was_connected = *tell.borrow() != heard;
                pause = if was_connected {
                    FIRST_PAUSE
                } else {
                    (pause * 2).min(LONGEST_PAUSE)
                };
                tokio::time::sleep(pause).await;
            }
        });
        Self { arrivals, task }
    }

    pub(super) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.clone()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens until the connection ends.
async fn listen_once(
    server: &Server,
    listen: &str,
    tell: &watch::Sender<u64>,
) -> Result<(), Failure> {
    let (client, mut connection) = server.connection().await?;
    let hear = async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(_) = message? {
                tell.send_modify(|heard| *heard += 1);
            }
        }
        Ok(())
    };
    let ask = async {
        client.batch_execute(listen).await?;
        // What arrived before is not told again.
        tell.send_modify(|heard| *heard += 1);
        pending::<Result<(), Failure>>().await
    };
    tokio::select! {
        ended = hear => ended,
        failed = ask => failed,
    }
}
