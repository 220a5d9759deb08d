//! What counts of a pod.

use kube::api::DynamicObject;
use serde_json::Value;

use super::view::Warning;

/// What a container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kubernetes) enum ContainerState {
    /// It has not started, or waits to start again.
    Waiting { reason: String, message: String },
    /// It runs.
    Running,
    /// It has ended.
    Terminated { code: i32, reason: String },
}

/// A container of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kubernetes) struct Container {
    pub(in crate::kubernetes) name: String,
    pub(in crate::kubernetes) image: String,
    pub(in crate::kubernetes) is_init: bool,
    pub(in crate::kubernetes) restarts: u64,
    pub(in crate::kubernetes) state: ContainerState,
}

/// Why a pod was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kubernetes) struct Disruption {
    pub(in crate::kubernetes) reason: String,
    pub(in crate::kubernetes) message: String,
}

/// A pod of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kubernetes) struct Pod {
    pub(in crate::kubernetes) uid: String,
    pub(in crate::kubernetes) name: String,
    /// When it was made, to the second; sorts as text.
    pub(in crate::kubernetes) created: String,
    pub(in crate::kubernetes) phase: String,
    pub(in crate::kubernetes) reason: String,
    pub(in crate::kubernetes) message: String,
    pub(in crate::kubernetes) node: String,
    /// Why no node takes it, if none does.
    pub(in crate::kubernetes) unschedulable: Option<String>,
    pub(in crate::kubernetes) disruption: Option<Disruption>,
    /// The container whose output is the run's: the first.
    pub(in crate::kubernetes) leader: String,
    pub(in crate::kubernetes) containers: Vec<Container>,
    pub(in crate::kubernetes) warnings: Vec<Warning>,
    /// Somebody wants it to end.
    pub(in crate::kubernetes) terminating: bool,
    /// It has been removed.
    pub(in crate::kubernetes) gone: bool,
}

impl Pod {
    pub(super) fn of(object: &DynamicObject) -> Self {
        let (metadata, data) = (&object.metadata, &object.data);
        let status = &data["status"];
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let condition = |of_type: &str| {
            let mut conditions = conditions.clone();
            conditions.find(|condition| condition["type"] == of_type)
        };
        let scheduled = condition("PodScheduled");
        let unschedulable =
            scheduled.filter(|c| c["status"] == "False" && c["reason"] == "Unschedulable");
        let disruption = condition("DisruptionTarget").filter(|c| c["status"] == "True");
        let created = metadata.creation_timestamp.as_ref();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            created: created.map(|time| time.0.to_string()).unwrap_or_default(),
            phase: text(&status["phase"]),
            reason: text(&status["reason"]),
            message: text(&status["message"]),
            node: text(&data["spec"]["nodeName"]),
            unschedulable: unschedulable.map(|condition| text(&condition["message"])),
            disruption: disruption.map(|condition| Disruption {
                reason: text(&condition["reason"]),
                message: text(&condition["message"]),
            }),
            leader: text(&data["spec"]["containers"][0]["name"]),
            containers: containers(status),
            warnings: Vec::new(),
            terminating: metadata.deletion_timestamp.is_some(),
            gone: false,
        }
    }

    /// Whether its containers may still do something.
    pub(in crate::kubernetes) fn is_alive(&self) -> bool {
        !self.gone && !self.is_over()
    }

    /// Whether nodes before 1.22 may say too early that it is over: they do when its
    /// deadline passes, and never tell when its containers end after that.
    pub(in crate::kubernetes) fn may_linger(&self) -> bool {
        self.is_over() && self.has_running()
    }

    fn is_over(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    pub(in crate::kubernetes) fn has_running(&self) -> bool {
        let running = |container: &Container| container.state == ContainerState::Running;
        !self.gone && self.containers.iter().any(running)
    }

    /// Whether its program runs, not only what prepares it.
    pub(in crate::kubernetes) fn is_working(&self) -> bool {
        let works = |container: &Container| {
            !container.is_init && container.state == ContainerState::Running
        };
        self.is_alive() && self.containers.iter().any(works)
    }

    /// How often its program was started again: every start has output of its own.
    pub(in crate::kubernetes) fn restarts(&self) -> u64 {
        self.leading().map_or(0, |leader| leader.restarts)
    }

    /// Whether its program has been started `restarts` times again, so that there may be
    /// output of that start.
    pub(in crate::kubernetes) fn has_started(&self, restarts: u64) -> bool {
        self.leading().is_some_and(|leader| {
            let waits = matches!(leader.state, ContainerState::Waiting { .. });
            leader.restarts > restarts || leader.restarts == restarts && !waits
        })
    }

    /// Whether the output of that start ends where its stream does.
    pub(in crate::kubernetes) fn has_ended(&self, restarts: u64) -> bool {
        self.gone || self.is_over() || self.has_stopped(restarts)
    }

    /// Whether that start of its program is known to have ended.
    pub(in crate::kubernetes) fn has_stopped(&self, restarts: u64) -> bool {
        let ended = |leader: &Container| matches!(leader.state, ContainerState::Terminated { .. });
        self.leading()
            .is_some_and(|leader| leader.restarts > restarts || ended(leader))
    }

    pub(in crate::kubernetes) fn leading(&self) -> Option<&Container> {
        self.containers
            .iter()
            .find(|container| !container.is_init && container.name == self.leader)
    }
}

fn containers(status: &Value) -> Vec<Container> {
    let all = |key: &str| status[key].as_array().cloned().unwrap_or_default();
    let init = all("initContainerStatuses")
        .into_iter()
        .map(|value| (true, value));
    let main = all("containerStatuses")
        .into_iter()
        .map(|value| (false, value));
    init.chain(main)
        .map(|(is_init, value)| Container {
            name: text(&value["name"]),
            image: text(&value["image"]),
            is_init,
            restarts: value["restartCount"].as_u64().unwrap_or_default(),
            state: state(&value["state"]),
        })
        .collect()
}

fn state(state: &Value) -> ContainerState {
    if state["running"].is_object() {
        return ContainerState::Running;
    }
    let terminated = &state["terminated"];
    if terminated.is_object() {
        let code = terminated["exitCode"]
            .as_i64()
            .and_then(|code| i32::try_from(code).ok());
        return ContainerState::Terminated {
            code: code.unwrap_or(255),
            reason: text(&terminated["reason"]),
        };
    }
    ContainerState::Waiting {
        reason: text(&state["waiting"]["reason"]),
        message: text(&state["waiting"]["message"]),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
