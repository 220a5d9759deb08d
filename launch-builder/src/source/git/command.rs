//! Running git: what it may do, what it may see, and that it ends when we do.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use launch_config::source::GitRemote;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::credentials::Login;
use super::lines::Lines;
use super::said;
use crate::error::Error;
use crate::event::Events;
use crate::source::FetchOptions;

/// Settings that win over the system's, the user's and the repository's.
const PINS: [&str; 12] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "protocol.file.allow=never",
    "protocol.ext.allow=never",
    "protocol.git.allow=never",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
    "init.defaultBranch=main",
];

/// Variables that would point git at another repository, or make it trace secrets.
const REMOVED: [&str; 14] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CONFIG_PARAMETERS",
    "GIT_TRACE",
    "GIT_TRACE_CURL",
    "GIT_TRACE_PACKET",
    "GIT_CURL_VERBOSE",
    "GIT_EXTERNAL_DIFF",
];

/// Of git's output, so much is kept.
const LONGEST_OUTPUT: usize = 1 << 20;
/// A multiplexing ssh stays behind git with git's pipes open; we do not wait for it.
const DRAIN: Duration = Duration::from_secs(1);

/// git, for one remote and one directory.
#[derive(Debug)]
pub(super) struct Git<'a> {
    options: &'a FetchOptions,
    remote: &'a GitRemote,
    directory: &'a Path,
    events: &'a Events,
    login: Login,
    ssh: Option<String>,
}

/// What a run of git left.
#[derive(Debug)]
pub(super) struct Output {
    status: ExitStatus,
    stdout: String,
    /// Masked.
    stderr: String,
}

impl Output {
    pub(super) fn succeeded(&self) -> bool {
        self.status.success()
    }

    pub(super) fn stdout(&self) -> &str {
        &self.stdout
    }

    pub(super) fn refuses_object(&self) -> bool {
        said::refuses_object(&self.stderr)
    }
}

impl<'a> Git<'a> {
    pub(super) async fn new(
        remote: &'a GitRemote,
        options: &'a FetchOptions,
        directory: &'a Path,
        events: &'a Events,
    ) -> Result<Self, Error> {
        let login = Login::of(remote).map_err(|said| Error::Git {
            remote: remote.clone().into(),
            action: "fetch",
            said: said.to_owned(),
        })?;
        let mut git = Self {
            options,
            remote,
            directory,
            events,
            login,
            ssh: None,
        };
        git.ssh = git.ssh_command().await?;
        Ok(git)
    }

    pub(super) fn remote(&self) -> &GitRemote {
        self.remote
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory
    }

    /// The remote as a command line may show it.
    pub(super) fn url(&self) -> &str {
        &self.login.url
    }

    /// The ssh git is to use: the caller's, the user's, or plain `ssh`; never one that asks.
    /// `None` leaves `GIT_SSH` in charge, whose options we do not know.
    async fn ssh_command(&self) -> Result<Option<String>, Error> {
        let given = self.options.ssh_command.clone();
        let given = given.or_else(|| std::env::var("GIT_SSH_COMMAND").ok());
        if given.is_none() && std::env::var_os("GIT_SSH").is_some() {
            return Ok(None);
        }
        let command = if let Some(command) = given {
            command
        } else {
            let output = self
                .output("read", &["config", "--get", "core.sshCommand"])
                .await?;
            output.stdout.trim().to_owned()
        };
        let command = if command.is_empty() { "ssh" } else { &command };
        Ok(Some(format!("{command} -oBatchMode=yes")))
    }

    /// Runs git; a failure is an error. Answers its standard output.
    pub(super) async fn run(
        &self,
        action: &'static str,
        arguments: &[&str],
    ) -> Result<String, Error> {
        let output = self.output(action, arguments).await?;
        if output.succeeded() {
            Ok(output.stdout)
        } else {
            Err(self.failure(action, &output))
        }
    }

    /// Runs git to its end, whatever that is.
    pub(super) async fn output(
        &self,
        action: &'static str,
        arguments: &[&str],
    ) -> Result<Output, Error> {
        tracing::debug!(remote = %self.remote, action, ?arguments, "git");
        let mut child = self.command(arguments).spawn().map_err(Error::NoGit)?;
        let group = Group::of(&child);
        let output = self.collect(&mut child).await?;
        group.ended();
        Ok(output)
    }

    /// The error for a run that failed.
    pub(super) fn failure(&self, action: &'static str, output: &Output) -> Error {
        let said = said::useful(&output.stderr);
        Error::Git {
            remote: self.remote.clone().into(),
            action,
            said,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new::<&OsStr>(&self.options.git);
        for setting in PINS
            .iter()
            .map(|pin| (*pin).to_owned())
            .chain(self.login.settings())
        {
            command.arg("-c").arg(setting);
        }
        command.args(arguments).current_dir(self.directory);
        for variable in REMOVED {
            command.env_remove(variable);
        }
        command
            .envs(self.login.environment())
            .envs(self.ssh.iter().map(|ssh| ("GIT_SSH_COMMAND", ssh)))
            .env("GIT_ALLOW_PROTOCOL", "https:http:ssh")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            // Errors are recognised by their words.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    async fn collect(&self, child: &mut Child) -> Result<Output, Error> {
        let stdout = child.stdout.take().expect("the command pipes its output");
        let stderr = child.stderr.take().expect("the command pipes its errors");
        let (mut text, mut lines) = (Vec::new(), Lines::new(&self.login, self.events));
        let status = {
            let reading = async { tokio::join!(read_start(stdout, &mut text), lines.read(stderr)) };
            tokio::pin!(reading);
            tokio::select! {
                _ = &mut reading => child.wait().await?,
                status = child.wait() => {
                    let _ = tokio::time::timeout(DRAIN, &mut reading).await;
                    status?
                }
            }
        };
        let stdout = String::from_utf8_lossy(&text).into_owned();
        Ok(Output {
            status,
            stdout,
            stderr: lines.into_text(),
        })
    }
}

/// Reads to the end, keeping the start. A pipe that breaks is at its end.
async fn read_start(mut from: impl AsyncRead + Unpin, text: &mut Vec<u8>) {
    let mut buffer = vec![0; 8192];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = LONGEST_OUTPUT - text.len();
        text.extend_from_slice(&buffer[..count.min(room)]);
    }
}

/// git and the helpers it started; killed together unless git ended by itself.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }

    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It fails when all are gone already, which is what we want.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
