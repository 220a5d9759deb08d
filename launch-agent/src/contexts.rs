//! What every source was the last time, and working copies of contexts.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use launch_builder::context::{ContextDigest, ContextOptions, copy_async, hash_async};
use launch_builder::event::Events;
use launch_config::image::Digest;

use crate::state::{private_dir, write_atomically};

/// Sources that are remembered.
const REMEMBERED: usize = 500;

/// The file that remembers the digest of every source.
#[derive(Debug)]
pub(crate) struct Contexts(PathBuf);

/// What a context turned out to be.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) context: ContextDigest,
    /// The same source had this digest the last time.
    pub(crate) unchanged: bool,
}

impl Contexts {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self(file)
    }

    /// Hashes a context, and remembers it.
    pub(crate) async fn hash(
        &self,
        origin: &str,
        root: &Path,
        options: ContextOptions,
        events: Events,
    ) -> Result<Known, launch_builder::Error> {
        let options = options.with_cache(self.cache());
        let context = hash_async(root.to_owned(), options, events).await?;
        Ok(Known {
            context,
            unchanged: self.remember(origin, context.digest)?,
        })
    }

    /// Hashes a context while copying it, by way of a scratch directory of the same file
    /// system, so that the copy appears complete or not at all. One that is there stays as
    /// it is: a run may be at work in it.
    pub(crate) async fn copy(
        &self,
        origin: &str,
        root: &Path,
        options: ContextOptions,
        (scratch, to): (&Path, &Path),
        events: Events,
    ) -> Result<Known, launch_builder::Error> {
        if to.exists() {
            return self.hash(origin, root, options, events).await;
        }
        private_dir(to.parent().unwrap_or_else(|| Path::new(".")))?;
        let fresh = tempfile::tempdir_in(scratch)?;
        let context = copy_async(root.to_owned(), options, fresh.path().to_owned(), events).await?;
        fs_err::rename(fresh.keep(), to)?;
        Ok(Known {
            context,
            unchanged: self.remember(origin, context.digest)?,
        })
    }

    /// What was read of sources, so that an unchanged file is not read again; as private as
    /// the file beside it.
    fn cache(&self) -> PathBuf {
        self.0.with_extension("cache")
    }

    /// The last digest of every source. A file that cannot be read only costs the words
    /// "unchanged" once.
    fn last(&self) -> io::Result<BTreeMap<String, Digest>> {
        match fs_err::read(&self.0) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        }
    }

    /// Notes the digest of a source; answers whether it was the same before.
    fn remember(&self, origin: &str, digest: Digest) -> io::Result<bool> {
        let mut last = self.last()?;
        if last.insert(origin.to_owned(), digest) == Some(digest) {
            return Ok(true);
        }
        while last.len() > REMEMBERED {
            last.pop_first();
        }
        write_atomically(&self.0, &serde_json::to_vec(&last)?)?;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_source_is_unchanged_until_it_changes() {
        let (state, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let contexts = Contexts::new(state.path().join("contexts.json"));
        let hash = async || {
            let options = ContextOptions::new();
            contexts
                .hash("origin", source.path(), options, Events::silent())
                .await
                .unwrap()
        };
        fs_err::write(source.path().join("a"), "1").unwrap();
        assert!(!hash().await.unchanged);
        assert!(hash().await.unchanged);
        fs_err::write(source.path().join("a"), "2").unwrap();
        assert!(!hash().await.unchanged);
    }

    #[tokio::test]
    async fn a_working_copy_that_is_there_stays() {
        let (state, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let contexts = Contexts::new(state.path().join("contexts.json"));
        let to = state.path().join("work/run");
        let copy = async || {
            let options = ContextOptions::new();
            contexts
                .copy(
                    "origin",
                    source.path(),
                    options,
                    (state.path(), &to),
                    Events::silent(),
                )
                .await
                .unwrap()
        };
        fs_err::write(source.path().join("a"), "1").unwrap();
        copy().await;
        fs_err::write(to.join("a"), "written by the run").unwrap();
        copy().await;
        assert_eq!(
            fs_err::read_to_string(to.join("a")).unwrap(),
            "written by the run"
        );
    }
}
