//! `status`: what the running agents of this machine are at.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use crate::clock::short;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::printer::{Printer, table};
use crate::settings::Settings;
use crate::socket;
use crate::vitals::{JobStatus, QueueStatus, Status as Answer};

/// How long an agent may take to answer; it counts its queues first.
const PATIENCE: Duration = Duration::from_secs(10);

/// Show what the running agents of this machine are at.
///
/// Asks the agents that share the state directory, over a socket there. Ends with 3 if none
/// runs, or if one does not answer.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The agents' configuration [default: ~/.config/wandb/launch-config.yaml]
    #[arg(short = 'c', long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Status {
    pub(crate) async fn run(self, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
        let settings = Settings::resolve(global, self.config.as_deref())?;
        let agents = settings.state.agents();
        let (mut answers, mut exit) = (Vec::new(), Exit::Done);
        for agent in agents_in(&agents)? {
            match tokio::time::timeout(PATIENCE, ask(&agent)).await {
                Ok(Ok(Some(answer))) => answers.push(answer),
                Ok(Ok(None)) => {}
                Ok(Err(failure)) => {
                    printer.failure(&failure);
                    exit = Exit::Surroundings;
                }
                Err(_) => {
                    printer.failure(&silent(&agent));
                    exit = Exit::Surroundings;
                }
            }
        }
        if answers.is_empty() && exit == Exit::Done {
            return Err(nobody(settings.state.path(), &agents));
        }
        printer.answer(&answers, || {
            let texts: Vec<String> = answers.iter().map(text).collect();
            texts.join("\n")
        })?;
        Ok(exit)
    }
}

fn nobody(state: &Path, agents: &Path) -> Failure {
    let mut message = format!(
        "no agent runs with the state directory `{}`",
        state.display()
    );
    if !agents.starts_with(state) {
        message += &format!(" and the journals in `{}`", agents.display());
    }
    Failure::usage(message).by_surroundings().with_hint(
        "`launch-agent run` starts one; one that runs with another `--state-dir`, or another \
         agent file, is asked with those",
    )
}

fn silent(agent: &Path) -> Failure {
    let name = agent.file_name().unwrap_or_default().to_string_lossy();
    Failure::usage(format!("agent `{name}` does not answer"))
        .by_surroundings()
        .with_hint(
            "is its process stopped? its journal is kept: it can be killed and started again",
        )
}

/// The directories of agents that listen, or did.
fn agents_in(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match fs_err::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut agents = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if socket::is_there(&path) {
            agents.push(path);
        }
    }
    agents.sort();
    Ok(agents)
}

/// What an agent says; `None` if it is dead, and its socket only left.
async fn ask(agent: &Path) -> Result<Option<Answer>, Failure> {
    use std::io::ErrorKind::{ConnectionRefused, NotFound};
    let wire = match socket::connect(agent).await {
        Err(error) if matches!(error.kind(), ConnectionRefused | NotFound) => return Ok(None),
        wire => wire?,
    };
    let failed = |error: &(dyn std::error::Error + 'static)| {
        Failure::doing(
            format!("cannot ask the agent in `{}`", agent.display()),
            error,
        )
    };
    let (mut client, talk) = http1::handshake(TokioIo::new(wire))
        .await
        .map_err(|error| failed(&error))?;
    let talk = tokio::spawn(talk);
    let request = Request::get("/status")
        .header("host", "agent")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let answer = client
        .send_request(request)
        .await
        .map_err(|error| failed(&error))?;
    let body = answer.into_body().collect().await;
    let bytes = body.map_err(|error| failed(&error))?.to_bytes();
    talk.abort();
    let answer = serde_json::from_slice(&bytes).map_err(|error| failed(&error))?;
    Ok(Some(answer))
}

fn time(seconds: f64) -> String {
    short(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

fn text(agent: &Answer) -> String {
    let mut text = format!(
        "agent {}: {}, up {}, process {}, version {}\n",
        agent.worker,
        agent.why_not_ready.as_ref().map_or_else(
            || "ready".to_owned(),
            |why| format!("{}, not ready: {why}", agent.phase)
        ),
        time(agent.up_seconds),
        agent.pid,
        agent.version
    );
    text += &slots(agent);
    if let Some(address) = agent.address {
        text += &format!("metrics: http://{address}/metrics\n");
    }
    text += &queues(agent);
    if !agent.jobs.is_empty() {
        text += &format!("\n{}", jobs(&agent.jobs));
    }
    text
}

fn slots(agent: &Answer) -> String {
    let slots = agent
        .slots
        .map_or("any number of".to_owned(), |n| n.to_string());
    let mut text = format!("slots: {} of {slots} used", agent.slots_used);
    if let Some(ago) = agent.last_poll_seconds {
        text += &format!("; queues asked {} ago", time(ago));
    }
    let ended = agent
        .ended
        .iter()
        .map(|(reason, n)| format!("{n} {reason}"));
    let ended: Vec<String> = ended.collect();
    if !ended.is_empty() {
        text += &format!("; ended: {}", ended.join(", "));
    }
    text + "\n"
}

fn queues(agent: &Answer) -> String {
    if let Some(error) = &agent.queues_error {
        return format!("queues: {error}\n");
    }
    let row = |queue: &QueueStatus| {
        let state = if queue.paused { "paused" } else { "open" };
        let counts = [queue.waiting, queue.leased, queue.ended].map(|n| n.to_string());
        let name = std::iter::once(queue.queue.clone());
        name.chain(counts).chain([state.to_owned()]).collect()
    };
    let rows: Vec<Vec<String>> = agent.queues.iter().map(row).collect();
    if rows.is_empty() {
        return "queues: none has been made yet\n".to_owned();
    }
    let header = ["queue", "waiting", "leased", "ended", "state"];
    format!("\n{}", table(&header, &rows))
}

fn jobs(jobs: &[JobStatus]) -> String {
    let row = |job: &JobStatus| {
        let beat = job
            .heartbeat_seconds
            .map(|ago| format!("{} ago", time(ago)));
        vec![
            job.job.clone(),
            job.queue.clone(),
            job.attempt.to_string(),
            job.stage.clone(),
            time(job.stage_seconds),
            time(job.seconds),
            beat.unwrap_or_else(|| "closed".to_owned()),
            job.doing.clone(),
        ]
    };
    let rows: Vec<_> = jobs.iter().map(row).collect();
    let header = [
        "job",
        "queue",
        "attempt",
        "stage",
        "for",
        "in all",
        "heartbeat",
        "",
    ];
    table(&header, &rows)
}
