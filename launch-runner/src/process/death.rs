//! Hearing of the end of a supervisor, where the system tells.

#[cfg(target_os = "linux")]
pub(super) use self::linux::Death;
#[cfg(not(target_os = "linux"))]
pub(super) use self::nowhere::Death;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::OwnedFd;

    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A process that will end, whoever its parent is.
    #[derive(Debug)]
    pub(in super::super) struct Death(AsyncFd<OwnedFd>);

    impl Death {
        /// Watches the process with this id, whichever it is now: ask again afterwards
        /// whether it is the one that was meant. `None` where it is gone, or where the
        /// system has no such watch.
        pub(in super::super) fn of(pid: Pid) -> Option<Self> {
            let process = pidfd_open(pid, PidfdFlags::NONBLOCK).ok()?;
            #[expect(
                deprecated,
                reason = "its successor is unsafe; a descriptor that nobody else has, as here, is sound"
            )]
            let watch = AsyncFd::with_interest(process, Interest::READABLE).ok()?;
            Some(Self(watch))
        }

        /// Waits until it has ended.
        pub(in super::super) async fn comes(&self) {
            if self.0.readable().await.is_err() {
                // The runtime ends, and this future with it.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod nowhere {
    use rustix::process::Pid;

    /// Nobody tells here.
    #[derive(Debug)]
    pub(in super::super) struct Death(std::convert::Infallible);

    impl Death {
        pub(in super::super) fn of(_pid: Pid) -> Option<Self> {
            None
        }

        pub(in super::super) async fn comes(&self) {
            match self.0 {}
        }
    }
}
