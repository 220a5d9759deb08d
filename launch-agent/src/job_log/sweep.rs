//! Old output goes.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use launch_config::agent::{DEFAULT_JOB_LOGS_DAYS, DEFAULT_JOB_LOGS_MIB, ObservabilityConfig};

use super::MIB;
use crate::state::StateDir;

/// How often an agent looks for old output.
const EVERY: Duration = Duration::from_hours(1);

/// How much output is kept of jobs that have ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retention {
    age: Duration,
    bytes: u64,
}

/// A file of output.
struct Found {
    path: PathBuf,
    age: Duration,
    bytes: u64,
}

impl Retention {
    pub(crate) fn of(config: &ObservabilityConfig) -> Self {
        let days = config.job_logs_days.unwrap_or(DEFAULT_JOB_LOGS_DAYS);
        let mib = config.job_logs_mib.unwrap_or(DEFAULT_JOB_LOGS_MIB);
        Self {
            age: Duration::from_secs(days.saturating_mul(24 * 3600)),
            bytes: mib.saturating_mul(MIB),
        }
    }

    /// Removes old output, now and every hour.
    pub(crate) async fn keep(self, state: StateDir) {
        loop {
            let place = state.clone();
            let swept = tokio::task::spawn_blocking(move || self.sweep(&place));
            match swept.await {
                Ok(Ok(0)) | Err(_) => {}
                Ok(Ok(files)) => tracing::info!(files, "old output of jobs removed"),
                Ok(Err(error)) => tracing::warn!(%error, "old output of jobs stays"),
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Removes what is too old, then the oldest until the rest is small enough; what belongs
    /// to a job in flight stays. Answers how many files went.
    fn sweep(&self, state: &StateDir) -> io::Result<usize> {
        let in_flight = in_flight(&state.agents())?;
        let mut found = files(&state.logs())?;
        found.retain(|file| !in_flight.contains(&run(&file.path)));
        found.sort_by_key(|file| file.age);
        let (mut kept, mut removed) = (0_u64, 0);
        for file in found {
            kept = kept.saturating_add(file.bytes);
            if file.age > self.age || kept > self.bytes {
                fs_err::remove_file(&file.path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}

/// The name of the run whose output a file has: `<run>.log`, `<run>.log.<offset>`.
fn run(path: &Path) -> OsString {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let run = name.split(".log").next().unwrap_or_default();
    run.to_owned().into()
}

fn files(directory: &Path) -> io::Result<Vec<Found>> {
    let entries = match fs_err::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let about = entry.metadata()?;
        if about.is_file() {
            found.push(Found {
                path: entry.path(),
                // A time that is to come is none.
                age: about.modified()?.elapsed().unwrap_or_default(),
                bytes: about.len(),
            });
        }
    }
    Ok(found)
}

/// The runs in the journals of all agents, alive or dead.
fn in_flight(agents: &Path) -> io::Result<HashSet<OsString>> {
    let mut runs = HashSet::new();
    let entries = match fs_err::read_dir(agents) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(runs),
        entries => entries?,
    };
    for agent in entries {
        // An agent that has just gone has nothing in flight.
        let Ok(journal) = fs_err::read_dir(agent?.path().join("journal")) else {
            continue;
        };
        for entry in journal {
            runs.extend(entry?.path().file_stem().map(OsString::from));
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of 100 bytes, the first the oldest.
    fn state(names: &[&str]) -> (tempfile::TempDir, StateDir) {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::locate(Some(home.path()), |_| None).unwrap();
        fs_err::create_dir_all(state.logs()).unwrap();
        for (number, name) in names.iter().enumerate() {
            let path = state.logs().join(name);
            fs_err::write(&path, [b'x'; 100]).unwrap();
            let hours = Duration::from_hours((names.len() - number) as u64);
            let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
            let modified = file.metadata().unwrap().modified().unwrap();
            file.file().set_modified(modified - hours).unwrap();
        }
        (home, state)
    }

    fn left(state: &StateDir) -> Vec<String> {
        let entries = fs_err::read_dir(state.logs()).unwrap();
        let name =
            |entry: io::Result<fs_err::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_goes_first_and_what_is_in_flight_stays() {
        let names = ["a.log", "b.log.0", "b.log", "c.log", "d.log"];
        let (_home, state) = state(&names);
        let journal = state.agents().join("agent/journal");
        fs_err::create_dir_all(&journal).unwrap();
        fs_err::write(journal.join("b.json"), "").unwrap();
        let (age, bytes) = (Duration::from_hours(90), 250);
        assert_eq!(Retention { age, bytes }.sweep(&state).unwrap(), 1);
        assert_eq!(left(&state), ["b.log", "b.log.0", "c.log", "d.log"]);
        let age = Duration::from_mins(90);
        assert_eq!(Retention { age, bytes }.sweep(&state).unwrap(), 1);
        assert_eq!(left(&state), ["b.log", "b.log.0", "d.log"]);
    }

    #[test]
    fn without_a_directory_there_is_nothing_to_do() {
        let home = tempfile::tempdir().unwrap();
        let state = StateDir::locate(Some(&home.path().join("none")), |_| None).unwrap();
        let retention = Retention::of(&ObservabilityConfig::default());
        assert_eq!(retention.sweep(&state).unwrap(), 0);
    }
}
