//! A way to a backend that can be closed for a while: then connections break, and new ones
//! are refused.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What is behind a door.
#[derive(Debug, Clone)]
pub(crate) enum Behind {
    Socket(PathBuf),
    Address(String),
}

impl Behind {
    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Socket(path) => Box::new(UnixStream::connect(path).await?),
            Self::Address(address) => Box::new(TcpStream::connect(address).await?),
        })
    }
}

#[derive(Debug)]
pub(crate) struct Door {
    address: String,
    closed: watch::Sender<bool>,
}

impl Door {
    pub(crate) fn open(behind: Behind) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (closed, is_closed) = watch::channel(false);
        tokio::spawn(serve(listener, behind, is_closed));
        Self { address, closed }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn close_for(&self, time: Duration) {
        self.closed.send_replace(true);
        let closed = self.closed.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            closed.send_replace(false);
        });
    }
}

async fn serve(listener: std::net::TcpListener, behind: Behind, closed: watch::Receiver<bool>) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((mut client, _)) = listener.accept().await {
        let (behind, mut closed) = (behind.clone(), closed.clone());
        tokio::spawn(async move {
            let both = async {
                let mut backend = behind.connect().await?;
                copy_bidirectional(&mut client, &mut backend).await
            };
            tokio::select! {
                _ = closed.wait_for(|closed| *closed) => {}
                _ = both => {}
            }
        });
    }
}
