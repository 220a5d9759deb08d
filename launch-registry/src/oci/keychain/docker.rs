//! Credentials from docker's `config.json` and podman's `auth.json`.
//!
//! Order, as docker does it: a helper named for the host (`credHelpers`), then the store for
//! all hosts (`credsStore`), then the file's own `auths`. Docker's file comes before
//! podman's, and a file that does not exist is an empty one.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, io};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use launch_config::secret::Secret;
use serde::Deserialize;

use super::helper::Helpers;
use super::{Keychain, Login};
use crate::Error;
use crate::oci::endpoint;

/// Names Docker Hub's credentials under which every docker ever filed them.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Reads what `docker login` and `podman login` wrote, anew at every question, so that a
/// login during a run takes effect.
#[derive(Debug, Clone)]
pub struct DockerKeychain {
    files: Vec<PathBuf>,
    helpers: Helpers,
}

impl Default for DockerKeychain {
    /// `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`; then podman's
    /// `$REGISTRY_AUTH_FILE`, `$XDG_RUNTIME_DIR/containers/auth.json` and
    /// `~/.config/containers/auth.json`.
    fn default() -> Self {
        let var = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let home = env::home_dir();
        let docker =
            var("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let podman = var("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json"));
        let at_home = home.map(|home| home.join(".config/containers/auth.json"));
        let docker = docker.map(|dir| dir.join("config.json"));
        let files = [docker, var("REGISTRY_AUTH_FILE"), podman, at_home];
        Self::from_files(files.into_iter().flatten())
    }
}

impl DockerKeychain {
    /// Reads the given files instead, in order.
    pub fn from_files(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            files: files.into_iter().collect(),
            helpers: Helpers::default(),
        }
    }

    /// Sets how long a credential helper may take; 30 s by default.
    #[must_use]
    pub fn with_helper_timeout(mut self, timeout: Duration) -> Self {
        self.helpers.timeout = timeout;
        self
    }

    /// Looks for credential helpers in these directories instead of those of `PATH`.
    #[must_use]
    pub fn with_helper_path(mut self, path: impl Into<OsString>) -> Self {
        self.helpers.path = Some(path.into());
        self
    }

    async fn ask_file(&self, path: &Path, host: &str) -> Result<Option<Login>, Error> {
        let Some(file) = read(path.to_owned()).await? else {
            return Ok(None);
        };
        if let Some((server, name)) = file.helper_for(host) {
            let login = self.helpers.get(name, server).await?;
            if login.is_some() {
                return Ok(login);
            }
        }
        file.entry_for(host).map_or(Ok(None), |entry| {
            entry.login().map_err(|source| config_error(path, source))
        })
    }
}

#[async_trait]
impl Keychain for DockerKeychain {
    async fn login(&self, host: &str) -> Result<Option<Login>, Error> {
        for path in &self.files {
            if let Some(login) = self.ask_file(path, host).await? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

/// The part of docker's file that is about credentials.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ConfigFile {
    auths: HashMap<String, Entry>,
    cred_helpers: HashMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

/// What is wrong with an entry; never its text.
#[derive(Debug, thiserror::Error)]
#[error("an `auth` is not the base64 form of `user:password`")]
struct AuthError;

impl ConfigFile {
    /// The helper to ask, and the server's name to ask it about.
    fn helper_for<'a>(&'a self, host: &'a str) -> Option<(&'a str, &'a str)> {
        let named = self
            .cred_helpers
            .iter()
            .find(|(key, _)| is_same_host(key, host));
        if let Some((key, name)) = named {
            return Some((key, name));
        }
        let store = self
            .creds_store
            .as_deref()
            .filter(|store| !store.is_empty())?;
        // Docker files an empty entry under the name it gave the store.
        let key = self.auths.keys().find(|key| is_same_host(key, host));
        let default = if endpoint::is_docker_hub(host) {
            HUB_KEY
        } else {
            host
        };
        Some((key.map_or(default, String::as_str), store))
    }

    fn entry_for(&self, host: &str) -> Option<&Entry> {
        let exact = self.auths.get(host);
        exact.or_else(|| {
            let mut keys: Vec<_> = self
                .auths
                .keys()
                .filter(|key| is_same_host(key, host))
                .collect();
            keys.sort();
            keys.first().and_then(|key| self.auths.get(*key))
        })
    }
}

impl Entry {
    fn login(&self) -> Result<Option<Login>, AuthError> {
        let given = |secret: &Option<Secret>| secret.clone().filter(|secret| !secret.is_empty());
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(Login::IdentityToken(token)));
        }
        if let Some(token) = given(&self.registrytoken) {
            return Ok(Some(Login::AccessToken(token)));
        }
        if let Some(auth) = given(&self.auth) {
            return decode(&auth).map(Some).ok_or(AuthError);
        }
        let user = self.username.clone().filter(|user| !user.is_empty());
        Ok(user
            .zip(given(&self.password))
            .map(|(user, password)| Login::password(user, password)))
    }
}

/// Old dockers padded the password with NULs.
fn decode(auth: &Secret) -> Option<Login> {
    let text = String::from_utf8(STANDARD.decode(auth.expose().trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some(Login::password(
        user,
        Secret::new(password.trim_end_matches('\0')),
    ))
}

/// Compares a key of the file with a host: keys may carry a scheme and a path, and Docker
/// Hub goes by several names.
fn is_same_host(key: &str, host: &str) -> bool {
    let bare = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key);
    let bare = bare.split('/').next().unwrap_or(bare);
    bare == host || (endpoint::is_docker_hub(bare) && endpoint::is_docker_hub(host))
}

async fn read(path: PathBuf) -> Result<Option<ConfigFile>, Error> {
    let shown = path.clone();
    let text = tokio::task::spawn_blocking(move || fs_err::read(path)).await;
    match text.map_err(io::Error::other).flatten() {
        // Serde's message quotes what it met, which may be a secret: only the place is kept.
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            config_error(&shown, format!("not valid at line {line} column {column}"))
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(config_error(&shown, error)),
    }
}

fn config_error(path: &Path, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Config {
        origin: format!("`{}`", path.display()),
        source: source.into(),
    }
}

#[cfg(test)]
#[path = "docker_tests.rs"]
mod tests;
