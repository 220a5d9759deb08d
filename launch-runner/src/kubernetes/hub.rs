//! One watch for each namespace and kind, shared by all runs of a cluster.
//!
//! A run that is watched costs the API nothing while nothing changes: what arrives on the
//! shared watches is kept here, by run, and whoever follows a run is woken. A watch starts
//! with a list, goes on from the version it has seen, is kept fresh by bookmarks, lists
//! again when its version is too old (410) and backs off while the API fails. It ends with
//! the last run that needs it.

mod feed;
mod pod;
mod store;
mod view;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::Client;
use kube::api::DynamicObject;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub(super) use self::pod::{Container, ContainerState, Disruption, Pod};
use self::store::Store;
pub(super) use self::view::View;
use super::manifest::{Kind, OWNER_LABEL, owner_digest};

/// What can be watched in one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Topic {
    /// Objects of a kind that are runs.
    Main(Kind),
    /// Pods of runs.
    Pods,
    /// Warnings about anything.
    Warnings,
}

/// The shared watches of one cluster.
#[derive(Clone)]
pub(super) struct Hub {
    client: Client,
    selector: String,
    rooms: Arc<Mutex<HashMap<String, Arc<Room>>>>,
}

/// What is known of one namespace.
struct Room {
    store: Mutex<Store>,
    feeds: Mutex<HashMap<Topic, Feed>>,
}

/// A running watch and how many follow it.
struct Feed {
    task: AbortHandle,
    followers: usize,
}

impl Hub {
    pub(super) fn new(client: Client, owner: &str) -> Self {
        Self {
            client,
            selector: format!("{OWNER_LABEL}={}", owner_digest(owner)),
            rooms: Arc::default(),
        }
    }

    /// Follows a run: its object of `kind`, its pods and warnings about them.
    pub(super) fn follow(&self, namespace: &str, kind: &Kind, run: &str) -> Follower {
        let room = {
            let mut rooms = lock(&self.rooms);
            let room = rooms.entry(namespace.to_owned()).or_insert_with(|| {
                Arc::new(Room {
                    store: Mutex::default(),
                    feeds: Mutex::default(),
                })
            });
            Arc::clone(room)
        };
        let changes = lock(&room.store).follow(run);
        let topics = [Topic::Main(kind.clone()), Topic::Pods, Topic::Warnings];
        for topic in &topics {
            self.feed(&room, namespace, topic);
        }
        Follower {
            room,
            topics,
            run: run.to_owned(),
            changes,
        }
    }

    /// Joins a watch, starting it if nobody has.
    fn feed(&self, room: &Arc<Room>, namespace: &str, topic: &Topic) {
        let mut feeds = lock(&room.feeds);
        if let Some(feed) = feeds.get_mut(topic) {
            feed.followers += 1;
            return;
        }
        let work = feed::run(
            self.client.clone(),
            Arc::downgrade(room),
            namespace.to_owned(),
            topic.clone(),
            self.selector.clone(),
        );
        let task = tokio::spawn(work).abort_handle();
        feeds.insert(topic.clone(), Feed { task, followers: 1 });
    }
}

/// Follows one run; dropping it ends the watches nobody else needs.
pub(super) struct Follower {
    room: Arc<Room>,
    topics: [Topic; 3],
    run: String,
    changes: watch::Receiver<()>,
}

impl Follower {
    /// What is known of the run now.
    pub(super) fn view(&mut self) -> View {
        self.changes.borrow_and_update();
        lock(&self.room.store).view(&self.run)
    }

    /// Tells what was read elsewhere, if the watch has not told of it yet.
    pub(super) fn seed(&self, object: &DynamicObject) {
        lock(&self.room.store).seed(&self.topics[0], &self.run, object);
    }

    /// Waits until more is known.
    pub(super) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The store has forgotten the run, which it does not while we follow it.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        lock(&self.room.store).unfollow(&self.run);
        let mut feeds = lock(&self.room.feeds);
        for topic in &self.topics {
            let Some(feed) = feeds.get_mut(topic) else {
                continue;
            };
            feed.followers -= 1;
            if feed.followers == 0 {
                feed.task.abort();
                feeds.remove(topic);
                lock(&self.room.store).forget(topic);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
