//! Items of a server's queue as jobs, and what must be remembered of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use launch_config::id::{JobId, QueueName, WorkerName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::failure::Failure;
use crate::job::{Job, JobRecord, JobState, Priority};

/// The only fence there is: the server gives an item to one agent, once.
pub(super) const FENCE: u64 = 1;

/// The version of a written item; a newer one is left alone.
const VERSION: u32 = 1;

/// An item in our hands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Item {
    version: u32,
    /// The server's id of it.
    pub(super) id: String,
    pub(super) queue: QueueName,
    pub(super) worker: WorkerName,
    /// The spec, with the run's id in it.
    pub(super) spec: Value,
    /// The server knows that we have it.
    pub(super) claimed: bool,
    /// Somebody asked for its run to stop.
    #[serde(default)]
    pub(super) stopped: bool,
}

impl Item {
    pub(super) fn new(id: String, queue: QueueName, worker: WorkerName, spec: Value) -> Self {
        Self {
            version: VERSION,
            id,
            queue,
            worker,
            spec,
            claimed: false,
            stopped: false,
        }
    }

    pub(super) fn job_id(&self) -> Result<JobId, Failure> {
        job_id(&self.id)
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.spec[key].as_str().unwrap_or_default()
    }

    pub(super) fn run_id(&self) -> &str {
        self.text("run_id")
    }

    /// How often the run was preempted before.
    pub(super) fn resumes(&self) -> u32 {
        let count = self.spec["_resume_count"].as_u64().unwrap_or(0);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    pub(super) fn job(&self) -> Result<Job, Failure> {
        Ok(Job::new(
            self.job_id()?,
            self.queue.clone(),
            Priority::default(),
            self.resumes(),
            self.spec.clone(),
        ))
    }

    pub(super) fn record(&self) -> Result<JobRecord, Failure> {
        let mut record = JobRecord::waiting(self.job()?, 0);
        record.state = JobState::Leased;
        record.worker = Some(self.worker.clone());
        record.fence = FENCE;
        record.cancel_requested = self.stopped;
        Ok(record)
    }
}

/// `w` and the hexadecimal digits of the server's id, which is opaque and may hold what no
/// name of a container or pod may.
pub(super) fn job_id(item: &str) -> Result<JobId, Failure> {
    let mut text = String::from("w");
    for byte in item.bytes() {
        text += &format!("{byte:02x}");
    }
    text.parse()
        .map_err(|_| Failure::Shape("item id of a sensible length"))
}

/// The server's id of a job, if it came from a server.
pub(super) fn item_id(job: &JobId) -> Option<String> {
    let digits = job.as_str().strip_prefix('w')?.as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let text = std::str::from_utf8(pair)
            .ok()
            .filter(|text| text.len() == 2)?;
        u8::from_str_radix(text, 16).ok()
    });
    String::from_utf8(pairs.collect::<Option<Vec<u8>>>()?).ok()
}

/// The items in our hands, written down so that a restarted agent knows them.
#[derive(Debug, Default)]
pub(super) struct Items {
    known: Mutex<HashMap<JobId, Item>>,
    directory: Option<PathBuf>,
}

impl Items {
    /// Reads what an earlier process wrote.
    pub(super) fn open(directory: Option<PathBuf>) -> Result<Self, Failure> {
        let mut known = HashMap::new();
        if let Some(directory) = &directory {
            fs_err::create_dir_all(directory)?;
            for file in fs_err::read_dir(directory)? {
                let path = file?.path();
                if let Some(item) = read(&path) {
                    known.insert(item.job_id()?, item);
                }
            }
        }
        Ok(Self {
            known: Mutex::new(known),
            directory,
        })
    }

    /// No call panics between two writes.
    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Item>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, job: &JobId) -> Option<Item> {
        self.lock().get(job).cloned()
    }

    pub(super) fn all(&self) -> Vec<Item> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Remembers an item: on the disk first.
    pub(super) fn keep(&self, item: &Item) -> Result<(), Failure> {
        let job = item.job_id()?;
        if let Some(path) = self.path(&job) {
            let half = path.with_extension("new");
            fs_err::write(&half, serde_json::to_vec(item).unwrap_or_default())?;
            fs_err::rename(half, path)?;
        }
        self.lock().insert(job, item.clone());
        Ok(())
    }

    pub(super) fn forget(&self, job: &JobId) -> Result<(), Failure> {
        self.lock().remove(job);
        match self.path(job).map(fs_err::remove_file) {
            Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
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
    (item.version <= VERSION).then_some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_items_id_comes_back_from_its_job() {
        for id in ["UnVuUXVldWVJdGVtOjE=", "a/b+c", "ü"] {
            let job = job_id(id).unwrap();
            assert_eq!(item_id(&job).as_deref(), Some(id));
        }
        assert!(job_id(&"x".repeat(100)).is_err());
        assert_eq!(item_id(&"jmwssvif8ylhp1qi".parse().unwrap()), None);
        assert_eq!(item_id(&"w123".parse().unwrap()), None);
    }

    #[test]
    fn items_are_known_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let directory = Some(home.path().join("items"));
        let spec = serde_json::json!({"run_id": "abc", "_resume_count": 2});
        let queue = "q".parse().unwrap();
        let mut item = Item::new("i1".to_owned(), queue, "w".parse().unwrap(), spec);
        item.claimed = true;
        Items::open(directory.clone()).unwrap().keep(&item).unwrap();
        fs_err::write(home.path().join("items/torn.json"), "{").unwrap();
        let again = Items::open(directory.clone()).unwrap();
        let found = again.get(&job_id("i1").unwrap()).unwrap();
        assert_eq!(
            (found.run_id(), found.resumes(), found.claimed),
            ("abc", 2, true)
        );
        again.forget(&job_id("i1").unwrap()).unwrap();
        assert!(Items::open(directory).unwrap().is_empty());
    }
}
