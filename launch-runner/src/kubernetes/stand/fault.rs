//! What keeps a run from starting, and in whose words.

use super::super::hub::{Container, ContainerState, Pod, View};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::kubernetes) enum Trouble {
    /// No node takes the pod: it may have to wait for one.
    Unschedulable,
    /// The image's name is none.
    ImageName,
    /// The image cannot be had.
    Image,
    /// What the container is made from is missing, or the node cannot make it.
    Container,
    /// The program ends again and again.
    CrashLoop,
    /// A volume is missing.
    Volume,
    /// The cluster makes no pod: a quota or an admission rule is against it.
    NoPod,
    /// The node cannot set up the pod.
    Sandbox,
}

/// Something that keeps a run from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kubernetes) struct Fault {
    pub(in crate::kubernetes) trouble: Trouble,
    /// What it is about: the pod or container.
    about: String,
    pub(in crate::kubernetes) text: String,
}

impl Fault {
    fn new(trouble: Trouble, about: &str, text: String) -> Self {
        let about = about.to_owned();
        Self {
            trouble,
            about,
            text,
        }
    }

    /// What makes two faults the same, whatever the words of the moment are.
    pub(in crate::kubernetes) fn key(&self) -> (Trouble, String) {
        (self.trouble, self.about.clone())
    }
}

/// Everything that keeps a run from starting now.
pub(super) fn all(view: &View) -> Vec<Fault> {
    let mut faults: Vec<Fault> = view
        .pods
        .iter()
        .filter(|pod| pod.is_alive() && !pod.terminating)
        .flat_map(of_pod)
        .collect();
    let has_pods = view.pods.iter().any(Pod::is_alive);
    let mut refused = view
        .warnings
        .iter()
        .filter(|w| w.reason.starts_with("FailedCreate"));
    if let (Some(warning), false) = (refused.next_back(), has_pods) {
        let text = format!("the cluster makes no pod: {}", warning.message);
        faults.push(Fault::new(Trouble::NoPod, "", text));
    }
    faults
}

fn of_pod(pod: &Pod) -> Vec<Fault> {
    let name = &pod.name;
    if let Some(why) = &pod.unschedulable {
        let text = format!("no node takes pod `{name}`: {why}");
        return vec![Fault::new(Trouble::Unschedulable, name, text)];
    }
    let mut faults: Vec<Fault> = pod
        .containers
        .iter()
        .filter_map(|container| of_container(pod, container))
        .collect();
    if faults.is_empty() && !pod.has_running() {
        faults.extend(of_warnings(pod));
    }
    faults
}

fn of_container(pod: &Pod, container: &Container) -> Option<Fault> {
    let ContainerState::Waiting { reason, message } = &container.state else {
        return None;
    };
    let Container { name, image, .. } = container;
    let (trouble, what) = match reason.as_str() {
        "InvalidImageName" => (Trouble::ImageName, format!("`{image}` is no image")),
        "ErrImagePull"
        | "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => (Trouble::Image, format!("image `{image}` cannot be had")),
        "CreateContainerConfigError"
        | "CreateContainerError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PostStartHookError" => (
            Trouble::Container,
            format!("container `{name}` cannot be made"),
        ),
        "CrashLoopBackOff" => (
            Trouble::CrashLoop,
            format!(
                "container `{name}` ended {} times, and is started again",
                container.restarts
            ),
        ),
        _ => return None,
    };
    let text = match message.trim() {
        "" => format!("{what} ({reason})"),
        message => format!("{what} ({reason}): {message}"),
    };
    Some(Fault::new(trouble, &format!("{}/{name}", pod.uid), text))
}

/// What only the node's warnings tell: nothing in a pod's status does.
fn of_warnings(pod: &Pod) -> Option<Fault> {
    let name = &pod.name;
    pod.warnings.iter().rev().find_map(|warning| {
        let (trouble, what) = match warning.reason.as_str() {
            "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" => {
                (Trouble::Volume, "a volume cannot be mounted")
            }
            "FailedCreatePodSandBox" | "NetworkNotReady" => {
                (Trouble::Sandbox, "its node cannot set it up")
            }
            _ => return None,
        };
        let text = format!("pod `{name}` waits: {what}: {}", warning.message);
        Some(Fault::new(trouble, &pod.uid, text))
    })
}
