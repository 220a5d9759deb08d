//! Where a run stands, from what the cluster says of its objects. Pure.
//!
//! A Job ends by its own conditions, never by counting pods: one with several completions
//! or retries has pods that failed and pods to come. Other kinds say how they stand in
//! words of their own. Why a run failed is told by its pods.

mod custom;
mod fault;
mod job;

use launch_config::outcome::Reason;
use serde_json::Value;

pub(super) use self::fault::{Fault, Trouble};
use super::hub::{Container, ContainerState, Disruption, Pod, View};
use super::manifest::Kind;
use crate::run::{RunEnd, RunState};

/// The annotation with the end of a run that its object would not tell.
pub(super) const END_ANNOTATION: &str = "launch.end";

/// Where a run stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stand {
    pub(super) state: RunState,
    /// What keeps it from starting.
    pub(super) faults: Vec<Fault>,
    /// How it ended.
    pub(super) end: Option<RunEnd>,
    /// Whether the end is known to us alone, so that it has to be noted, and what is left
    /// has to be stopped.
    pub(super) must_note: bool,
}

/// Where the run of `kind` stands.
pub(super) fn of(kind: &Kind, view: &View) -> Stand {
    let noted = view.main.as_ref().and_then(|main| noted(&main.object));
    if let Some(end) = noted {
        let alive = view.pods.iter().any(Pod::is_alive);
        return Stand {
            state: if alive {
                RunState::Stopping
            } else {
                RunState::Ended
            },
            faults: Vec::new(),
            end: (!alive).then_some(end),
            must_note: false,
        };
    }
    let verdict = match &view.main {
        Some(main) if kind.is_job() => job::verdict(&main.object, &view.pods),
        Some(main) => custom::verdict(&main.object, &view.pods),
        None => Verdict::default(),
    };
    let runs = view.pods.iter().any(Pod::is_working) || verdict.runs;
    let state = match (&verdict.end, runs) {
        (Some(_), _) => RunState::Ended,
        (None, true) => RunState::Running,
        (None, false) => RunState::Starting,
    };
    Stand {
        faults: if verdict.end.is_none() {
            fault::all(view)
        } else {
            Vec::new()
        },
        state,
        end: verdict.end,
        must_note: verdict.must_note,
    }
}

/// What an object says of its run.
#[derive(Debug, Default)]
struct Verdict {
    runs: bool,
    end: Option<RunEnd>,
    must_note: bool,
}

/// The end that was noted on an object.
pub(super) fn noted(object: &Value) -> Option<RunEnd> {
    let note = object["metadata"]["annotations"][END_ANNOTATION].as_str()?;
    serde_json::from_str(note).ok()
}

/// An end as it is noted.
pub(super) fn note(end: &RunEnd) -> String {
    serde_json::to_string(end).unwrap_or_default()
}

/// How a run ended whose pods failed: taken away, or the code of its program.
fn failure(pods: &[Pod], otherwise: &str) -> RunEnd {
    let failed = |pod: &&Pod| pod.phase == "Failed" || pod.gone && pod.phase != "Succeeded";
    if let Some(end) = pods.iter().rev().filter(failed).find_map(taken_away) {
        return end;
    }
    let ended = pods
        .iter()
        .rev()
        .filter(|pod| pod.phase == "Failed" || pod.gone);
    if let Some(end) = ended.filter_map(of_pod).next() {
        return end;
    }
    RunEnd::new(Reason::Failed { code: 1 }, otherwise)
}

/// The end of a pod that was taken away from its run.
fn taken_away(pod: &Pod) -> Option<RunEnd> {
    let (name, node) = (&pod.name, &pod.node);
    if let Some(disruption) = &pod.disruption {
        return Some(by_disruption(pod, disruption));
    }
    // Clusters before 1.26 say it in other words.
    let low = pod.message.starts_with("The node was low on resource");
    match pod.reason.as_str() {
        "Evicted" if low => Some(RunEnd::new(
            Reason::Preempted,
            format!("node `{node}` evicted pod `{name}`: {}", pod.message),
        )),
        "Preempting" | "NodeShutdown" | "Shutdown" => Some(RunEnd::new(
            Reason::Preempted,
            format!(
                "node `{node}` ended pod `{name}` ({}): {}",
                pod.reason, pod.message
            ),
        )),
        "NodeLost" => Some(lost_node(pod, &pod.message)),
        _ => None,
    }
}

fn by_disruption(pod: &Pod, disruption: &Disruption) -> RunEnd {
    let (name, node) = (&pod.name, &pod.node);
    let Disruption { reason, message } = disruption;
    let what = match reason.as_str() {
        "EvictionByEvictionAPI" => format!("pod `{name}` was evicted"),
        "PreemptionByScheduler" | "PreemptionByKubeScheduler" => {
            format!("pod `{name}` made way for one of higher priority")
        }
        "TerminationByKubelet" => format!("node `{node}` ended pod `{name}`"),
        "DeletionByTaintManager" => {
            format!("node `{node}` is being given up, and pod `{name}` with it")
        }
        "DeletionByPodGC" => return lost_node(pod, message),
        _ => format!("pod `{name}` was taken away"),
    };
    let message = with_detail(format!("{what} ({reason})"), message);
    RunEnd::new(Reason::Preempted, message)
}

/// A node that is gone took with it how its pods ended.
fn lost_node(pod: &Pod, message: &str) -> RunEnd {
    let what = format!(
        "node `{}` is gone, and pod `{}` with it",
        pod.node, pod.name
    );
    RunEnd::lost(with_detail(what, message))
}

fn with_detail(text: String, detail: &str) -> String {
    match detail.trim() {
        "" => text,
        detail => format!("{text}: {detail}"),
    }
}

/// The end of a pod whose program failed.
fn of_pod(pod: &Pod) -> Option<RunEnd> {
    let first = |container: &&Container| !container.is_init && container.name == pod.leader;
    let leading = pod.containers.iter().filter(first);
    let others = pod.containers.iter().filter(|container| !first(container));
    let mut ends = leading
        .chain(others)
        .filter_map(|container| match &container.state {
            ContainerState::Terminated { code, reason } if *code != 0 => {
                Some(of_container(pod, container, *code, reason))
            }
            _ => None,
        });
    ends.next().or_else(|| {
        let said = with_detail(
            format!("pod `{}` failed ({})", pod.name, pod.reason),
            &pod.message,
        );
        (!pod.reason.is_empty()).then(|| RunEnd::new(Reason::Failed { code: 1 }, said))
    })
}

fn of_container(pod: &Pod, container: &Container, code: i32, reason: &str) -> RunEnd {
    let mut end = RunEnd::of_exit_code(code);
    let is_leader = !container.is_init && container.name == pod.leader;
    if !is_leader {
        let what = if container.is_init {
            "init container"
        } else {
            "container"
        };
        end.message = format!("in {what} `{}`, {}", container.name, end.message);
    }
    match reason {
        "OOMKilled" => end.message = format!("the program ran out of memory; {}", end.message),
        "ContainerCannotRun" | "StartError" => {
            end.message = format!("container `{}` could not start its program", container.name);
        }
        _ => {}
    }
    if pod.reason == "Evicted" {
        end.message = with_detail(
            format!("{}; the node evicted the pod", end.message),
            &pod.message,
        );
    }
    end
}
