//! Who this agent is to the server, kept through a crash.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// So many agents of one host may share a directory and be known after a crash.
const MOST: usize = 64;

/// An agent as it registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identified {
    pub(super) id: String,
    pub(super) entity: String,
    /// The server's ids of its queues.
    pub(super) queues: Vec<String>,
}

/// A file with an agent's id, locked for as long as the process lives.
#[derive(Debug)]
pub(super) struct IdentityFile {
    path: PathBuf,
    _lock: fs_err::File,
}

impl IdentityFile {
    /// The first one in a directory that no living process has.
    pub(super) fn open(directory: &Path) -> io::Result<Option<Self>> {
        for number in 0..MOST {
            let lock = directory.join(format!("agent-{number}.lock"));
            let mut options = fs_err::OpenOptions::new();
            let lock = options
                .create(true)
                .truncate(false)
                .write(true)
                .open(lock)?;
            match lock.file().try_lock() {
                Ok(()) => {
                    let path = directory.join(format!("agent-{number}"));
                    return Ok(Some(Self { path, _lock: lock }));
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    pub(super) fn read(&self) -> Option<Identified> {
        serde_json::from_slice(&fs_err::read(&self.path).ok()?).ok()
    }

    pub(super) fn write(&self, agent: &Identified) -> io::Result<()> {
        let half = self.path.with_extension("new");
        fs_err::write(&half, serde_json::to_vec(agent)?)?;
        fs_err::rename(half, &self.path)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs_err::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_are_two_agents_and_a_crashed_one_is_the_same() {
        let home = tempfile::tempdir().unwrap();
        let open = || IdentityFile::open(home.path()).unwrap().unwrap();
        let agent = |id: &str| Identified {
            id: id.to_owned(),
            entity: "team".to_owned(),
            queues: vec!["q".to_owned()],
        };
        let (one, two) = (open(), open());
        one.write(&agent("1")).unwrap();
        two.write(&agent("2")).unwrap();
        drop(one);
        let again = open();
        assert_eq!(again.read(), Some(agent("1")));
        again.remove().unwrap();
        again.remove().unwrap();
        assert_eq!(again.read(), None);
        assert_eq!(two.read(), Some(agent("2")));
    }
}
