//! The items in hand, and what must be remembered of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use launch_config::id::{JobId, WorkerName};

use super::failure::Failure;
use super::item::Item;

/// What the mark of a wish to stop ends with.
const STOP: &str = "stop";

/// The items in our hands, written down so that a restarted agent knows them. Other
/// processes may have theirs in the same directory; they become ours when they are asked
/// for by name, which is for whoever holds their journal.
#[derive(Debug, Default)]
pub(super) struct Items {
    known: Mutex<HashMap<JobId, Item>>,
    directory: Option<PathBuf>,
}

impl Items {
    pub(super) fn open(directory: Option<PathBuf>) -> Result<Self, Failure> {
        if let Some(directory) = &directory {
            fs_err::create_dir_all(directory)?;
        }
        let known = Mutex::default();
        Ok(Self { known, directory })
    }

    /// No call panics between two writes.
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Item>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An item in hand, or one that an earlier process wrote down.
    pub(super) fn get(&self, job: &JobId) -> Option<Item> {
        if let Some(item) = self.lock().get(job) {
            return Some(item.clone());
        }
        read(&self.path(job)?)
    }

    /// Whether this process deals with it.
    pub(super) fn is_in_hand(&self, job: &JobId) -> bool {
        self.lock().contains_key(job)
    }

    /// What is written down of a worker, ours and of earlier processes.
    pub(super) fn of(&self, worker: &WorkerName) -> Vec<Item> {
        let mut items: Vec<Item> = self.lock().values().cloned().collect();
        let files = self.directory.as_ref().and_then(|directory| {
            let files = fs_err::read_dir(directory).ok()?;
            Some(files.filter_map(|file| read(&file.ok()?.path())))
        });
        for item in files.into_iter().flatten() {
            if items.iter().all(|known| known.id != item.id) {
                items.push(item);
            }
        }
        items.retain(|item| item.worker == *worker);
        items
    }

    /// Whether this process has nothing in hand.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Counts an item that an earlier process wrote down as ours.
    pub(super) fn take_up(&self, job: &JobId, item: &Item) {
        let mut known = self.lock();
        if !known.contains_key(job) {
            known.insert(job.clone(), item.clone());
        }
    }

    /// Remembers an item: on the disk first, and there for good.
    pub(super) fn keep(&self, item: &Item) -> Result<(), Failure> {
        let job = item.job_id()?;
        if let Some(path) = self.path(&job) {
            let half = path.with_extension("new");
            fs_err::write(&half, serde_json::to_vec(item).unwrap_or_default())?;
            fs_err::File::open(&half)?.sync_all()?;
            fs_err::rename(half, path)?;
        }
        self.lock().insert(job, item.clone());
        Ok(())
    }

    pub(super) fn forget(&self, job: &JobId) -> Result<(), Failure> {
        self.lock().remove(job);
        let path = self.path(job);
        let mark = path.as_ref().map(|path| path.with_extension(STOP));
        for path in path.into_iter().chain(mark) {
            match fs_err::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error.into());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Leaves a mark that the agent which has the item finds, also in another process: an
    /// item itself is written by its agent alone.
    pub(super) fn ask_to_stop(&self, job: &JobId) -> Result<(), Failure> {
        if let Some(item) = self.lock().get_mut(job) {
            item.stopped = true;
        }
        if let Some(path) = self.path(job) {
            fs_err::write(path.with_extension(STOP), "")?;
        }
        Ok(())
    }

    pub(super) fn is_asked_to_stop(&self, job: &JobId) -> bool {
        let known = self.lock().get(job).is_some_and(|item| item.stopped);
        let mark = self.path(job).map(|path| path.with_extension(STOP));
        known || mark.is_some_and(|mark| mark.exists())
    }

    fn path(&self, job: &JobId) -> Option<PathBuf> {
        let directory = self.directory.as_ref()?;
        Some(directory.join(format!("{job}.json")))
    }
}

/// An item that was written whole and by a version we know.
fn read(path: &Path) -> Option<Item> {
    if path.extension()? != "json" {
        return None;
    }
    let item: Item = serde_json::from_slice(&fs_err::read(path).ok()?).ok()?;
    item.is_known().then_some(item)
}

#[cfg(test)]
mod tests {
    use super::super::item::job_id;
    use super::*;

    #[test]
    fn items_are_known_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let directory = Some(home.path().join("items"));
        let spec = serde_json::json!({"run_id": "abc", "_resume_count": 2});
        let (queue, worker): (_, WorkerName) = ("q".parse().unwrap(), "w".parse().unwrap());
        let mut item = Item::popped("i1".to_owned(), queue, worker.clone(), spec).unwrap();
        item.claimed = true;
        Items::open(directory.clone()).unwrap().keep(&item).unwrap();
        fs_err::write(home.path().join("items/torn.json"), "{").unwrap();
        let again = Items::open(directory.clone()).unwrap();
        assert!(again.is_empty(), "another process may live");
        assert_eq!(again.of(&worker).len(), 1);
        let found = again.get(&job_id("i1").unwrap()).unwrap();
        assert_eq!(
            (found.run_id(), found.resumes(), found.claimed),
            ("abc", 2, true)
        );
        again.forget(&job_id("i1").unwrap()).unwrap();
        assert!(Items::open(directory).unwrap().of(&worker).is_empty());
    }
}
