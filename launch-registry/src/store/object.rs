//! The contract over any of object_store's clients: names, errors, and what a check does.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use launch_config::secret;
use launch_config::store::{Key, StoreUri};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use reqwest::StatusCode;

use super::credential::InUse;
use super::parts::{self, Pieces};
use super::refusal::{Answered, Refusal};
use super::{Content, ContextStore, StoreError};

/// What a cloud calls the things we speak of.
#[derive(Debug)]
pub(super) struct Words {
    /// `the bucket`, `the container`.
    pub(super) what: &'static str,
    pub(super) write: &'static str,
    pub(super) delete: &'static str,
    /// Codes of a 400 or 403 that speak of credentials and not of permissions, and beginnings
    /// of such messages.
    pub(super) strangers: &'static [&'static str],
}

/// A store, and a prefix in it.
#[derive(Debug)]
pub(super) struct ObjectContexts {
    pub(super) store: Box<dyn ObjectStore>,
    pub(super) uri: String,
    pub(super) prefix: Vec<String>,
    pub(super) words: &'static Words,
    pub(super) in_use: Arc<InUse>,
}

impl fmt::Display for ObjectContexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Write,
    Delete,
}

impl Action {
    fn shown(self) -> &'static str {
        match self {
            Self::Write => "write to",
            Self::Delete => "delete from",
        }
    }
}

#[async_trait]
impl ContextStore for ObjectContexts {
    /// An object is put and removed: the one question that has the permissions for answer.
    async fn check(&self) -> Result<(), StoreError> {
        let (name, _) = self.locate(&probe_name())?;
        let put = self.store.put(&name, PutPayload::new()).await;
        put.map_err(|error| self.judge(&error, Action::Write))?;
        self.remove(&name).await
    }

    async fn put(&self, name: &str, file: &Path) -> Result<StoreUri, StoreError> {
        let file = Pieces::open(file)
            .await
            .map_err(|error| self.unreadable(error))?;
        self.put_pieces(name, file).await
    }

    async fn put_stream(&self, name: &str, content: Content) -> Result<StoreUri, StoreError> {
        self.put_pieces(name, Pieces::stream(content)).await
    }

    async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let (path, _) = self.locate(name)?;
        self.remove(&path).await
    }
}

impl ObjectContexts {
    async fn put_pieces(&self, name: &str, pieces: Pieces) -> Result<StoreUri, StoreError> {
        let (path, uri) = self.locate(name)?;
        match parts::put(&*self.store, &path, pieces).await {
            Ok(()) => Ok(uri),
            Err(parts::Failure::Read(error)) => Err(self.unreadable(error)),
            Err(parts::Failure::Store(error)) => Err(self.judge(&error, Action::Write)),
        }
    }

    async fn remove(&self, path: &ObjectPath) -> Result<(), StoreError> {
        match self.store.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => match self.judge(&error, Action::Delete) {
                StoreError::Answered { status: 404, .. } => Ok(()),
                error => Err(error),
            },
        }
    }

    /// Where the object of this name is, for the store and for people.
    fn locate(&self, name: &str) -> Result<(ObjectPath, StoreUri), StoreError> {
        let wrong = |why| StoreError::Name {
            store: self.uri.clone(),
            name: name.to_owned(),
            why,
        };
        let mut parts: Vec<&str> = self.prefix.iter().map(String::as_str).collect();
        parts.extend(name.split('/'));
        if let Some(why) = parts.iter().find_map(|part| flaw(part)) {
            return Err(wrong(why));
        }
        let path = ObjectPath::parse(parts.join("/"));
        let path = path.map_err(|_| wrong("object stores do not take it"))?;
        let end = self.uri.strip_suffix('/').unwrap_or(&self.uri);
        let uri = format!("{end}/{name}").parse();
        Ok((path, uri.map_err(|_| wrong("it makes no address"))?))
    }

    fn unreadable(&self, source: std::io::Error) -> StoreError {
        let store = self.uri.clone();
        StoreError::Io { store, source }
    }

    /// The error that a failure of object_store means.
    fn judge(&self, error: &object_store::Error, action: Action) -> StoreError {
        let store = self.uri.clone();
        match Refusal::of(error) {
            Some(Refusal::Answered(answered)) => self.answered(answered, action),
            Some(Refusal::Broken {
                tries,
                seconds,
                source,
            }) => StoreError::Unreachable {
                store,
                tries: *tries,
                seconds: *seconds,
                source: Box::new(source.clone()),
            },
            Some(Refusal::Untrusted(source)) => StoreError::Untrusted {
                store,
                source: Box::new(source.clone()),
            },
            Some(Refusal::Credentials(source)) => StoreError::Credentials {
                store,
                source: Box::new(source.clone()),
            },
            None => StoreError::Answered {
                store,
                action: action.shown(),
                status: 0,
                said: self.masked(&error.to_string()),
            },
        }
    }

    fn answered(&self, answered: &Answered, action: Action) -> StoreError {
        let (store, said) = (self.uri.clone(), self.masked(&answered.said()));
        let code = answered.code.as_str();
        match answered.status {
            _ if self.is_stranger(answered) => StoreError::Unauthorized { store, said },
            StatusCode::UNAUTHORIZED => StoreError::Unauthorized { store, said },
            StatusCode::FORBIDDEN => StoreError::Denied {
                store,
                action: action.shown(),
                permission: match action {
                    Action::Write => self.words.write,
                    Action::Delete => self.words.delete,
                },
                said,
            },
            StatusCode::NOT_FOUND if matches!(code, "NoSuchBucket" | "ContainerNotFound") => {
                let what = self.words.what;
                StoreError::Missing { store, what }
            }
            status => StoreError::Answered {
                store,
                action: action.shown(),
                status: status.as_u16(),
                said,
            },
        }
    }

    fn is_stranger(&self, answered: &Answered) -> bool {
        let mut words = self.words.strangers.iter();
        words.any(|word| answered.code == *word || answered.message.starts_with(word))
    }

    fn masked(&self, text: &str) -> String {
        secret::mask(text, &self.in_use.secrets())
    }
}

/// What is wrong with a part of a name.
fn flaw(part: &str) -> Option<&'static str> {
    match part {
        "" => Some("a part between its slashes is empty"),
        "." | ".." => Some("`.` and `..` are no names"),
        _ if part.contains(|c: char| c.is_control() || matches!(c, '?' | '#' | '%' | '\\')) => {
            Some("`?`, `#`, `%`, `\\` and control characters mean other things in addresses")
        }
        _ => None,
    }
}

/// The parts of the prefix under which everything is put.
pub(super) fn prefix(uri: &StoreUri, key: &Key) -> Result<Vec<String>, StoreError> {
    let key = key.as_str().unwrap_or_default();
    let parts: Vec<&str> = match key.strip_suffix('/').unwrap_or(key) {
        "" if key.is_empty() => Vec::new(),
        key => key.split('/').collect(),
    };
    match parts.iter().find_map(|part| flaw(part)) {
        None => Ok(parts.into_iter().map(str::to_owned).collect()),
        Some(why) => Err(StoreError::Config {
            store: uri.to_string(),
            why: format!("in its path, {why}"),
        }),
    }
}

/// The error for settings that make no client.
pub(super) fn config(uri: &StoreUri, why: &dyn fmt::Display) -> StoreError {
    StoreError::Config {
        store: uri.to_string(),
        why: why.to_string(),
    }
}

/// New every time: two that check at once are not in each other's way, and where objects may
/// not be replaced, an old one is not either.
fn probe_name() -> String {
    let mut bytes = [0; 8];
    // Without randomness, the name is that of everybody without randomness.
    let _ = getrandom::fill(&mut bytes);
    format!("launch-check-{:016x}", u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_memory(uri: &str) -> ObjectContexts {
        let parsed: StoreUri = uri.parse().unwrap();
        let (StoreUri::S3 { key, .. } | StoreUri::Gcs { key, .. }) = &parsed else {
            panic!("{uri}")
        };
        ObjectContexts {
            store: Box::new(object_store::memory::InMemory::new()),
            uri: uri.to_owned(),
            prefix: prefix(&parsed, key).unwrap(),
            words: &Words {
                what: "the bucket",
                write: "w",
                delete: "d",
                strangers: &[],
            },
            in_use: Arc::default(),
        }
    }

    #[test]
    fn names_are_appended_as_they_are() {
        for (uri, path) in [
            ("s3://b", ""),
            ("s3://b/", ""),
            ("gs://b/p/q", "p/q/"),
            ("gs://b/p/", "p/"),
        ] {
            let (found, address) = in_memory(uri).locate("a/b~ü c.tgz").unwrap();
            assert_eq!(found.as_ref(), format!("{path}a/b~ü c.tgz"));
            assert_eq!(
                address.to_string(),
                format!("{}/a/b~ü c.tgz", uri.trim_end_matches('/'))
            );
        }
    }

    #[test]
    fn names_that_would_not_be_found_again_are_refused() {
        for name in [
            "", "/a", "a/", "a//b", "..", "a/../b", "a?b", "a#b", "a%20b", "a\nb",
        ] {
            let error = in_memory("s3://b/p").locate(name).unwrap_err();
            assert!(
                matches!(error, StoreError::Name { .. }),
                "{name}: {error:?}"
            );
        }
        for uri in [
            "s3://b//",
            "s3://b/a//b",
            "s3://b/../x",
            "s3://b/k?versionId=1",
        ] {
            let parsed: StoreUri = uri.parse().unwrap();
            let StoreUri::S3 { key, .. } = &parsed else {
                panic!("{uri}")
            };
            let error = prefix(&parsed, key).unwrap_err();
            assert!(
                matches!(error, StoreError::Config { .. }),
                "{uri}: {error:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_check_leaves_nothing_behind() {
        use futures_util::StreamExt as _;
        let contexts = in_memory("s3://b/p");
        contexts.check().await.unwrap();
        assert_eq!(contexts.store.list(None).count().await, 0);
        contexts.delete("never/there").await.unwrap();
    }
}
