//! Docker's credential helpers: programs that keep secrets in a system's own store.
//!
//! The protocol (docker-credential-helpers, README "Development"): `docker-credential-<name>
//! get` reads the server's name from standard input and writes a JSON object; a missing
//! entry is exit 1 with a fixed sentence on standard output.

use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use launch_config::secret::Secret;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::Login;
use crate::{Credentials, Error};

/// Answers are a few hundred bytes; a helper that writes more is not one.
const ANSWER: u64 = 256 * 1024;
/// What helpers print when they have no entry for the server.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user name that marks the secret as an identity token.
const TOKEN_USER: &str = "<token>";

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: Secret,
}

/// What went wrong with a helper; its output is not shown, for it may be the secret.
#[derive(Debug, thiserror::Error)]
enum HelperError {
    #[error("`{0}` is not a helper's name")]
    Name(String),
    #[error("cannot run it")]
    Run(#[source] io::Error),
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("it ended with {0}")]
    Failed(std::process::ExitStatus),
    #[error("its answer is not what the protocol asks for")]
    Answer,
}

/// How helpers are run.
#[derive(Debug, Clone)]
pub(super) struct Helpers {
    pub(super) timeout: Duration,
    /// Where they are looked for, if not in `PATH`.
    pub(super) path: Option<OsString>,
}

impl Default for Helpers {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            path: None,
        }
    }
}

impl Helpers {
    /// Asks the helper `name` about `server`.
    pub(super) async fn get(&self, name: &str, server: &str) -> Result<Option<Login>, Error> {
        let origin = format!("credential helper `docker-credential-{name}`");
        let answer = match tokio::time::timeout(self.timeout, self.ask(name, server)).await {
            Ok(answer) => answer,
            Err(_) => Err(HelperError::Timeout(self.timeout)),
        };
        answer.map_err(|source| Error::Config {
            origin,
            source: source.into(),
        })
    }

    fn command(&self, name: &str) -> Result<Command, HelperError> {
        if !is_name(name) {
            return Err(HelperError::Name(name.to_owned()));
        }
        let mut command = Command::new(format!("docker-credential-{name}"));
        command
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command.kill_on_drop(true);
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        Ok(command)
    }

    async fn ask(&self, name: &str, server: &str) -> Result<Option<Login>, HelperError> {
        let mut child = self.command(name)?.spawn().map_err(HelperError::Run)?;
        let mut input = child.stdin.take().expect("stdin is piped");
        // A helper that does not read its input is judged by its answer alone.
        let _ = input.write_all(server.as_bytes()).await;
        drop(input);
        let mut output = Vec::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        stdout
            .take(ANSWER)
            .read_to_end(&mut output)
            .await
            .map_err(HelperError::Run)?;
        let status = child.wait().await.map_err(HelperError::Run)?;
        if !status.success() {
            let missing = String::from_utf8_lossy(&output).contains(NOT_FOUND);
            return if missing {
                Ok(None)
            } else {
                Err(HelperError::Failed(status))
            };
        }
        parse(&output).map(Some)
    }
}

fn parse(output: &[u8]) -> Result<Login, HelperError> {
    let answer: Answer = serde_json::from_slice(output).map_err(|_| HelperError::Answer)?;
    Ok(match answer.user.as_str() {
        TOKEN_USER => Login::IdentityToken(answer.secret),
        _ => Login::Password(Credentials {
            user: answer.user,
            password: answer.secret,
        }),
    })
}

/// A name that cannot leave `PATH`: no slash, no dot, no space.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_cannot_be_a_path() {
        assert!(is_name("ecr-login") && is_name("osxkeychain"));
        for name in ["", "../evil", "a/b", "a b", "..", "a\0"] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn the_token_user_marks_an_identity_token() {
        let login = parse(br#"{"ServerURL":"x","Username":"<token>","Secret":"t"}"#).unwrap();
        assert_eq!(login, Login::IdentityToken(Secret::new("t")));
        let login = parse(br#"{"Username":"u","Secret":"p"}"#).unwrap();
        assert_eq!(login, Login::password("u", Secret::new("p")));
        assert!(parse(b"hunter2").is_err_and(|error| !error.to_string().contains("hunter2")));
    }

    #[tokio::test]
    async fn a_missing_helper_is_an_error_that_names_it() {
        let error = Helpers::default()
            .get("surely-not-here", "r.io")
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("docker-credential-surely-not-here"),
            "{error}"
        );
    }

    async fn run(script: &str) -> Result<Option<Login>, Error> {
        run_within(script, Duration::from_secs(5)).await
    }

    async fn run_within(script: &str, timeout: Duration) -> Result<Option<Login>, Error> {
        let bin = tempfile::tempdir().unwrap();
        let path = bin.path().join("docker-credential-test");
        // Written under another name: a script being run must not be open for writing.
        fs_err::write(bin.path().join("script"), format!("#!/bin/sh\n{script}\n")).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs_err::set_permissions(bin.path().join("script"), executable).unwrap();
        fs_err::rename(bin.path().join("script"), path).unwrap();
        let mut path = OsString::from(bin.path());
        path.push(":/usr/bin:/bin");
        let helpers = Helpers {
            timeout,
            path: Some(path),
        };
        helpers.get("test", "r.io").await
    }

    #[tokio::test]
    async fn a_helper_is_asked_on_its_input() {
        let login = run(r#"read s; echo "{\"Username\":\"$1\",\"Secret\":\"$s\"}""#)
            .await
            .unwrap();
        assert_eq!(login, Some(Login::password("get", Secret::new("r.io"))));
        let missing = run(&format!("echo {NOT_FOUND}; exit 1")).await.unwrap();
        assert_eq!(missing, None);
        let error = run("echo planted; exit 3").await.unwrap_err();
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_ended() {
        let error = run_within("exec sleep 60", Duration::from_millis(100))
            .await
            .unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.starts_with("no answer within"), "{source}");
    }
}
