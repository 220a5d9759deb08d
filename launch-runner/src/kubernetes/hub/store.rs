//! What the watches say of all runs of a namespace.

use std::collections::{BTreeMap, HashMap, HashSet};

use kube::api::DynamicObject;
use serde_json::Value;
use tokio::sync::watch;

use super::super::manifest::{Kind, RUN_LABEL};
use super::Topic;
use super::pod::Pod;
use super::view::{Main, View, Warning, main_of, sort};

/// How many warnings about unknown objects are kept: one may arrive before its object.
const WARNINGS: usize = 2048;
/// How many warnings are kept of one object.
const WARNINGS_OF_ONE: usize = 8;

#[derive(Default)]
struct Followed {
    followers: usize,
    changes: watch::Sender<()>,
}

/// What is known of all runs of a namespace.
#[derive(Default)]
pub(super) struct Store {
    mains: HashMap<String, Main>,
    pods: HashMap<String, BTreeMap<String, Pod>>,
    /// By the uid of the object they are about.
    warnings: HashMap<String, Vec<Warning>>,
    followed: HashMap<String, Followed>,
    trouble: HashMap<Topic, String>,
}

impl Store {
    pub(super) fn follow(&mut self, run: &str) -> watch::Receiver<()> {
        let followed = self.followed.entry(run.to_owned()).or_default();
        followed.followers += 1;
        followed.changes.subscribe()
    }

    pub(super) fn unfollow(&mut self, run: &str) {
        let Some(followed) = self.followed.get_mut(run) else {
            return;
        };
        followed.followers -= 1;
        if followed.followers > 0 {
            return;
        }
        self.followed.remove(run);
        self.mains.retain(|name, main| name != run || !main.deleted);
        if let Some(pods) = self.pods.get_mut(run) {
            pods.retain(|_, pod| !pod.gone);
        }
    }

    /// Forgets what a watch told that has ended.
    pub(super) fn forget(&mut self, topic: &Topic) {
        self.trouble.remove(topic);
        match topic {
            Topic::Main(kind) => {
                let followed = &self.followed;
                self.mains.retain(|run, main| {
                    followed.contains_key(run) || main.kind.as_ref() != Some(kind)
                });
            }
            Topic::Pods => self.pods.clear(),
            Topic::Warnings => self.warnings.clear(),
        }
    }

    pub(super) fn view(&self, run: &str) -> View {
        let main = self.mains.get(run).cloned();
        let mut pods: Vec<Pod> = self
            .pods
            .get(run)
            .into_iter()
            .flat_map(|pods| pods.values().cloned())
            .collect();
        sort(&mut pods);
        for pod in &mut pods {
            pod.warnings = self.warnings.get(&pod.uid).cloned().unwrap_or_default();
        }
        let warnings = main.as_ref().and_then(|main| self.warnings.get(&main.uid));
        View {
            warnings: warnings.cloned().unwrap_or_default(),
            trouble: self
                .trouble
                .iter()
                .find(|(topic, _)| !matches!(topic, Topic::Warnings))
                .map(|(_, trouble)| trouble.clone()),
            main,
            pods,
        }
    }

    pub(super) fn seed(&mut self, topic: &Topic, run: &str, object: &DynamicObject) {
        let uid = object.metadata.uid.as_deref().unwrap_or_default();
        if self.mains.get(run).is_none_or(|main| main.uid != uid) {
            self.mains
                .insert(run.to_owned(), main_of(object, kind_of(topic)));
            self.wake(run);
        }
    }

    pub(super) fn apply(&mut self, topic: &Topic, object: &DynamicObject) {
        self.trouble.remove(topic);
        if *topic == Topic::Warnings {
            return self.warn(object);
        }
        let Some(run) = run_of(object) else { return };
        match topic {
            Topic::Pods => {
                let pods = self.pods.entry(run.clone()).or_default();
                let pod = Pod::of(object);
                let known = pods.get(&pod.uid);
                // A disruption is not forgotten, whatever becomes of the pod.
                let disruption = known.and_then(|known| known.disruption.clone());
                let disruption = pod.disruption.clone().or(disruption);
                pods.insert(pod.uid.clone(), Pod { disruption, ..pod });
            }
            _ => {
                self.mains
                    .insert(run.clone(), main_of(object, kind_of(topic)));
            }
        }
        self.wake(&run);
    }

    pub(super) fn delete(&mut self, topic: &Topic, object: &DynamicObject) {
        if *topic == Topic::Warnings {
            return;
        }
        // What it was last is the last that is known of it.
        self.apply(topic, object);
        let uid = object.metadata.uid.clone().unwrap_or_default();
        if let Some(run) = run_of(object) {
            self.remove(topic, &run, &uid);
        }
    }

    fn remove(&mut self, topic: &Topic, run: &str, uid: &str) {
        self.warnings.remove(uid);
        let followed = self.followed.contains_key(run);
        match topic {
            Topic::Pods => {
                if let Some(pods) = self.pods.get_mut(run) {
                    if followed {
                        if let Some(pod) = pods.get_mut(uid) {
                            pod.gone = true;
                        }
                    } else {
                        pods.remove(uid);
                    }
                    if pods.is_empty() {
                        self.pods.remove(run);
                    }
                }
            }
            _ if followed => {
                if let Some(main) = self.mains.get_mut(run).filter(|main| main.uid == uid) {
                    main.deleted = true;
                }
            }
            _ => {
                self.mains.remove(run);
            }
        }
        self.wake(run);
    }

    /// A list is complete: what is not among it is gone.
    pub(super) fn settle(&mut self, topic: &Topic, seen: &HashSet<String>) {
        self.trouble.remove(topic);
        let gone: Vec<(String, String)> = match topic {
            Topic::Warnings => {
                self.warnings.shrink_to_fit();
                return;
            }
            Topic::Pods => {
                let all = self.pods.iter();
                all.flat_map(|(run, pods)| pods.keys().map(|uid| (run.clone(), uid.clone())))
                    .filter(|(_, uid)| !seen.contains(uid))
                    .collect()
            }
            Topic::Main(kind) => {
                let all = self.mains.iter();
                all.filter(|(_, main)| {
                    !seen.contains(&main.uid) && main.kind.as_ref() == Some(kind)
                })
                .map(|(run, main)| (run.clone(), main.uid.clone()))
                .collect()
            }
        };
        for (run, uid) in gone {
            self.remove(topic, &run, &uid);
        }
    }

    /// The watch fails: whoever follows may want to say so.
    pub(super) fn trouble(&mut self, topic: &Topic, error: &str) {
        self.trouble.insert(topic.clone(), error.to_owned());
        if *topic != Topic::Warnings {
            self.followed
                .values()
                .for_each(|followed| followed.changes.send_replace(()));
        }
    }

    fn warn(&mut self, event: &DynamicObject) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let about = text(&event.data["involvedObject"]["uid"]);
        let warning = Warning {
            reason: text(&event.data["reason"]),
            message: text(&event.data["message"]),
        };
        if self.warnings.len() >= WARNINGS && !self.warnings.contains_key(&about) {
            let known = self.known();
            self.warnings.retain(|uid, _| known.contains(uid));
        }
        let warnings = self.warnings.entry(about.clone()).or_default();
        if warnings.contains(&warning) {
            return;
        }
        if warnings.len() == WARNINGS_OF_ONE {
            warnings.remove(0);
        }
        warnings.push(warning);
        let run = self
            .mains
            .iter()
            .find(|(_, main)| main.uid == about)
            .map(|(run, _)| run.clone())
            .or_else(|| {
                let mut pods = self.pods.iter();
                pods.find(|(_, pods)| pods.contains_key(&about))
                    .map(|(run, _)| run.clone())
            });
        if let Some(run) = run {
            self.wake(&run);
        }
    }

    fn known(&self) -> HashSet<String> {
        let mains = self.mains.values().map(|main| main.uid.clone());
        let pods = self.pods.values().flat_map(|pods| pods.keys().cloned());
        mains.chain(pods).collect()
    }

    fn wake(&self, run: &str) {
        if let Some(followed) = self.followed.get(run) {
            followed.changes.send_replace(());
        }
    }
}

fn run_of(object: &DynamicObject) -> Option<String> {
    object.metadata.labels.as_ref()?.get(RUN_LABEL).cloned()
}

fn kind_of(topic: &Topic) -> Option<&Kind> {
    match topic {
        Topic::Main(kind) => Some(kind),
        Topic::Pods | Topic::Warnings => None,
    }
}
