//! `doctor`: what is configured, what answers, and how to get what is missing.

mod identity;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use launch_config::agent::BuilderKind;
use launch_config::spec::Resource;
use serde::Serialize;

use crate::app::App;
use crate::exit::Exit;
use crate::failure::{Failure, one_line};
use crate::global::Global;
use crate::printer::{Printer, table};
use crate::settings::Settings;

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Say what is configured, what answers, and how to get what is missing.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The agent's configuration
    #[arg(short = 'c', long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// One part and how it is.
#[derive(Debug, Serialize)]
struct Finding {
    part: &'static str,
    ok: bool,
    /// Whether jobs can run without it.
    optional: bool,
    found: String,
    hint: Option<String>,
}

impl Finding {
    fn good(part: &'static str, found: impl Into<String>) -> Self {
        Self {
            part,
            ok: true,
            optional: true,
            found: found.into(),
            hint: None,
        }
    }

    fn bad(part: &'static str, found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            part,
            ok: false,
            optional: true,
            found: found.into(),
            hint: Some(hint.into()),
        }
    }

    fn needed(mut self) -> Self {
        self.optional = false;
        self
    }
}

impl Doctor {
    pub(crate) async fn run(self, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
        let settings = Settings::resolve(global, self.config.as_deref())?;
        let file = settings
            .file
            .as_ref()
            .map_or("none: built-in values".to_owned(), |file| {
                file.display().to_string()
            });
        let mut findings = vec![Finding::good("configuration", file)];
        findings.push(program("git", "git sources cannot be fetched; install git").await);
        findings.push(python().await);
        match App::build(settings).await {
            Ok(app) => findings.extend(ask(&app).await),
            Err(failure) => {
                let hint = failure
                    .hint
                    .clone()
                    .unwrap_or_else(|| "see the message".to_owned());
                findings.push(Finding::bad("queue", failure.chain.join(": "), hint).needed());
            }
        }
        printer.answer(&findings, || text(&findings))?;
        let broken = findings
            .iter()
            .any(|finding| !finding.ok && !finding.optional);
        Ok(if broken {
            Exit::Surroundings
        } else {
            Exit::Done
        })
    }
}

async fn ask(app: &App) -> Vec<Finding> {
    let mut findings = vec![queue(app).await];
    findings.push(match app.docker_missing().await {
        None => Finding::good("docker", "a Docker Engine answers"),
        Some(missing) => Finding::bad(
            "docker",
            missing,
            "without one, jobs run as local processes; install a Docker Engine, or set DOCKER_HOST",
        ),
    });
    findings.push(process(app).await);
    findings.extend(identity::identities(app).await);
    findings.push(registry(app).await);
    if app.settings.builder() == Some(BuilderKind::Kaniko) {
        findings.push(kaniko(app).await);
    }
    findings.push(Finding::bad(
        "cluster",
        "this version does not run jobs in Kubernetes",
        "use `local-container` or `local-process`",
    ));
    findings
}

async fn queue(app: &App) -> Finding {
    match tokio::time::timeout(PATIENCE, app.queue.queues()).await {
        Ok(Ok(queues)) => Finding::good("queue", format!("{}: {} queues", app.queue, queues.len())),
        Ok(Err(error)) => Finding::bad(
            "queue",
            one_line(&error),
            error.hint().unwrap_or("see the message"),
        ),
        Err(_) => Finding::bad(
            "queue",
            format!("{} does not answer", app.queue),
            "is its disk there?",
        ),
    }
    .needed()
}

async fn process(app: &App) -> Finding {
    let missing = match app.runner(Resource::LocalProcess) {
        Ok(runner) => runner.check().await.err().map(|error| one_line(&error)),
        Err(failure) => Some(failure.chain.join(": ")),
    };
    match missing {
        None => Finding::good("local-process", "ready"),
        Some(missing) => Finding::bad(
            "local-process",
            missing,
            "jobs without an image cannot run here",
        ),
    }
}

async fn kaniko(app: &App) -> Finding {
    let checked = match app.builder(BuilderKind::Kaniko) {
        Ok(builder) => tokio::time::timeout(PATIENCE, async move { builder.check().await }).await,
        Err(failure) => {
            return Finding::bad("kaniko", failure.chain.join(": "), "see `docs/kaniko.md`")
                .needed();
        }
    };
    match checked {
        Ok(Ok(())) => Finding::good("kaniko", "the cluster takes builds, and the store contexts"),
        Ok(Err(error)) => Finding::bad(
            "kaniko",
            one_line(&error),
            error.hint().unwrap_or("see the message"),
        )
        .needed(),
        Err(_) => Finding::bad(
            "kaniko",
            "the cluster or the store of contexts does not answer",
            "see KUBECONFIG and `build-context-store`",
        )
        .needed(),
    }
}

async fn registry(app: &App) -> Finding {
    let Some(destination) = app.settings.destination() else {
        return Finding::good(
            "registry",
            "none configured: images stay with the engine that built them",
        );
    };
    match tokio::time::timeout(PATIENCE, app.registry.check(destination)).await {
        Ok(Ok(())) => Finding::good("registry", format!("`{destination}` takes our pushes")),
        Ok(Err(error)) => Finding::bad(
            "registry",
            one_line(&error),
            error.hint().unwrap_or("see the message"),
        )
        .needed(),
        Err(_) => Finding::bad(
            "registry",
            format!("`{destination}` does not answer"),
            "is the host right?",
        )
        .needed(),
    }
}

async fn program(name: &'static str, hint: &str) -> Finding {
    let run = tokio::process::Command::new(name).arg("--version").output();
    match tokio::time::timeout(PATIENCE, run).await {
        Ok(Ok(output)) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Finding::good(name, text.lines().next().unwrap_or_default())
        }
        _ => Finding::bad(name, format!("`{name}` does not run"), hint),
    }
}

async fn python() -> Finding {
    let found = program(
        "python3",
        "Python jobs cannot run as local processes; install python3",
    )
    .await;
    Finding {
        part: "python",
        ..found
    }
}

fn text(findings: &[Finding]) -> String {
    let row = |finding: &Finding| {
        let state = if finding.ok { "ok" } else { "missing" };
        vec![
            finding.part.to_owned(),
            state.to_owned(),
            finding.found.clone(),
        ]
    };
    let mut text = table(
        &["part", "state", "found"],
        &findings.iter().map(row).collect::<Vec<_>>(),
    );
    for finding in findings {
        if let Some(hint) = &finding.hint {
            text += &format!("hint: {}: {hint}\n", finding.part);
        }
    }
    text
}
