//! What is known of one run, kept small.

use kube::api::DynamicObject;
use serde_json::{Map, Value, json};

use super::super::manifest::{JOB_ANNOTATION, Kind};
use super::pod::Pod;

/// The object that is a run.
#[derive(Debug, Clone)]
pub(in crate::kubernetes) struct Main {
    /// Its kind, which lists do not say of their items.
    pub(super) kind: Option<Kind>,
    pub(in crate::kubernetes) uid: String,
    /// The object without its templates.
    pub(in crate::kubernetes) object: Value,
    pub(in crate::kubernetes) deleted: bool,
}

/// A warning of the cluster about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kubernetes) struct Warning {
    pub(in crate::kubernetes) reason: String,
    pub(in crate::kubernetes) message: String,
}

/// What is known of one run.
#[derive(Debug, Clone, Default)]
pub(in crate::kubernetes) struct View {
    pub(in crate::kubernetes) main: Option<Main>,
    /// In the order in which they were made.
    pub(in crate::kubernetes) pods: Vec<Pod>,
    /// Warnings about the object itself.
    pub(in crate::kubernetes) warnings: Vec<Warning>,
    /// Why the watch hears nothing, if it does not.
    pub(in crate::kubernetes) trouble: Option<String>,
}

impl View {
    /// What was read of a run's objects, without a watch.
    pub(in crate::kubernetes) fn of<'a>(
        main: Option<&DynamicObject>,
        pods: impl Iterator<Item = &'a DynamicObject>,
    ) -> Self {
        let mut pods: Vec<Pod> = pods.map(Pod::of).collect();
        sort(&mut pods);
        Self {
            main: main.map(|main| main_of(main, None)),
            pods,
            ..Self::default()
        }
    }

    /// Adds pods as they are now; those the watches knew and that are not among them are
    /// gone.
    pub(in crate::kubernetes) fn refresh(&mut self, mut pods: Vec<Pod>) {
        for known in std::mem::take(&mut self.pods) {
            match pods.iter_mut().find(|pod| pod.uid == known.uid) {
                Some(pod) if pod.disruption.is_none() => pod.disruption = known.disruption,
                Some(_) => {}
                None => pods.push(Pod {
                    gone: true,
                    ..known
                }),
            }
        }
        sort(&mut pods);
        self.pods = pods;
    }
}

pub(super) fn sort(pods: &mut [Pod]) {
    pods.sort_by(|a, b| (&a.created, &a.name).cmp(&(&b.created, &b.name)));
}

/// Keeps what decides: the status, annotations, and the numbers of the spec.
pub(super) fn main_of(object: &DynamicObject, kind: Option<&Kind>) -> Main {
    let metadata = &object.metadata;
    let spec = object.data["spec"].as_object();
    let small = spec.map(|spec| {
        spec.iter()
            .filter(|(_, value)| !value.is_object() && !value.is_array())
            .map(|(key, value)| (key.clone(), value.clone()))
            .chain(
                spec.get("podFailurePolicy")
                    .map(|policy| ("podFailurePolicy".to_owned(), policy.clone())),
            )
            .collect::<Map<_, _>>()
    });
    let annotations = metadata.annotations.iter().flatten();
    let annotations: Map<_, _> = annotations
        .filter(|(key, _)| key.starts_with("launch.") && *key != JOB_ANNOTATION)
        .map(|(key, value)| (key.clone(), Value::String(value.clone())))
        .collect();
    Main {
        kind: kind.cloned(),
        uid: metadata.uid.clone().unwrap_or_default(),
        deleted: false,
        object: json!({
            "metadata": {"annotations": annotations},
            "spec": small,
            "status": object.data["status"],
        }),
    }
}
