//! Hearing of arrivals: the system says when the log of the file grows.

#[cfg(target_os = "linux")]
pub(super) use self::linux::Listener;
#[cfg(not(target_os = "linux"))]
pub(super) use self::nowhere::Listener;

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::OsString;
    use std::io;
    use std::mem::MaybeUninit;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;
    use std::time::Duration;

    use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;
    use tokio::sync::watch;
    use tokio::task::JoinHandle;

    /// A burst of writes is one arrival; a caller waits no longer than this for it.
    const BURST: Duration = Duration::from_millis(2);

    /// Events are a few dozen bytes each.
    const BUFFER: usize = 4096;

    /// A task that listens until this value is dropped.
    #[derive(Debug)]
    pub(in super::super) struct Listener {
        arrivals: watch::Receiver<u64>,
        task: JoinHandle<()>,
    }

    impl Listener {
        /// Starts to listen. The directory is watched, not the log: that one comes and goes
        /// with those who use the file.
        pub(in super::super) fn start(path: &Path) -> io::Result<Self> {
            let path = std::path::absolute(path)?;
            let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(io::ErrorKind::InvalidInput.into());
            };
            let mut log = OsString::from(name);
            log.push("-wal");
            let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            inotify::add_watch(&events, directory, WatchFlags::MODIFY)?;
            #[expect(
                deprecated,
                reason = "its successor is unsafe; a descriptor that nobody else has, as here, is sound"
            )]
            let events = AsyncFd::with_interest(events, Interest::READABLE)?;
            let (tell, arrivals) = watch::channel(0);
            let task = tokio::spawn(listen(events, log, tell));
            Ok(Self { arrivals, task })
        }

        pub(in super::super) fn arrivals(&self) -> watch::Receiver<u64> {
            self.arrivals.clone()
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            self.task.abort();
        }
    }

    async fn listen(events: AsyncFd<OwnedFd>, log: OsString, tell: watch::Sender<u64>) {
        while let Ok(mut ready) = events.readable().await {
            let heard = is_told(events.get_ref(), log.as_bytes());
            ready.clear_ready();
            if heard {
                tell.send_modify(|heard| *heard += 1);
                tokio::time::sleep(BURST).await;
            }
        }
    }

    /// Reads what there is; whether the log was among it, or may have been.
    fn is_told(events: &OwnedFd, log: &[u8]) -> bool {
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut events = Reader::new(events, &mut buffer);
        let mut heard = false;
        while let Ok(event) = events.next() {
            // Without a name it says that there were too many.
            heard |= event.file_name().is_none_or(|name| name.to_bytes() == log);
        }
        heard
    }
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    use std::io;
    use std::path::Path;

    use tokio::sync::watch;

    /// Nothing listens here.
    #[derive(Debug)]
    pub(in super::super) struct Listener(watch::Receiver<u64>);

    impl Listener {
        pub(in super::super) fn start(_path: &Path) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(in super::super) fn arrivals(&self) -> watch::Receiver<u64> {
            self.0.clone()
        }
    }
}
