//! How jobs end, and what the app is told of it.

use super::*;

#[test]
fn a_program_that_never_called_in_is_failed_with_its_output() {
    let world = World::new();
    let program = "print('the key is', os.environ['WANDB_API_KEY'])\nprint('boom')\nsys.exit(3)\n";
    let spec = world.spec("p", program);
    let item = world.state().put("first", spec);
    let child = world.start();
    let (stage, message) = world.wait("it failed", |server| server.items[&item].failure.clone());
    assert_eq!(stage, "run");
    assert!(message.contains("failed with code 3"), "{message}");
    let path = format!("launch-agent-1/{item}/error/error.log");
    let log = String::from_utf8(world.state().uploads[&path].clone()).unwrap();
    assert!(
        log.contains("boom") && log.contains("the key is ***"),
        "{log}"
    );
    assert!(!log.contains(KEY), "{log}");
    world.nothing_left();
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
}

#[test]
fn every_item_that_cannot_run_hears_why() {
    let world = World::new();
    let cases = [
        (json!("no spec"), "refused"),
        (json!({"entity": "team"}), "refused"),
        (
            json!({"entity": "team", "project": "p", "uri": "/x",
                   "resource_args": {"local-container": {"privileged": true}}}),
            "privileged",
        ),
        (
            json!({"entity": "others", "project": "p", "job": "team/models/none:v1",
                   "resource": "local-process"}),
            "there is no job",
        ),
        (
            json!({"entity": "team", "project": "p", "job": "team/models/code:v1",
                   "resource": "local-process"}),
            "type `dataset`",
        ),
    ];
    world
        .state()
        .artifact_of("team/models/code:v1", "dataset", &[("a", "b")]);
    let items: Vec<(String, &str)> = cases
        .iter()
        .map(|(spec, word)| (world.state().put("first", spec.clone()), *word))
        .collect();
    let child = world.start();
    for (item, word) in items {
        let (stage, message) = world.wait(&format!("{item} failed: {word}"), |server| {
            server.items[&item].failure.clone()
        });
        assert_eq!(stage, "agent", "{message}");
        assert!(message.contains(word), "{message}");
    }
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
}

#[test]
fn an_item_that_another_agent_claims_is_left_to_it() {
    let world = World::new();
    let spec = world.spec("p", "init()\nnote('ran')\nfinish(0)\n");
    let item = world.state().put("first", spec);
    world.state().steal = true;
    let child = world.start();
    world.wait("the item is taken", |server| {
        (server.items[&item].state == "CLAIMED").then_some(())
    });
    world.nothing_left();
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0);
    assert_eq!(world.notes(), Vec::<String>::new());
    let server = world.state();
    assert_eq!(server.items[&item].run.as_deref(), Some("another"));
    assert_eq!(server.items[&item].failure, None);
}

#[test]
fn a_failure_that_is_retried_goes_on_under_its_run() {
    let world = World::new();
    let program = "init()\nnote(run + ' ' + os.environ.get('WANDB_RESUME', 'new'))\n\
                   sys.exit(7) if 'WANDB_RESUME' not in os.environ else finish(0)\n";
    let spec = world.spec("p", program);
    world.state().put("first", spec);
    let more = "retry: {failures: 1, reasons: [failed], wait: 0.1}";
    let child = world.start_with(more, &[]);
    eventually("it ran twice", PATIENCE, || {
        (world.notes().len() == 2).then_some(())
    });
    world.nothing_left();
    signal(&child, Signal::TERM);
    let _ = collect(child).expect(0).complains("put_back=1");
    let notes = world.notes();
    let run = notes[0].split(' ').next().unwrap();
    assert_eq!(notes, [format!("{run} new"), format!("{run} allow")]);
    assert_eq!(world.state().runs[run].0, "finished");
}

#[test]
fn the_embedded_queue_retries_by_the_same_rules() {
    let agent = Agent::new();
    let file = agent.dir("out").join("notes");
    let main = format!(
        "import os, sys\nopen({:?}, 'a').write(os.environ['WANDB_RUN_ID'] + ' ' \
         + os.environ.get('WANDB_RESUME', 'new') + '\\n')\nsys.exit(7)\n",
        file.display().to_string()
    );
    let project = agent.project("p", &main);
    let id = agent.submit(&["-q", "q", &project, "-P", "high"]);
    let config = agent.dir("c").join("f.yaml");
    fs_err::write(
        &config,
        "retry: {failures: 2, reasons: [failed], wait: 0.1}",
    )
    .unwrap();
    let config = config.display().to_string();
    let _ = agent
        .say(&["run", "-q", "q", "-c", &config, "--drain"])
        .expect(0);
    let outcome = agent.outcome("q", &id);
    assert_eq!(outcome["reason"], "failed");
    let text = fs_err::read_to_string(&file).unwrap();
    assert_eq!(text, format!("{id} new\n{id} allow\n{id} allow\n"));
    let job = agent.job("q", &id);
    assert_eq!(
        (&job["attempt"], &job["priority"]),
        (&json!(2), &json!("high"))
    );
}
