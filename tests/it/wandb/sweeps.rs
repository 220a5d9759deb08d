//! Sweeps and their schedulers.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// A world whose `wandb` program notes what it was started with.
fn with_program(ends: &str) -> World {
    let world = World::new();
    let bin = world.agent.dir("bin");
    let program = bin.join("wandb");
    let text = format!(
        "#!/bin/sh\necho \"$@ $WANDB_RUN_ID $WANDB_CONFIG\" >> {}\n{ends}\n",
        world.notes.display()
    );
    fs_err::write(&program, text).unwrap();
    fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    world.env("PATH", &format!("{}:{path}", bin.display()))
}

fn scheduler(sweep: &str) -> Value {
    json!({
        "entity": "team", "project": "Proj", "uri": "placeholder-uri-scheduler",
        "resource": "local-process", "run_id": sweep, "name": format!("Scheduler.{sweep}"),
        "overrides": {
            "entry_point": ["wandb", "scheduler", sweep],
            "args": ["--queue", "'first'", "--project", "'Proj'", "--job", "'team/p/j:v1'"],
            "run_config": {"scheduler": {"num_workers": 3}},
        },
    })
}

#[test]
fn a_scheduler_runs_as_its_client_meant_it_and_its_failure_ends_the_sweep() {
    let world = with_program("exit 1");
    world
        .state()
        .sweeps
        .insert("s1".to_owned(), "PENDING".to_owned());
    let item = world.state().put("first", scheduler("s1"));
    let child = world.start();
    world.wait("the sweep is ended", |server| {
        (server.sweeps["s1"] == "CANCELED").then_some(())
    });
    let told = world.wait("the item failed", |server| {
        server.items[&item].failure.clone()
    });
    assert_eq!(told.0, "run");
    assert_eq!(
        world.notes(),
        [
            "scheduler s1 --queue first --project Proj --job team/p/j:v1 s1 \
          {\"scheduler\": {\"num_workers\": 3}}"
        ]
    );
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
}

#[test]
fn schedulers_have_slots_of_their_own_and_take_none_of_the_jobs() {
    let world = with_program("sleep 600");
    for sweep in ["s1", "s2"] {
        let item = scheduler(sweep);
        world.state().put("first", item);
    }
    let job = world.spec("p", "init()\nnote('job')\nfinish(0)\n");
    let job = world.state().put("second", job);
    let more = "max_schedulers: 1";
    let child = world.start_with(more, &["-j", "1"]);
    let run = world.run_of(&job);
    world.run_is(&run, "finished");
    world.wait("the second is popped", |server| {
        let popped = server.items.values().filter(|item| item.state == "LEASED");
        (popped.count() == 1).then_some(())
    });
    let started = |notes: Vec<String>| {
        notes
            .iter()
            .filter(|note| note.contains("scheduler"))
            .count()
    };
    assert_eq!(started(world.notes()), 1);
    // It goes back, neither claimed nor failed, and is not asked for in a loop.
    let pops = world.state().count("popFromRunQueue");
    std::thread::sleep(Duration::from_secs(1));
    assert!(world.state().count("popFromRunQueue") - pops <= 14);
    let server = world.state();
    assert!(server.items.values().all(|item| item.failure.is_none()));
    drop(server);
    signal(&child, Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
    world.nothing_left();
}

#[test]
fn a_run_of_a_sweep_that_is_over_is_not_started() {
    let world = World::new();
    for (sweep, state) in [("on", "RUNNING"), ("held", "PAUSED"), ("over", "FINISHED")] {
        let state = state.to_owned();
        world.state().sweeps.insert(sweep.to_owned(), state);
    }
    let spec = world.spec(
        "p",
        "init()\nnote(os.environ['WANDB_SWEEP_ID'])\nfinish(0)\n",
    );
    let mut items = Vec::new();
    for sweep in ["on", "held", "over", "none"] {
        let mut spec = spec.clone();
        spec["sweep_id"] = json!(sweep);
        items.push(world.state().put("first", spec));
    }
    let child = world.start();
    for (item, word) in [(&items[2], "is FINISHED"), (&items[3], "there is no sweep")] {
        let told = world.wait("it is failed", |server| server.items[item].failure.clone());
        assert!(told.0 == "agent" && told.1.contains(word), "{told:?}");
    }
    eventually("the others run", PATIENCE, || {
        (world.notes().len() == 2).then_some(())
    });
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
}
