//! What a service manager is told, where there is one: `sd_notify(3)`, in a few lines.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use crate::vitals::Vitals;

/// The variables a service manager sets.
const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG: &str = "WATCHDOG_USEC";
const WATCHED: &str = "WATCHDOG_PID";

/// A service manager, if this process has one.
#[derive(Debug, Default)]
pub(crate) struct Manager {
    socket: Option<UnixDatagram>,
    /// How long the manager waits for a sign of life.
    patience: Option<Duration>,
}

impl Manager {
    /// The manager that the environment names. One that cannot be reached is said to the
    /// log: the agent works without.
    pub(crate) fn from_environment(env: impl Fn(&str) -> Option<OsString>) -> Self {
        let Some(address) = env(SOCKET) else {
            return Self::default();
        };
        match connect(&address) {
            Ok(socket) => Self {
                socket: Some(socket),
                patience: patience(&env),
            },
            Err(error) => {
                tracing::warn!(%error, "the service manager cannot be told");
                Self::default()
            }
        }
    }

    fn say(&self, text: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(text.as_bytes())
        {
            tracing::debug!(%error, "the service manager does not listen");
        }
    }

    /// The agent takes jobs from now on.
    pub(crate) fn ready(&self) {
        self.say("READY=1");
    }

    /// The agent takes no more jobs; what runs may take a while.
    pub(crate) fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Gives signs of life, twice as often as they are waited for, for as long as there is
    /// life. A loop that hangs gets no more of them, and its manager starts it anew.
    pub(crate) async fn watch(&self, vitals: Arc<Vitals>) {
        let Some(patience) = self.patience.filter(|_| self.socket.is_some()) else {
            return std::future::pending().await;
        };
        loop {
            if vitals.is_live() {
                self.say(&format!("WATCHDOG=1\nSTATUS={}", vitals.line()));
            }
            tokio::time::sleep(patience / 2).await;
        }
    }
}

/// A path, or a name without a file, which begins with `@`.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    use std::os::unix::ffi::OsStrExt as _;
    let socket = UnixDatagram::unbound()?;
    match address.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt as _;
            socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?;
        }
        _ => socket.connect_addr(&SocketAddr::from_pathname(address)?)?,
    }
    // Nobody may be held up by a manager that does not read.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What the manager waits for, if it is this process it watches.
fn patience(env: &impl Fn(&str) -> Option<OsString>) -> Option<Duration> {
    let number = |name: &str| env(name)?.to_str()?.parse::<u64>().ok();
    let is_other = |pid: u64| pid != u64::from(std::process::id());
    if number(WATCHED).is_some_and(is_other) {
        return None;
    }
    number(WATCHDOG)
        .filter(|us| *us > 0)
        .map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let read = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    }

    fn manager(address: &str, watchdog: Option<&str>) -> Manager {
        Manager::from_environment(|name| match name {
            SOCKET => Some(address.into()),
            WATCHDOG => watchdog.map(Into::into),
            _ => None,
        })
    }

    #[tokio::test]
    async fn a_manager_hears_of_each_step() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let manager = manager(path.to_str().unwrap(), Some("20000"));
        manager.ready();
        assert_eq!(hear(&socket), "READY=1");
        let vitals = Vitals::new("w".parse().unwrap(), Some(3));
        let watch = manager.watch(vitals);
        let waited = tokio::time::timeout(Duration::from_millis(50), watch).await;
        assert!(waited.is_err());
        for _ in 0..3 {
            assert!(hear(&socket).starts_with("WATCHDOG=1\nSTATUS=0 of 3 slots used"));
        }
        manager.stopping();
        while hear(&socket) != "STOPPING=1" {}
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_without_a_file_is_an_address_too() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("launch-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        manager(&format!("@{name}"), None).ready();
        assert_eq!(hear(&socket), "READY=1");
    }

    #[test]
    fn without_a_manager_nothing_is_said() {
        Manager::from_environment(|_| None).ready();
        manager("/nowhere/notify", None).ready();
        let other = patience(&|name: &str| match name {
            WATCHED => Some("1".into()),
            _ => Some("1000".into()),
        });
        assert_eq!(other, None);
    }
}
