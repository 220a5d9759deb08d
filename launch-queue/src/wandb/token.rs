//! The credentials file of W&B's library: the server's tokens, kept for other processes.

use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err::os::unix::fs::OpenOptionsExt as _;
use launch_config::secret::Secret;
use serde_json::{Value, json};

use crate::clock::{Clock, date};

/// A file of tokens, and the server whose token is meant.
#[derive(Debug)]
pub(super) struct TokenCache {
    path: PathBuf,
    server: String,
}

impl TokenCache {
    pub(super) fn new(path: PathBuf, server: String) -> Self {
        Self { path, server }
    }

    /// The token that is there, and how long it is still good.
    pub(super) fn read(&self) -> Option<(Secret, Duration)> {
        let kept = &self.document()["credentials"][&self.server];
        let end = date::seconds(kept["expires_at"].as_str()?)?;
        let left = end.checked_sub(now()).map(Duration::from_secs)?;
        Some((Secret::new(kept["access_token"].as_str()?), left))
    }

    /// Keeps a token, and those of other servers as they are. A file that cannot be written
    /// costs an exchange at the next start, and nothing else.
    pub(super) fn write(&self, token: &Secret, left: Duration) {
        let mut document = self.document();
        let kept = json!({
            "access_token": token.expose(),
            "expires_at": date::text(now() + left.as_secs()),
        });
        let servers = &mut document["credentials"];
        if !servers.is_object() {
            *servers = json!({});
        }
        servers[&self.server] = kept;
        if let Err(error) = put(&self.path, &document) {
            tracing::warn!(%error, "the token of the server is not kept");
        }
    }

    /// What the file says; what is no mapping says nothing.
    fn document(&self) -> Value {
        let bytes = fs_err::read(&self.path).unwrap_or_default();
        let said = serde_json::from_slice(&bytes).ok();
        said.filter(Value::is_object).unwrap_or_else(|| json!({}))
    }
}

/// Writes the whole file at once, for its owner alone.
fn put(path: &Path, document: &Value) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        let mut make = std::fs::DirBuilder::new();
        make.recursive(true).mode(0o700).create(directory)?;
    }
    let half = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = fs_err::OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(&half)?;
    file.write_all(format!("{document:#}\n").as_bytes())?;
    fs_err::rename(half, path)
}

fn now() -> u64 {
    Clock::System.now_ms() / 1000
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn tokens_are_kept_by_server_and_for_the_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("wandb/credentials.json");
        let cache = |server: &str| TokenCache::new(path.clone(), server.to_owned());
        let (one, two) = (cache("https://one"), cache("https://two"));
        assert!(one.read().is_none());
        one.write(&Secret::new("t1"), Duration::from_secs(100));
        two.write(&Secret::new("t2"), Duration::from_secs(0));
        let (token, left) = one.read().unwrap();
        assert_eq!(token.expose(), "t1");
        assert!((98..=100).contains(&left.as_secs()), "{left:?}");
        assert_eq!(two.read().unwrap().1, Duration::ZERO);
        let mode = fs_err::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs_err::write(&path, "[]").unwrap();
        assert!(one.read().is_none());
        one.write(&Secret::new("t3"), Duration::from_secs(9));
        assert_eq!(one.read().unwrap().0.expose(), "t3");
    }
}
