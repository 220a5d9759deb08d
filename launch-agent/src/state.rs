//! The state directory: everything the agent keeps on this machine.
//!
//! ```text
//! queue.db             the embedded queue
//! agents/<name>/       one agent process: lock, socket, journal/<run>.json, scratch/
//! contexts.json        the context digest that each source had last
//! contexts.cache/      what was read of sources; may be removed at any time
//! work/<run>/          the working copy of a process run
//! runs/<run>/          what the process runner keeps of a run
//! logs/<run>.log       the output of every attempt; `.log.<offset>` is what came before
//! wandb/<server>/      what W&B's queues need: who we are to the server, items in hand
//! artifacts/           files of W&B's artifacts, by digest; may be removed at any time
//! ```

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use launch_config::id::RunKey;
use launch_runner::run::run_name;

/// Where the agent keeps things.
#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    base: PathBuf,
    /// Where agents keep their journals, if not in here.
    agents: Option<PathBuf>,
}

impl StateDir {
    /// The directory given, else `$XDG_STATE_HOME/launch`, else `~/.local/state/launch`.
    pub(crate) fn locate(
        given: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        if let Some(given) = given {
            return Some(Self::at(std::path::absolute(given).ok()?));
        }
        let set = |name: &str| {
            env(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let home = || set("HOME").map(|home| home.join(".local/state"));
        set("XDG_STATE_HOME")
            .or_else(home)
            .map(|base| Self::at(base.join("launch")))
    }

    fn at(base: PathBuf) -> Self {
        let agents = None;
        Self { base, agents }
    }

    /// With the journals of agents in a directory of their own (`journal.path`).
    pub(crate) fn with_agents(mut self, agents: Option<PathBuf>) -> Self {
        self.agents = agents;
        self
    }

    /// Makes the directory; only its owner may look into it, since specs hold secrets.
    pub(crate) fn create(&self) -> io::Result<()> {
        private_dir(&self.base)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.base
    }

    #[cfg(feature = "sqlite")]
    pub(crate) fn queue(&self) -> PathBuf {
        self.base.join("queue.db")
    }

    /// What is kept of an entity's queues at a server: who we are to it, items in hand.
    #[cfg(feature = "wandb")]
    pub(crate) fn wandb(&self, server: &url::Url, entity: &str) -> PathBuf {
        let host = server.host_str().unwrap_or_default();
        let port = server.port_or_known_default().unwrap_or_default();
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let path = server.path().trim_end_matches('/');
        let name = format!("{host}.{port}{path}@{entity}");
        let name = name.replace(|c: char| !fine(c) && c != '@', "_");
        self.base.join("wandb").join(name)
    }

    pub(crate) fn agents(&self) -> PathBuf {
        let own = || self.base.join("agents");
        self.agents.clone().unwrap_or_else(own)
    }

    pub(crate) fn contexts(&self) -> PathBuf {
        self.base.join("contexts.json")
    }

    pub(crate) fn artifacts(&self) -> PathBuf {
        self.base.join("artifacts")
    }

    #[cfg(feature = "process")]
    pub(crate) fn runs(&self) -> PathBuf {
        self.base.join("runs")
    }

    pub(crate) fn work(&self, key: &RunKey) -> PathBuf {
        self.base.join("work").join(run_name(key))
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.base.join("logs")
    }

    pub(crate) fn log(&self, key: &RunKey) -> PathBuf {
        self.logs().join(format!("{}.log", run_name(key)))
    }
}

/// Makes a directory and its parents for this user alone.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot make `{}`: {error}", path.display()),
        )
    })
}

/// Replaces a file in one step: readers see the old content or the new, never half.
pub(crate) fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The name is safe only when the directory is: a crash of the machine may forget it.
    fs_err::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_follows_the_environment() {
        let env = |name: &str| (name == "HOME").then(|| "/home/ann".to_owned());
        let state = StateDir::locate(None, env).unwrap();
        assert_eq!(state.path(), Path::new("/home/ann/.local/state/launch"));
        assert!(StateDir::locate(None, |_| None).is_none());
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs_err::read(&path).unwrap(), b"two");
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
    }
}
