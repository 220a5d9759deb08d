//! Where runs go: each is told the same of W&B.

use launch_tests::cluster::IMAGE;
use launch_tests::has_docker;

use super::*;

/// A spec of an image that runs a script, and would tell where it came from.
pub(super) fn image(resource: &str, script: &str) -> Value {
    json!({
        "entity": "team", "project": "Proj", "name": "n", "docker": {"docker_image": IMAGE},
        "resource": resource, "resource_args": {},
        "overrides": {"entry_point": ["sh", "-c", script], "run_config": {"lr": 0.1}},
    })
}

/// The log of an item that failed.
pub(super) fn log_of(world: &World, item: &str) -> String {
    world.wait("the item failed", |server| {
        server.items[item].failure.clone()
    });
    let server = world.state();
    let path = format!("/{item}/error/error.log");
    let mut uploads = server.uploads.iter();
    let found = uploads.find(|(name, _)| name.ends_with(&path));
    String::from_utf8(found.unwrap().1.clone()).unwrap()
}

/// What the environment of a run says, whatever it runs in.
pub(super) fn tells_of_wandb(world: &World, item: &str) {
    let log = log_of(world, item);
    let run = world.run_of(item);
    for line in [
        format!("WANDB_BASE_URL={}", world.server.url),
        "WANDB_ENTITY=team".to_owned(),
        "WANDB_PROJECT=proj".to_owned(),
        format!("WANDB_RUN_ID={run}"),
        format!("WANDB_DOCKER={IMAGE}"),
        "WANDB_NAME=n".to_owned(),
        "WANDB_LAUNCH=True".to_owned(),
        "WANDB_LAUNCH_QUEUE_NAME=first".to_owned(),
        "WANDB_LAUNCH_QUEUE_ENTITY=team".to_owned(),
        format!("WANDB_LAUNCH_TRACE_ID={item}"),
        "WANDB_CONFIG={\"lr\": 0.1}".to_owned(),
    ] {
        assert!(log.lines().any(|found| found == line), "{line} in {log}");
    }
    // Masked in the log, and there.
    let key = |line: &str| line.strip_prefix("WANDB_API_KEY=").map(str::to_owned);
    let key = log.lines().find_map(key).expect("the key is there");
    assert!(
        key.len() >= 3 && key.chars().all(|letter| letter == '*'),
        "{key}"
    );
}

#[test]
fn docker_containers_are_told_of_wandb_and_reach_a_server_on_this_machine() {
    if !has_docker() {
        return;
    }
    let world = World::of(Agent::with_docker());
    let script = "env; wget -q -O /dev/null $WANDB_BASE_URL/ping && echo reached; exit 3";
    let item = world.state().put("first", image("local-container", script));
    let child = world.start();
    tells_of_wandb(&world, &item);
    assert!(log_of(&world, &item).contains("reached"));
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
}
