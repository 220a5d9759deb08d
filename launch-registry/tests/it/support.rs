//! What the tests share.

use std::env;
use std::io::{self, Write};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use launch_registry::PushEvents;
use launch_registry::config::image::ImageRef;
use launch_registry::config::secret::Secret;
use launch_registry::memory::MemoryRegistry;
use launch_registry::oci::{
    AnonymousKeychain, FixedKeychain, Keychain, Login, OciRegistry, RetryPolicy,
};

/// Waits of milliseconds, and more of them than bad luck uses up.
pub(crate) fn fast() -> RetryPolicy {
    RetryPolicy::default()
        .with_first(Duration::from_millis(1))
        .with_longest(Duration::from_millis(5))
        .with_tries(12)
}

pub(crate) fn client(keychain: impl Keychain) -> OciRegistry {
    OciRegistry::builder()
        .keychain(keychain)
        .with_retry(fast())
        .build()
        .unwrap()
}

pub(crate) fn anonymous() -> OciRegistry {
    client(AnonymousKeychain)
}

pub(crate) fn known(host: &str, user: &str, password: &str) -> OciRegistry {
    client(FixedKeychain::new(
        host,
        Login::password(user, Secret::new(password)),
    ))
}

pub(crate) fn image(server: &MemoryRegistry, name: &str) -> ImageRef {
    format!("{}/{name}", server.host()).parse().unwrap()
}

pub(crate) fn silent() -> PushEvents {
    Arc::new(|_| ())
}

/// The value of an environment variable; without it the test is skipped, but never in CI.
pub(crate) fn real(name: &str) -> Option<String> {
    let value = env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        assert_ne!(
            env::var("CI").as_deref(),
            Ok("true"),
            "{name} must be set in CI"
        );
        eprintln!("skipped: {name} is not set");
    }
    value
}

/// Everything that was logged.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What skopeo says, or `None` if it is not installed.
pub(crate) fn skopeo(arguments: &[&str]) -> Option<String> {
    let Ok(output) = Command::new("skopeo").args(arguments).output() else {
        let is_ci = std::env::var("CI").as_deref() == Ok("true");
        assert!(!is_ci, "must not be skipped in CI: skopeo is not installed");
        eprintln!("skipped: skopeo is not installed");
        return None;
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
