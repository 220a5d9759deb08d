//! The harness of the whole-system tests: the real program in a state directory of its
//! own, and the compatibility [`vectors`].

pub mod cluster;
pub mod engine;
pub mod running;
pub mod vectors;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::running::Running;

/// A state directory and the program to use it with.
#[derive(Debug)]
pub struct Agent {
    home: TempDir,
    env: Vec<(String, String)>,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// The exit code.
    pub code: i32,
    /// What it wrote to stdout.
    pub out: String,
    /// What it wrote to stderr.
    pub err: String,
}

impl Said {
    /// Its stdout as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts the exit code.
    ///
    /// # Panics
    /// If it is another.
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Asserts that a text was said on stderr.
    ///
    /// # Panics
    /// If it was not.
    #[must_use]
    pub fn complains(self, text: &str) -> Self {
        assert!(self.err.contains(text), "`{text}` is not in {self:#?}");
        self
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        Self {
            code,
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

/// The program under test, which cargo builds beside this test, or that of
/// `LAUNCH_TEST_PROGRAM`.
///
/// # Panics
/// If it is not there.
pub fn program() -> PathBuf {
    if let Some(given) = std::env::var_os("LAUNCH_TEST_PROGRAM") {
        return given.into();
    }
    let test = std::env::current_exe().expect("a test has a path");
    // Tests lie in target/PROFILE/deps, programs in target/PROFILE.
    let found = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join("launch-agent"));
    let found = found.into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "no program beside {}: `cargo build -p launch-agent`",
            test.display()
        )
    })
}

/// The repository's root.
///
/// # Panics
/// Never: this package lies in it.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in the root")
}

/// The quick start's job.
pub fn iris() -> String {
    root()
        .join("launch-agent/examples/iris")
        .display()
        .to_string()
}

/// Says that a suite is skipped; in CI that is a failure.
///
/// # Panics
/// In CI.
pub fn skip(why: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "must not be skipped in CI: {why}"
    );
    #[expect(clippy::print_stdout, reason = "a skipped suite says so")]
    {
        println!("skipped: {why}");
    }
}

/// Whether a Docker Engine is there for tests.
pub fn has_docker() -> bool {
    let set = std::env::var("LAUNCH_TEST_DOCKER").as_deref() == Ok("1");
    if !set {
        skip("LAUNCH_TEST_DOCKER is not 1: no Docker Engine for tests");
    }
    set
}

impl Agent {
    /// A fresh state directory, with no Docker Engine to be seen.
    ///
    /// # Panics
    /// If there is no temporary directory.
    pub fn new() -> Self {
        Self::with_docker().env("DOCKER_HOST", "unix:///nonexistent")
    }

    /// A fresh state directory, with whatever Docker Engine there is.
    ///
    /// # Panics
    /// If there is no temporary directory.
    pub fn with_docker() -> Self {
        Self {
            home: TempDir::new().expect("a temporary directory"),
            env: Vec::new(),
        }
    }

    /// Sets a variable for every command.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes the user's agent file, which every command reads that names no other.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn configure(&self, text: &str) {
        let home = self.state().with_file_name(".config/wandb");
        fs_err::create_dir_all(&home).expect("a directory");
        fs_err::write(home.join("launch-config.yaml"), text).expect("a file");
    }

    /// A directory for the test's own files.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn dir(&self, name: &str) -> PathBuf {
        let dir = self.home.path().join("files").join(name);
        fs_err::create_dir_all(&dir).expect("a directory");
        dir
    }

    /// A project with this program as its `main.py`.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn project(&self, name: &str, main: &str) -> String {
        let dir = self.dir(name);
        fs_err::write(dir.join("main.py"), main).expect("a file");
        dir.display().to_string()
    }

    /// The state directory.
    pub fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    /// The command, ready to run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(args)
            .env("LAUNCH_STATE_DIR", self.state())
            .env("HOME", self.home.path());
        command
            .env_remove("WANDB_API_KEY")
            .env_remove("LAUNCH_LOG")
            .env("NO_COLOR", "1");
        command.stdin(Stdio::null()).current_dir(root());
        command.envs(self.env.iter().cloned());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn say(&self, args: &[&str]) -> Said {
        self.command(args)
            .output()
            .expect("the program starts")
            .into()
    }

    /// Starts a command, which ends with what is answered.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(&self, args: &[&str]) -> Running {
        let mut command = self.command(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program starts").into()
    }

    /// Submits a job and answers its id.
    ///
    /// # Panics
    /// If it is refused.
    pub fn submit(&self, args: &[&str]) -> String {
        let said = self.say(&[&["submit"], args].concat()).expect(0);
        said.out.trim().to_owned()
    }

    /// A job as `queue items --job` shows it.
    ///
    /// # Panics
    /// If there is none.
    pub fn job(&self, queue: &str, id: &str) -> Value {
        self.say(&["queue", "items", queue, "--job", id, "--output", "json"])
            .expect(0)
            .json()
    }

    /// How a job ended, once it has.
    ///
    /// # Panics
    /// If it does not within a minute.
    pub fn outcome(&self, queue: &str, id: &str) -> Value {
        eventually("the job ends", Duration::from_mins(1), || {
            Some(self.job(queue, id)["outcome"].clone()).filter(|outcome| !outcome.is_null())
        })
    }
}

impl Default for Agent {
    fn default() -> Self {
        Self::new()
    }
}

/// Waits until something is so.
///
/// # Panics
/// If it takes longer than `patience`.
pub fn eventually<T>(what: &str, patience: Duration, mut is_so: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = is_so() {
            return value;
        }
        assert!(
            start.elapsed() < patience,
            "waited {patience:?} in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a page answers: its body.
///
/// # Panics
/// If nobody answers.
pub fn page(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).expect("the page is served");
    let ask = format!("GET {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).expect("it listens");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    body.unwrap_or_default().to_owned()
}

/// The value of a series in a page of metrics.
pub fn series(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

/// Sends a signal to a child.
///
/// # Panics
/// If it is gone.
pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let sent = rustix::process::kill_process(pid.expect("a pid"), signal);
    sent.expect("the child lives");
}

/// Waits for a child and collects what it said.
///
/// # Panics
/// If it does not end within a minute.
pub fn collect(mut child: Running) -> Said {
    eventually("the program ends", Duration::from_mins(1), || {
        child.try_wait().expect("a child can be waited for")
    });
    child.output().into()
}
