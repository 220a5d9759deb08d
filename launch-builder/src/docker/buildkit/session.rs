//! What a build asks of us while it runs: secrets, and logins for base images.
//!
//! The engine calls back over a connection we opened: BuildKit's "session". Secrets pass
//! through it when a step mounts them, and are in no request, layer or history.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use launch_config::secret::Secret;
use tokio::task::JoinHandle;

use super::connection::{Address, Driver, QUESTION, refusal, unreachable};
use super::empty;
use super::grpc::{self, Status};
use super::protobuf::{Fields, put};
use crate::docker::silent;
use crate::error::Error;

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const SECRET: &str = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
const LOGIN: &str = "/moby.filesync.v1.Auth/Credentials";

/// Docker's own registry under the name it is asked by, and the one it is logged in to.
const HUB: (&str, &str) = ("registry-1.docker.io", "docker.io");

/// What a session can give.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) secrets: BTreeMap<String, Secret>,
    /// User and password, by host.
    pub(super) logins: BTreeMap<String, (String, Secret)>,
}

impl Answers {
    fn answer(&self, path: &str, message: &[u8]) -> Result<Vec<u8>, Status> {
        let asked = Fields(message).find(|(number, _)| *number == 1);
        let asked = asked.map(|(_, name)| name.text()).unwrap_or_default();
        match path {
            // "Serving".
            HEALTH => Ok(vec![8, 1]),
            SECRET => {
                let secret = self.secrets.get(&asked).ok_or(Status::NotFound)?;
                let mut answer = Vec::new();
                put(&mut answer, 1, secret.expose().as_bytes());
                Ok(answer)
            }
            LOGIN => Ok(self.login(&asked)),
            _ => Err(Status::Unimplemented),
        }
    }

    /// An empty answer means: as nobody.
    fn login(&self, host: &str) -> Vec<u8> {
        let (asked, known) = HUB;
        let host = if host == asked { known } else { host };
        let mut answer = Vec::new();
        if let Some((user, password)) = self.logins.get(host) {
            put(&mut answer, 1, user.as_bytes());
            put(&mut answer, 2, password.expose().as_bytes());
        }
        answer
    }
}

/// An open session; it ends when dropped.
#[derive(Debug)]
pub(super) struct Session {
    server: JoinHandle<()>,
    _driver: Driver,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Opens a session named `id`.
pub(super) async fn open(
    address: &Address,
    id: &str,
    answers: Arc<Answers>,
) -> Result<Session, Error> {
    let opening = async {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/session")
            .header("Host", "docker")
            .header("Connection", "Upgrade")
            .header("Upgrade", "h2c")
            .header("X-Docker-Expose-Session-Uuid", id)
            .header("X-Docker-Expose-Session-Name", "launch");
        for method in [SECRET, LOGIN] {
            request = request.header("X-Docker-Expose-Session-Grpc-Method", method);
        }
        let request = request.body(empty()).map_err(unreachable)?;
        let (response, driver) = address
            .connect()
            .await?
            .send(request)
            .await
            .map_err(unreachable)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(unreachable(refusal(response).await));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(unreachable)?;
        let server = tokio::spawn(async move {
            let answer = |path: &str, message: &[u8]| answers.answer(path, message);
            if let Err(error) = grpc::serve(TokioIo::new(upgraded), answer).await {
                tracing::debug!(%error, "the session of a build ended");
            }
        });
        Ok(Session {
            server,
            _driver: driver,
        })
    };
    match tokio::time::timeout(QUESTION, opening).await {
        Ok(opened) => opened,
        Err(_) => Err(silent(QUESTION)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_gives_what_it_has_and_nothing_else() {
        let answers = Answers {
            secrets: [("token".to_owned(), Secret::new("s3cret"))].into(),
            logins: [(
                "docker.io".to_owned(),
                ("ann".to_owned(), Secret::new("pw")),
            )]
            .into(),
        };
        let ask = |path: &str, name: &str| {
            let mut message = Vec::new();
            put(&mut message, 1, name.as_bytes());
            answers.answer(path, &message)
        };
        assert_eq!(ask(SECRET, "token").unwrap(), b"\x0a\x06s3cret");
        assert_eq!(ask(SECRET, "other"), Err(Status::NotFound));
        assert_eq!(
            ask(LOGIN, "registry-1.docker.io").unwrap(),
            b"\x0a\x03ann\x12\x02pw"
        );
        assert_eq!(ask(LOGIN, "other.example").unwrap(), b"");
        assert_eq!(
            ask("/moby.filesync.v1.FileSync/DiffCopy", ""),
            Err(Status::Unimplemented)
        );
    }
}
