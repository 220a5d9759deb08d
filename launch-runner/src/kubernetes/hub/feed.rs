//! One watch: list, then changes, for as long as somebody follows.

use std::collections::HashSet;
use std::sync::Weak;
use std::time::Duration;

use futures_util::StreamExt as _;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};

use super::super::cluster::resource;
use super::super::failure::code;
use super::super::manifest::Kind;
use super::{Room, Topic, lock};

/// The first and the longest pause between two tries.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Keeps the room's store as the cluster is.
pub(super) async fn run(
    client: Client,
    room: Weak<Room>,
    namespace: String,
    topic: Topic,
    selector: String,
) {
    let kind = match &topic {
        Topic::Main(kind) => kind.clone(),
        Topic::Pods => Kind::new("", "v1", "Pod"),
        Topic::Warnings => Kind::new("", "v1", "Event"),
    };
    let config = match topic {
        Topic::Warnings => watcher::Config::default().fields("type=Warning"),
        _ => watcher::Config::default().labels(&selector),
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace, &resource(&kind));
    let mut events = watcher(api, config).boxed();
    let mut seen = HashSet::new();
    let mut pause = BACKOFF.0;
    let mut told = false;
    while let Some(event) = events.next().await {
        let Some(room) = room.upgrade() else { return };
        match event {
            Ok(event) => {
                // That it tries again is no success yet.
                if !matches!(event, Event::Init) {
                    (pause, told) = (BACKOFF.0, false);
                }
                let mut store = lock(&room.store);
                match event {
                    Event::Init => seen.clear(),
                    Event::InitApply(object) => {
                        seen.extend(object.metadata.uid.clone());
                        store.apply(&topic, &object);
                    }
                    Event::InitDone => store.settle(&topic, &std::mem::take(&mut seen)),
                    Event::Apply(object) => store.apply(&topic, &object),
                    Event::Delete(object) => store.delete(&topic, &object),
                }
            }
            Err(error) => {
                // A version that is too old is answered with a new list, at once.
                if is_expired(&error) {
                    tracing::debug!(%namespace, kind = %kind, "watch expired; listing again");
                    continue;
                }
                if !told {
                    told = true;
                    tracing::warn!(%namespace, kind = %kind, %error, "cannot watch; still trying");
                }
                lock(&room.store).trouble(&topic, &error.to_string());
                drop(room);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BACKOFF.1);
            }
        }
    }
}

fn is_expired(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchError(status) => status.code == 410,
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            code(error) == Some(410)
        }
        _ => false,
    }
}
