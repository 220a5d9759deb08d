//! The socket by which a running agent is asked for its status: a file in its own
//! directory, which only its owner can reach.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// Its name in the directory of an agent.
const NAME: &str = "socket";

/// The longest path that every system takes as the address of a socket.
const LONGEST: usize = 100;

/// Whether an agent in this directory has made a socket.
pub(crate) fn is_there(directory: &Path) -> bool {
    directory.join(NAME).exists()
}

/// Makes the socket.
pub(crate) fn bind(directory: &Path) -> io::Result<UnixListener> {
    let (path, _open) = address(directory)?;
    UnixListener::bind(path)
}

/// Connects to the agent that listens there.
pub(crate) async fn connect(directory: &Path) -> io::Result<UnixStream> {
    let (path, _open) = address(directory)?;
    UnixStream::connect(path).await
}

/// The address of the socket. A path that is too long is replaced by one through the open
/// directory, which has to stay open until the address was used.
fn address(directory: &Path) -> io::Result<(PathBuf, Option<fs_err::File>)> {
    use std::os::fd::AsRawFd as _;
    let path = directory.join(NAME);
    if path.as_os_str().len() <= LONGEST || !cfg!(target_os = "linux") {
        return Ok((path, None));
    }
    let open = fs_err::File::open(directory)?;
    let short = format!("/proc/self/fd/{}/{NAME}", open.file().as_raw_fd());
    Ok((short.into(), Some(open)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_path_may_be_as_long_as_it_likes() {
        let home = tempfile::tempdir().unwrap();
        for name in ["short", &"long".repeat(50)] {
            let directory = home.path().join(name);
            fs_err::create_dir(&directory).unwrap();
            assert!(!is_there(&directory));
            let listener = bind(&directory).unwrap();
            assert!(is_there(&directory));
            let (client, server) = tokio::join!(connect(&directory), listener.accept());
            assert!(client.is_ok() && server.is_ok(), "{name}");
            drop(listener);
            let error = connect(&directory).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
