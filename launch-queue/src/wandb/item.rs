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

/// What the mark of a wish to stop ends with.
const STOP: &str = "stop";

/// How many characters a run's id has, when the spec brings none.
const RUN_ID: u32 = 8;

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
    /// The run's id, also for a spec that has no place for it.
    #[serde(default)]
    run: String,
    /// The server knows that we have it.
    pub(super) claimed: bool,
    /// Somebody asked for its run to stop.
    #[serde(default)]
    pub(super) stopped: bool,
    /// The items of the queue when this one was about to be pushed again: one that is not
    /// among them is the new one, should the answer be lost.
    #[serde(default)]
    pub(super) before_requeue: Option<Vec<String>>,
    /// Where the output of its run is.
    #[serde(default)]
    pub(super) log: Option<PathBuf>,
}

impl Item {
    /// An item as it was popped. Its run gets an id, if the spec brings none: the server
    /// learns it with the claim, before anything of the run exists.
    pub(super) fn popped(
        id: String,
        queue: QueueName,
        worker: WorkerName,
        mut spec: Value,
    ) -> std::io::Result<Self> {
        let named = spec["run_id"].as_str().filter(|id| !id.is_empty());
        let run = match named {
            Some(run) => run.to_owned(),
            None => crate::fresh_id::random_base36(RUN_ID)?,
        };
        if let Some(fields) = spec.as_object_mut() {
            fields.insert("run_id".to_owned(), run.clone().into());
        }
        Ok(Self {
            version: VERSION,
            id,
            queue,
            worker,
            spec,
            run,
            claimed: false,
            stopped: false,
            before_requeue: None,
            log: None,
        })
    }

    pub(super) fn job_id(&self) -> Result<JobId, Failure> {
        job_id(&self.id)
    }

    pub(super) fn text(&self, key: &str) -> &str {
        self.spec[key].as_str().unwrap_or_default()
    }

    pub(super) fn run_id(&self) -> &str {
        if self.run.is_empty() {
            return self.text("run_id");
        }
        &self.run
    }

    /// The project of its run, as the server spells projects.
    pub(super) fn project(&self) -> String {
        self.text("project").to_lowercase()
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

    #[test]
    fn a_run_has_an_id_even_if_its_spec_has_no_place_for_it() {
        let popped = |spec| {
            let (queue, worker) = ("q".parse().unwrap(), "w".parse().unwrap());
            Item::popped("i1".to_owned(), queue, worker, spec).unwrap()
        };
        assert_eq!(popped(Value::Null).run_id().len(), 8);
        let item = popped(serde_json::json!({"run_id": ""}));
        assert_eq!(item.spec["run_id"], item.run_id());
    }
}
