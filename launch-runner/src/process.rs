//! Runs as processes of this machine.
//!
//! Each run has a directory, named after its key, and a supervisor of its own: a small
//! shell that starts the program, waits for it and writes down its exit code. The run
//! therefore goes on when the process that submitted it dies, and its true end is known
//! to whoever looks next.
//!
//! A run is no sandbox: it is the user's program with the user's rights. What it does not
//! get is the agent's environment: only [`INHERITED`] passes, and what the request gives.
//! Besides these it finds `LAUNCH_RUN_DIR`, by which its processes are recognised.
//!
//! `resource_args.local-process` may hold `ulimit`, as for a container: limits of the program
//! and of what it starts, each process by itself.
//!
//! Limits: processes that leave their group *and* change their environment are not found
//! when the run is killed; a log is as long as the program makes it; a restart of the
//! machine ends the run, which is then reported lost. Off Linux, a supervisor is known
//! by its process id alone.

mod death;
mod directory;
mod limit;
mod program;
mod run;
mod signals;
mod supervisor;
mod watch;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use launch_config::id::RunKey;

use self::directory::{Kept, REMOVED, RunDirectory, Status};
pub use self::program::INHERITED;
use self::program::Plan;
use self::run::ProcessRun;
use crate::run::{Run, RunHandle, RunRequest, run_name};
use crate::{Error, Runner};

/// What handles of this runner say.
const NAME: &str = "process";

/// Runs jobs as local processes.
///
/// ```no_run
/// use launch_runner::Runner as _;
/// use launch_runner::process::ProcessRunner;
///
/// # async fn example() -> Result<(), launch_runner::Error> {
/// let runner = ProcessRunner::open("/var/lib/launch/runs")?;
/// runner.check().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ProcessRunner {
    dir: PathBuf,
}

impl ProcessRunner {
    /// Keeps the runs in `dir`, which is made if it is not there. Whoever opens the same
    /// directory finds the same runs; give each agent its own.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the directory cannot be made.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = std::path::absolute(dir.as_ref())
            .and_then(|dir| directory::make_private(&dir).map(|()| dir))
            .map_err(|error| unavailable(dir.as_ref(), error))?;
        sweep(&dir);
        Ok(Self { dir })
    }

    fn directory(&self, key: &RunKey) -> RunDirectory {
        RunDirectory::new(self.dir.join(run_name(key)))
    }
}

impl fmt::Display for ProcessRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "local processes in {}", self.dir.display())
    }
}

#[async_trait]
impl Runner for ProcessRunner {
    async fn check(&self) -> Result<(), Error> {
        let dir = self.dir.clone();
        blocking(move || check(&dir)).await
    }

    async fn submit(&self, request: RunRequest) -> Result<Box<dyn Run>, Error> {
        let key = request.key.clone();
        let directory = self.directory(&key);
        let look = directory.clone();
        let status = blocking(move || look.status()).await;
        match status.map_err(|error| backend("find", &key, error))? {
            Status::Gone | Status::Unstarted => start(&directory, request).await?,
            Status::Running { .. } | Status::Ended(_) => {}
        }
        Ok(Box::new(ProcessRun::new(
            ProcessRun::handle_of(key, &directory),
            directory,
        )))
    }

    async fn attach(&self, handle: &RunHandle) -> Result<Box<dyn Run>, Error> {
        let key = handle.key.clone();
        if handle.runner != NAME {
            return Err(Error::Handle {
                key,
                runner: handle.runner.clone(),
            });
        }
        // The key leads to the directory; the path in the handle is for people only.
        let directory = self.directory(&key);
        let look = directory.clone();
        let status = blocking(move || look.status()).await;
        match status.map_err(|error| backend("find", &key, error))? {
            Status::Gone => Err(Error::Lost(key)),
            _ => Ok(Box::new(ProcessRun::new(
                ProcessRun::handle_of(key, &directory),
                directory,
            ))),
        }
    }

    async fn owned(&self) -> Result<Vec<RunKey>, Error> {
        let dir = self.dir.clone();
        blocking(move || owned(&dir).map_err(|error| unavailable(&dir, error))).await
    }
}

async fn start(directory: &RunDirectory, request: RunRequest) -> Result<(), Error> {
    let key = request.key.clone();
    let refused = |why| Error::Refused {
        runner: NAME,
        key: key.clone(),
        why,
    };
    let (kept_key, labels, look) = (key.clone(), request.labels.clone(), directory.clone());
    let prepared = blocking(move || {
        let plan = Plan::of(request, std::env::vars_os())?;
        let program = plan.program.to_string_lossy().into_owned();
        let kept = Kept {
            version: 1,
            key: kept_key,
            program,
            tree: plan.tree.clone(),
            labels,
        };
        Ok(look.prepare(&kept).map(|log| (plan, log)))
    });
    let (plan, log) = prepared
        .await
        .map_err(refused)?
        .map_err(|error| backend("prepare", &key, error))?;
    supervisor::start(directory, &plan, log)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::ArgumentListTooLong => refused(
                "its arguments and environment are larger than this system takes (see `getconf \
             ARG_MAX`; one value may have 128 KiB)"
                    .to_owned(),
            ),
            _ => backend("start", &key, error),
        })
}

fn check(dir: &Path) -> Result<(), Error> {
    use rustix::fs::{Access, access};
    access(dir, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
        .map_err(|error| unavailable(dir, error.into()))?;
    access("/bin/sh", Access::EXEC_OK).map_err(|error| Error::Unavailable {
        runner: NAME,
        missing: "a shell at `/bin/sh`".to_owned(),
        source: Some(Box::new(error)),
    })
}

fn owned(dir: &Path) -> io::Result<Vec<RunKey>> {
    let mut keys = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with("launch-"));
        // Without `request.json` its submit died before it made anything that could run.
        if let Some(kept) = ours
            .then(|| RunDirectory::new(entry.path()).kept())
            .transpose()?
            .flatten()
        {
            keys.push(kept.key);
        }
    }
    Ok(keys)
}

/// Finishes removals that a crash interrupted.
fn sweep(dir: &Path) {
    let entries = fs_err::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let removed = |entry: &fs_err::DirEntry| {
        entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(REMOVED))
    };
    for entry in entries.filter(removed) {
        if let Err(error) = fs_err::remove_dir_all(entry.path()) {
            tracing::debug!(%error, "a removed run is still there");
        }
    }
}

fn unavailable(dir: &Path, error: io::Error) -> Error {
    Error::Unavailable {
        runner: NAME,
        missing: format!(
            "a directory for runs at `{}` that we can write to",
            dir.display()
        ),
        source: Some(Box::new(error)),
    }
}

fn backend(action: &'static str, key: &RunKey, error: io::Error) -> Error {
    Error::Backend {
        runner: NAME,
        action,
        key: key.clone(),
        source: Box::new(error),
    }
}

/// Runs `work`, which touches the disk, where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is shutting down: this future will not be polled again.
        Err(_) => std::future::pending().await,
    }
}
