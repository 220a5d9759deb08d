//! What a run leaves on disk, and what can be told from it.
//!
//! | file | writer | holds |
//! | --- | --- | --- |
//! | `request.json` | submit | the key and what people may want to know; nothing secret |
//! | `log` | the program | stdout and stderr as they came |
//! | `pid` | the supervisor, once | its process id, which is that of the group |
//! | `exit` | the supervisor | the exit code, then `cancelled` if the marker was there |
//! | `cancelled` | cancel | nothing; that it exists is the fact |

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fs_err::OpenOptions;
use launch_config::id::RunKey;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::signals;
use crate::run::RunEnd;

/// How long a claim may be without its number: one `write` after one `open`.
const CLAIM_PATIENCE: Duration = Duration::from_secs(2);

/// Names of directories on their way out; see [`RunDirectory::remove`].
pub(super) const REMOVED: &str = ".removed-";

/// Where a run stands on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Status {
    /// There is no directory.
    Gone,
    /// Nothing has claimed the start yet.
    Unstarted,
    /// The supervisor lives.
    Running {
        /// Its id, and that of the process group.
        group: Pid,
        /// Whether the run was cancelled.
        stopping: bool,
    },
    /// The supervisor is gone, or there will never be one.
    Ended(RunEnd),
}

/// Who has the right to start the program.
enum Claim {
    /// Nobody yet.
    Open,
    /// The supervisor with this id.
    By(Pid),
    /// A supervisor that died between opening the file and writing its id.
    Broken,
}

/// What `request.json` holds. Arguments are left out: people put secrets there.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The version of this file.
    pub(super) version: u32,
    pub(super) key: RunKey,
    pub(super) program: String,
    pub(super) tree: PathBuf,
    pub(super) labels: BTreeMap<String, String>,
}

/// The directory of one run.
#[derive(Debug, Clone)]
pub(super) struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    fn exit(&self) -> PathBuf {
        self.path.join("exit")
    }

    fn cancelled(&self) -> PathBuf {
        self.path.join("cancelled")
    }

    /// Where the run stands now. A run whose supervisor died without a word is ended
    /// here, before it is told lost: what is told lost may be run again elsewhere.
    pub(super) fn status(&self) -> io::Result<Status> {
        match self.claim()? {
            Claim::Open => return self.status_unclaimed(),
            Claim::By(pid) if signals::is_supervisor(pid, &self.path) => {
                return Ok(Status::Running {
                    group: pid,
                    stopping: self.is_cancelled()?,
                });
            }
            Claim::By(_) | Claim::Broken => {}
        }
        // Only now is `exit` final: its writer is dead.
        if let Some(end) = self.exit_line()? {
            return Ok(Status::Ended(end));
        }
        signals::end_leftovers(&self.path);
        self.end_without_code().map(Status::Ended)
    }

    fn status_unclaimed(&self) -> io::Result<Status> {
        if !self.path.try_exists()? {
            return Ok(Status::Gone);
        }
        let cancelled = self.is_cancelled()?;
        Ok(if cancelled {
            Status::Ended(RunEnd::cancelled())
        } else {
            Status::Unstarted
        })
    }

    fn claim(&self) -> io::Result<Claim> {
        let mut waited = Duration::ZERO;
        loop {
            let Some(text) = absent_is_none(fs_err::read_to_string(self.path.join("pid")))? else {
                return Ok(Claim::Open);
            };
            if text.ends_with('\n') {
                let pid = text.trim().parse().ok().and_then(Pid::from_raw);
                return Ok(pid.map_or(Claim::Broken, Claim::By));
            }
            if waited >= CLAIM_PATIENCE {
                return Ok(Claim::Broken);
            }
            let pause = Duration::from_millis(5);
            std::thread::sleep(pause);
            waited += pause;
        }
    }

    /// Whether a supervisor has claimed the start.
    pub(super) fn is_claimed(&self) -> io::Result<bool> {
        self.claim().map(|claim| !matches!(claim, Claim::Open))
    }

    /// The end as the supervisor wrote it, if its line is whole.
    fn exit_line(&self) -> io::Result<Option<RunEnd>> {
        let text = absent_is_none(fs_err::read_to_string(self.exit()))?.unwrap_or_default();
        let Some((line, _)) = text.split_once('\n') else {
            return Ok(None);
        };
        let mut words = line.split_whitespace();
        let Some(code) = words.next().and_then(|word| word.parse().ok()) else {
            return Ok(None);
        };
        let cancelled = words.next() == Some("cancelled");
        Ok(Some(if cancelled {
            RunEnd::cancelled()
        } else {
            RunEnd::of_exit_code(code)
        }))
    }

    fn end_without_code(&self) -> io::Result<RunEnd> {
        if self.is_cancelled()? {
            return Ok(RunEnd::cancelled());
        }
        Ok(RunEnd::lost(
            "the run left no exit code: the machine restarted, or somebody killed its supervisor",
        ))
    }

    fn is_cancelled(&self) -> io::Result<bool> {
        self.cancelled().try_exists()
    }

    /// Writes the marker that makes the run count as cancelled from now on.
    pub(super) fn mark_cancelled(&self) -> io::Result<()> {
        match private()
            .write(true)
            .create_new(true)
            .open(self.cancelled())
        {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other.map(drop),
        }
    }

    /// Makes the directory and what the supervisor needs in it. Repeatable, also by two
    /// at once: nothing that a run may have written is touched.
    pub(super) fn prepare(&self, kept: &Kept) -> io::Result<fs_err::File> {
        make_private(&self.path)?;
        let text = serde_json::to_vec_pretty(kept)?;
        let file = self.path.join("request.json");
        let draft = self.path.join(format!("request.json.{}", unique()));
        private()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&draft)?
            .write_all(&text)?;
        fs_err::rename(draft, file)?;
        self.reserve_exit()?;
        private().append(true).create(true).open(self.log())
    }

    /// Allocates the block the exit code goes to, so that a job that filled the disk
    /// can still say how it ended.
    fn reserve_exit(&self) -> io::Result<()> {
        match private().write(true).create_new(true).open(self.exit()) {
            Ok(mut file) => file.write_all(&[b' '; 31]),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What was kept of the request, if that much was written.
    pub(super) fn kept(&self) -> io::Result<Option<Kept>> {
        let Some(text) = absent_is_none(fs_err::read(self.path.join("request.json")))? else {
            return Ok(None);
        };
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Removes the directory. It is renamed first: half a directory would look like a
    /// run that never started, and be started again.
    pub(super) fn remove(&self) -> io::Result<()> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let away = self
            .path
            .with_file_name(format!("{REMOVED}{name}-{}", unique()));
        match fs_err::rename(&self.path, &away) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        fs_err::remove_dir_all(away)
    }
}

/// Makes a directory only its owner can look into, and its parents as they come.
pub(super) fn make_private(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// A suffix no other call uses at this time, here or in another process.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(
        "{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

fn private() -> OpenOptions {
    use fs_err::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use launch_config::outcome::Reason;

    use super::*;

    fn made() -> (tempfile::TempDir, RunDirectory) {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDirectory::new(dir.path().join("launch-a-0"));
        let key = RunKey::new("a".parse().unwrap(), 0);
        let tree = dir.path().to_owned();
        let kept = Kept {
            version: 1,
            key,
            program: "sh".into(),
            tree,
            labels: BTreeMap::default(),
        };
        drop(run.prepare(&kept).unwrap());
        (dir, run)
    }

    fn reason(run: &RunDirectory) -> Option<Reason> {
        match run.status().unwrap() {
            Status::Ended(end) => Some(end.reason),
            _ => None,
        }
    }

    #[test]
    fn the_marker_decides_before_the_start_and_without_a_code() {
        let (_dir, run) = made();
        assert_eq!(run.status().unwrap(), Status::Unstarted);
        run.mark_cancelled().unwrap();
        run.mark_cancelled().unwrap();
        assert_eq!(reason(&run), Some(Reason::Cancelled));
        // Process 1 is alive, and not our supervisor.
        fs_err::write(run.path().join("pid"), "1\n").unwrap();
        assert_eq!(reason(&run), Some(Reason::Cancelled));
    }

    #[test]
    fn the_exit_line_counts_once_it_is_whole() {
        let (_dir, run) = made();
        fs_err::write(run.path().join("pid"), "1\n").unwrap();
        assert_eq!(reason(&run), Some(Reason::Lost));
        fs_err::write(run.exit(), "13").unwrap();
        assert_eq!(reason(&run), Some(Reason::Lost));
        fs_err::write(run.exit(), "3 \n    ").unwrap();
        assert_eq!(reason(&run), Some(Reason::Failed { code: 3 }));
        run.mark_cancelled().unwrap();
        assert_eq!(
            reason(&run),
            Some(Reason::Failed { code: 3 }),
            "it ended before"
        );
        fs_err::write(run.exit(), "0 cancelled\n").unwrap();
        assert_eq!(reason(&run), Some(Reason::Cancelled));
    }

    #[test]
    fn preparing_again_keeps_what_the_run_wrote() {
        let (_dir, run) = made();
        fs_err::write(run.exit(), "0 \n").unwrap();
        fs_err::write(run.log(), "out").unwrap();
        let kept = run.kept().unwrap().unwrap();
        drop(run.prepare(&kept).unwrap());
        assert!(run.exit_line().unwrap().is_some());
        assert_eq!(fs_err::read_to_string(run.log()).unwrap(), "out");
        run.remove().unwrap();
        run.remove().unwrap();
        assert_eq!(run.status().unwrap(), Status::Gone);
    }
}
