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

/// The supervisor: `$1` is the run's directory, `$2` sets the limits, the rest is the
/// program.
///
/// - The trap lets it outlive a signal to the group; a caught signal, unlike an ignored
///   one, is reset in its child.
/// - `set -C` opens `pid` with `O_EXCL`: of all who try, one gets it, ever.
/// - The subshell becomes the program; shells tell of a killed child on the stderr they
///   have, which is the log only in there.
/// - Limits are the subshell's, so that the supervisor can always write down the end. One
///   that cannot be had ends the run before its program starts, with code 126.
/// - `exit` is written over the block that was reserved for it.
/// - The last line ends what the program left in the group, and the supervisor.
const SCRIPT: &str = r#"
dir=$1
limits=$2
shift 2
trap : TERM INT HUP
set -C
echo "$$" >"$dir/pid" || exit 0
set +C
[ -e "$dir/cancelled" ] && exit 0
(exec 2>&1; eval "$limits" || exit 126; exec "$@")
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
        .arg(&plan.limits)
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// Every POSIX shell of this machine; `/bin/sh` may be any of them elsewhere.
    fn shells() -> Vec<Vec<&'static str>> {
        let known = [
            vec!["/bin/sh"],
            vec!["/bin/dash"],
            vec!["/bin/bash", "--posix"],
            vec!["/bin/busybox", "sh"],
            vec!["/bin/ksh"],
            vec!["/bin/zsh", "--emulate", "sh"],
        ];
        known
            .into_iter()
            .filter(|shell| Path::new(shell[0]).exists())
            .collect()
    }

    /// Runs the script as a group of its own, and returns what `exit` and stdout hold.
    fn supervise(shell: &[&str], dir: &Path, program: &[&str]) -> (String, String) {
        use std::os::unix::process::CommandExt as _;
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", SCRIPT, "launch-run"])
            .arg(dir)
            .arg("ulimit -n 40 && ulimit -f 2048")
            .args(program)
            .stderr(Stdio::null())
            .process_group(0)
            .output()
            .unwrap();
        let exit = fs_err::read_to_string(dir.join("exit")).unwrap_or_default();
        (
            exit.lines().next().unwrap_or_default().trim().to_owned(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }

    fn reserved() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("exit"), [b' '; 31]).unwrap();
        dir
    }

    #[test]
    fn every_shell_keeps_the_code_and_adds_nothing_to_the_output() {
        for shell in shells() {
            for (script, code) in [("exit 0", "0"), ("exit 7", "7"), ("kill -9 $$", "137")] {
                let dir = reserved();
                let program = [
                    "/bin/sh",
                    "-c",
                    &format!("echo out; echo err >&2; {script}"),
                ];
                let (exit, output) = supervise(&shell, dir.path(), &program);
                assert_eq!(
                    (exit.as_str(), output.as_str()),
                    (code, "out\nerr\n"),
                    "{shell:?}"
                );
            }
        }
    }

    #[test]
    fn every_shell_sets_limits() {
        for shell in shells() {
            let dir = reserved();
            let (exit, output) = supervise(
                &shell,
                dir.path(),
                &["/bin/sh", "-c", "ulimit -n; ulimit -f"],
            );
            assert_eq!(
                (exit.as_str(), output.as_str()),
                ("0", "40\n2048\n"),
                "{shell:?}"
            );
        }
    }

    #[test]
    fn every_shell_outlives_a_signal_to_the_group() {
        for shell in shells() {
            let dir = reserved();
            // Signal 0 goes to the whole group, the supervisor included.
            let program = [
                "/bin/sh",
                "-c",
                "kill -TERM 0; kill -INT 0; kill -HUP 0; sleep 5",
            ];
            let (exit, _) = supervise(&shell, dir.path(), &program);
            assert_eq!(exit, "143", "{shell:?}");
        }
    }

    #[test]
    fn every_shell_starts_a_claimed_or_cancelled_run_never() {
        for shell in shells() {
            let dir = reserved();
            fs_err::write(dir.path().join("pid"), "1\n").unwrap();
            let claimed = supervise(&shell, dir.path(), &["/bin/echo", "started"]);
            assert_eq!(claimed, (String::new(), String::new()), "{shell:?}");
            let dir = reserved();
            fs_err::write(dir.path().join("cancelled"), "").unwrap();
            let cancelled = supervise(&shell, dir.path(), &["/bin/echo", "started"]);
            assert_eq!(cancelled, (String::new(), String::new()), "{shell:?}");
        }
    }
}
