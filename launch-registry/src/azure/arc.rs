//! Azure Arc's agent, on machines that are elsewhere ("Authenticate against Azure resources
//! with Azure Arc-enabled servers").

use std::path::{Path, PathBuf};

use launch_config::secret::Secret;
use reqwest::StatusCode;
use reqwest::header::AUTHORIZATION;

use super::Lookup;
use crate::credentials::http::{Http, Question};

/// Where the agent puts its keys. It names the file, and nobody is sent any other.
const KEYS: &str = "/var/opt/azcmagent/tokens";
/// Keys are not longer (the agent's own libraries refuse more).
const LONGEST: u64 = 4096;

/// The question with the answer to the challenge it meets.
pub(super) async fn answered(http: &Http, question: Question) -> Result<Question, Lookup> {
    answered_from(http, question, Path::new(KEYS)).await
}

async fn answered_from(http: &Http, question: Question, keys: &Path) -> Result<Question, Lookup> {
    // If it gave a token to whoever asked, it will again.
    let Err(refusal) = http.text(&question).await else {
        return Ok(question);
    };
    if refusal.status != Some(StatusCode::UNAUTHORIZED) {
        return Err(match refusal.status {
            None => Lookup::Absent(refusal.text),
            Some(_) => Lookup::Broken(refusal.text),
        });
    }
    let file = key_file(refusal.challenge.as_deref().unwrap_or_default(), keys);
    let key = file.and_then(|file| read(&file)).map_err(Lookup::Broken)?;
    let header = Secret::new(format!("Basic {}", key.expose()));
    Ok(question.with_secret(AUTHORIZATION, &header))
}

/// The file of `Basic realm=PATH`.
fn key_file(challenge: &str, keys: &Path) -> Result<PathBuf, String> {
    let path = challenge
        .strip_prefix("Basic realm=")
        .ok_or("Azure Arc's agent asks for something else than a file")?;
    let path = PathBuf::from(path.trim_matches('"'));
    let is_key = path.extension().is_some_and(|extension| extension == "key");
    if path.parent() == Some(keys) && is_key {
        return Ok(path);
    }
    let (path, keys) = (path.display(), keys.display());
    Err(format!(
        "Azure Arc's agent asks for `{path}`, and its keys are in `{keys}`"
    ))
}

fn read(file: &Path) -> Result<Secret, String> {
    let length = fs_err::metadata(file)
        .map_err(|error| error.to_string())?
        .len();
    if length > LONGEST {
        return Err(format!("`{}` is too long for a key", file.display()));
    }
    let text = fs_err::read_to_string(file).map_err(|error| error.to_string())?;
    Ok(Secret::new(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::network::Network;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::TcpListener;

    #[test]
    fn no_file_but_a_key_is_sent() {
        let keys = Path::new(KEYS);
        let good = "Basic realm=/var/opt/azcmagent/tokens/a.key";
        assert_eq!(
            key_file(good, keys),
            Ok(PathBuf::from("/var/opt/azcmagent/tokens/a.key"))
        );
        for other in [
            "",
            "Bearer realm=/var/opt/azcmagent/tokens/a.key",
            "Basic realm=/etc/shadow",
            "Basic realm=/etc/a.key",
            "Basic realm=/var/opt/azcmagent/tokens/../a.key",
            "Basic realm=/var/opt/azcmagent/tokens/a.txt",
        ] {
            assert!(key_file(other, keys).is_err(), "{other}");
        }
    }

    /// Serves one challenge, then a token for whoever read the file.
    async fn agent(listener: TcpListener, realm: String) -> Vec<String> {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                stream.read_line(&mut head).await.unwrap();
            }
            let answer = if head.contains("Basic the-key") {
                let body = r#"{"access_token":"t","expires_in":"60"}"#;
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                )
            } else {
                format!(
                    "HTTP/1.1 401 No\r\nwww-authenticate: Basic realm={realm}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                )
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
            seen.push(head);
        }
        seen
    }

    #[tokio::test]
    async fn the_challenge_is_answered_with_the_file() {
        let keys = tempfile::tempdir().unwrap();
        let file = keys.path().join("a.key");
        fs_err::write(&file, "the-key\n").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let serving = tokio::spawn(agent(listener, file.display().to_string()));
        let http = Http::new(&Network::default()).unwrap();
        let question = Question::get(url.parse().unwrap()).at_metadata();
        let Ok(answered) = answered_from(&http, question, keys.path()).await else {
            panic!("the challenge is answered");
        };
        assert!(http.text(&answered).await.unwrap().contains("access_token"));
        let seen = serving.await.unwrap();
        assert!(!seen[0].contains("authorization") && seen[1].contains("authorization"));
    }
}
