//! What this host has in flight, kept through a crash.
//!
//! Every agent process has a directory of its own, locked for as long as it lives. A
//! starting agent takes over the directories whose lock is free: their owners are dead.
//! An entry is written before a job's first side effect and removed after its last, so a
//! job is either in a journal or needs nothing.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use launch_config::id::RunKey;
use launch_queue::job::{Hold, Job};
use launch_runner::run::RunHandle;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::state::{private_dir, write_atomically};

/// The version of an entry; a newer one is left alone.
const VERSION: u32 = 1;

/// One job in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    version: u32,
    /// The job, spec included, so that it can go on without asking the queue.
    pub(crate) job: Job,
    /// The proof of holding it.
    pub(crate) hold: Hold,
    /// The run, once it was submitted.
    pub(crate) handle: Option<RunHandle>,
}

impl Entry {
    pub(crate) fn new(job: Job, hold: Hold) -> Self {
        Self {
            version: VERSION,
            job,
            hold,
            handle: None,
        }
    }

    pub(crate) fn key(&self) -> RunKey {
        self.job.run_key()
    }
}

/// The journal of one agent process, alive or dead; locked while this value lives.
#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    _lock: fs_err::File,
}

impl Journal {
    /// Opens the journal of this process under `agents`, making it.
    pub(crate) fn create(agents: &Path, name: &str) -> io::Result<Self> {
        let directory = agents.join(name);
        // A starting agent may take the directory for a dead one's, and remove it, until it
        // is locked; that happens once, since our name is new.
        for _ in 0..10 {
            private_dir(&directory.join("journal"))?;
            if let Some(journal) = Self::lock(directory.clone())? {
                private_dir(&directory.join("journal"))?;
                return Ok(journal);
            }
        }
        Err(io::Error::other(format!("agent `{name}` runs already")))
    }

    /// The journals under `agents` whose owners are dead, with what they hold.
    pub(crate) fn orphans(agents: &Path) -> io::Result<Vec<(Self, Vec<Entry>)>> {
        let mut orphans = Vec::new();
        for entry in fs_err::read_dir(agents)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            if let Some(journal) = Self::lock(entry.path())? {
                // An owner killed while it came or went left no journal, or half of one.
                private_dir(&journal.directory.join("journal"))?;
                let entries = journal.entries()?;
                fs_err::remove_dir_all(journal.scratch()?)?;
                orphans.push((journal, entries));
            }
        }
        Ok(orphans)
    }

    /// Locks a directory, unless a living process has it or it is gone.
    fn lock(directory: PathBuf) -> io::Result<Option<Self>> {
        let path = directory.join("lock");
        let mut options = fs_err::OpenOptions::new();
        let file = match options.create(true).truncate(false).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Whoever had it before us may have removed it between our opening and our locking.
        let is_there = fs_err::metadata(&path)
            .is_ok_and(|there| file.metadata().is_ok_and(|ours| ours.ino() == there.ino()));
        Ok(is_there.then_some(Self {
            directory,
            _lock: file,
        }))
    }

    /// A directory for what its jobs make on the way; a crash leaves it to whoever takes
    /// the journal over, who empties it.
    pub(crate) fn scratch(&self) -> io::Result<PathBuf> {
        let scratch = self.directory.join("scratch");
        private_dir(&scratch)?;
        Ok(scratch)
    }

    /// The directory of this agent: where it is asked for its status.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn path(&self, key: &RunKey) -> PathBuf {
        let name = launch_runner::run::run_name(key);
        self.directory.join("journal").join(format!("{name}.json"))
    }

    /// Keeps an entry; when this returns, a crash does not lose it.
    pub(crate) fn keep(&self, entry: &Entry) -> io::Result<()> {
        write_atomically(&self.path(&entry.key()), &serde_json::to_vec(entry)?)
    }

    /// Forgets an entry; forgetting it twice is fine.
    pub(crate) fn forget(&self, key: &RunKey) -> io::Result<()> {
        match fs_err::remove_file(self.path(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Forgets an entry of this very hold: one that was kept with a later hold stays.
    pub(crate) fn forget_hold(&self, entry: &Entry) -> io::Result<()> {
        let kept = match fs_err::read(self.path(&entry.key())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            kept => serde_json::from_slice::<Entry>(&kept?)?,
        };
        if kept.hold == entry.hold {
            self.forget(&entry.key())?;
        }
        Ok(())
    }

    /// The entries there are. One that cannot be read is set aside, for a person.
    fn entries(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for file in fs_err::read_dir(self.directory.join("journal"))? {
            let path = file?.path();
            if is_half_written(&path) {
                fs_err::remove_file(&path)?;
            }
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match serde_json::from_slice::<Entry>(&fs_err::read(&path)?) {
                Ok(entry) if entry.version <= VERSION => entries.push(entry),
                Ok(_) => {
                    tracing::warn!(path = %path.display(), "journal entry of a newer version left alone");
                }
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "unreadable journal entry set aside");
                    fs_err::rename(&path, path.with_extension("unreadable"))?;
                }
            }
        }
        Ok(entries)
    }

    /// The name of the agent whose journal this is.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.directory.file_name().and_then(|name| name.to_str())
    }
}

/// A file that its writer had not yet given its name when it was killed.
fn is_half_written(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(".tmp"))
}

impl Drop for Journal {
    /// An empty journal goes with its owner; one with entries stays for the next start.
    fn drop(&mut self) {
        let is_empty = fs_err::remove_dir(self.directory.join("journal")).is_ok();
        if is_empty && let Err(error) = fs_err::remove_dir_all(&self.directory) {
            tracing::debug!(%error, "journal directory stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use launch_queue::job::Priority;
    use serde_json::json;

    use super::*;

    fn entry(id: &str) -> Entry {
        let (queue, id) = ("default".parse().unwrap(), id.parse().unwrap());
        let job = Job::new(id, queue, Priority::default(), 0, json!({"uri": "/x"}));
        let hold = Hold {
            job: job.id.clone(),
            fence: 7,
        };
        Entry::new(job, hold)
    }

    #[test]
    fn only_the_journals_of_the_dead_are_taken_over() {
        let agents = tempfile::tempdir().unwrap();
        let alive = Journal::create(agents.path(), "a").unwrap();
        alive.keep(&entry("j1")).unwrap();
        assert!(Journal::orphans(agents.path()).unwrap().is_empty());
        assert!(
            Journal::create(agents.path(), "a").is_err(),
            "one process, one journal"
        );
        drop(alive);
        let orphans = Journal::orphans(agents.path()).unwrap();
        assert_eq!(orphans[0].1, [entry("j1")]);
        assert!(
            Journal::orphans(agents.path()).unwrap().is_empty(),
            "held by us now"
        );
    }

    #[test]
    fn what_the_dead_left_half_made_goes() {
        let agents = tempfile::tempdir().unwrap();
        let dead = Journal::create(agents.path(), "a").unwrap();
        dead.keep(&entry("j1")).unwrap();
        fs_err::write(dead.scratch().unwrap().join("half"), "").unwrap();
        drop(dead);
        let orphans = Journal::orphans(agents.path()).unwrap();
        assert!(!orphans[0].0.directory.join("scratch").exists());
    }

    #[test]
    fn an_owner_killed_while_it_came_or_went_leaves_nothing() {
        let agents = tempfile::tempdir().unwrap();
        fs_err::create_dir(agents.path().join("came")).unwrap();
        fs_err::create_dir(agents.path().join("went")).unwrap();
        fs_err::write(agents.path().join("went/lock"), "").unwrap();
        assert_eq!(Journal::orphans(agents.path()).unwrap().len(), 2);
        assert_eq!(fs_err::read_dir(agents.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_unreadable_entry_is_set_aside_and_the_rest_is_read() {
        let agents = tempfile::tempdir().unwrap();
        let journal = Journal::create(agents.path(), "a").unwrap();
        journal.keep(&entry("j1")).unwrap();
        fs_err::write(journal.directory.join("journal/torn.json"), b"{\"ver").unwrap();
        assert_eq!(journal.entries().unwrap().len(), 1);
        assert!(journal.directory.join("journal/torn.unreadable").exists());
        fs_err::write(journal.directory.join("journal/.tmp1"), b"{").unwrap();
        assert_eq!(journal.entries().unwrap().len(), 1);
        assert!(!journal.directory.join("journal/.tmp1").exists());
    }

    #[test]
    fn an_entry_of_a_later_hold_is_not_forgotten_with_an_earlier_one() {
        let agents = tempfile::tempdir().unwrap();
        let journal = Journal::create(agents.path(), "a").unwrap();
        let (mut later, earlier) = (entry("j1"), entry("j1"));
        later.hold.fence += 1;
        journal.keep(&later).unwrap();
        journal.forget_hold(&earlier).unwrap();
        assert_eq!(journal.entries().unwrap(), [later.clone()]);
        journal.forget_hold(&later).unwrap();
        journal.forget_hold(&later).unwrap();
        assert_eq!(journal.entries().unwrap(), []);
    }

    #[test]
    fn a_closed_journal_leaves_nothing_unless_a_job_is_in_it() {
        let agents = tempfile::tempdir().unwrap();
        let journal = Journal::create(agents.path(), "a").unwrap();
        journal.keep(&entry("j1")).unwrap();
        journal.forget(&entry("j1").key()).unwrap();
        journal.forget(&entry("j1").key()).unwrap();
        drop(journal);
        assert_eq!(fs_err::read_dir(agents.path()).unwrap().count(), 0);
    }
}
