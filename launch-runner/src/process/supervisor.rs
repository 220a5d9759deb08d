//! The parent of a run, which stays when we do not.
//!
//! An exit code is known only to the parent of a process. That must not be us: we may
//! be killed at any moment. So every run gets a parent of its own, a few lines of POSIX
//! shell that use nothing but builtins (the job's PATH may lead anywhere).

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::Instant;

use super::directory::RunDirectory;
use super::program::Plan;
use super::signals::COOKIE;

/// The supervisor: `$1` is the run's directory, the rest is the program.
///
/// - The trap lets it outlive a signal to the group; a caught signal, unlike an ignored
///   one, is reset in its child.
/// - `set -C` opens `pid` with `O_EXCL`: of all who try, one gets it, ever.
/// - The subshell becomes the program; shells tell of a killed child on the stderr they
///   have, which is the log only in there.
/// - `exit` is written over the block that was reserved for it.
/// - The last line ends what the program left in the group, and the supervisor.
const SCRIPT: &str = r#"
dir=$1
shift
trap : TERM INT HUP
set -C
echo "$$" >"$dir/pid" || exit 0
set +C
[ -e "$dir/cancelled" ] && exit 0
(exec "$@" 2>&1)
code=$?
word=
[ -e "$dir/cancelled" ] && word=cancelled
echo "$code $word" 1<>"$dir/exit"
kill -s KILL 0
"#;

/// How long a supervisor may take to claim its start.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// Starts a supervisor, and returns once the start was claimed by it or by another.
pub(super) async fn start(
    directory: &RunDirectory,
    plan: &Plan,
    log: fs_err::File,
) -> io::Result<()> {
    let mut child = command(directory, plan, log).spawn()?;
    let claimed = claimed(directory, &mut child).await;
    // Whoever started it must wait for it, or it stays a zombie as long as we live.
    tokio::spawn(async move { child.wait().await });
    claimed
}

fn command(directory: &RunDirectory, plan: &Plan, log: fs_err::File) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", SCRIPT, "launch-run"])
        .arg(directory.path())
        .arg(&plan.program)
        .args(&plan.args)
        .current_dir(&plan.tree)
        .env_clear()
        .envs(plan.environment())
        .env(COOKIE, directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::from(log.into_file()))
        .stderr(Stdio::null())
        .process_group(0);
    command
}

async fn claimed(directory: &RunDirectory, child: &mut Child) -> io::Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut pause = Duration::from_millis(1);
    loop {
        let ended = child.try_wait()?;
        let look = directory.clone();
        if super::blocking(move || look.is_claimed()).await? {
            return Ok(());
        }
        if let Some(status) = ended {
            return Err(io::Error::other(format!(
                "the supervisor ended at once: {status}"
            )));
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the supervisor did not start",
            ));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
