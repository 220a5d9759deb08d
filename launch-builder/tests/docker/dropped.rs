//! Builds nobody waits for any more.

use std::time::Duration;

use bollard::query_parameters::ListContainersOptionsBuilder;
use launch_builder::conformance::Bench as _;
use launch_builder::event::{Event, Events};
use launch_builder::plan::BuildSpec;
use launch_builder::{Builder as _, Delivery};

use super::engine::Engine;
use super::project::project;

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_build_leaves_no_container() {
    if let Some(engine) = Engine::classic() {
        drop_a_build(&engine, "97").await;
    }
}

/// BuildKit's steps are no containers the engine lists; they are processes here if the
/// engine is on this machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_build_of_buildkit_leaves_no_step() {
    if let Some(engine) = Engine::connect() {
        drop_a_build(&engine, "9753").await;
    }
}

async fn drop_a_build(engine: &Engine, seconds: &str) {
    let text = format!(
        "FROM launch-test/busybox:1\nCOPY unique.txt /\n\
         RUN echo up-$((40+2)); sleep {seconds}\n"
    );
    let spec = BuildSpec::new().with_dockerfile("D");
    let project = project("launch-test/dropped", &[("D", text.as_bytes())], &spec);
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let events = Events::new(move |event| {
        let _ = sender.send(event);
    });
    let up = async {
        while let Some(event) = receiver.recv().await {
            if matches!(event, Event::Log(line) if line == "up-42") {
                return;
            }
        }
    };
    tokio::select! {
        result = engine.builder.build(project.request(), &events) => panic!("{result:?}"),
        () = up => {}
    }
    assert!(project.directory.path().is_dir());
    let step = format!("sleep {seconds}");
    for _ in 0..100 {
        if !has_container(engine, &step).await && !has_process(&step) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the step of a dropped build stays");
}

async fn has_container(engine: &Engine, step: &str) -> bool {
    let options = ListContainersOptionsBuilder::default().all(true).build();
    let containers = engine.docker.list_containers(Some(options)).await.unwrap();
    let mut commands = containers.iter().filter_map(|c| c.command.as_deref());
    commands.any(|command| command.contains(step))
}

fn has_process(step: &str) -> bool {
    let processes = fs_err::read_dir("/proc").unwrap().flatten();
    let command = |path: std::path::PathBuf| fs_err::read(path.join("cmdline")).ok();
    processes
        .filter_map(|process| command(process.path()))
        .any(|words| String::from_utf8_lossy(&words).replace('\0', " ").trim() == step)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_export_leaves_nothing_beside_its_target() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    // Random bytes: their compression takes longer than the test waits.
    let text = b"FROM launch-test/busybox:1\nRUN head -c 50000000 /dev/urandom > /big\n";
    let project = project(
        "launch-test/export",
        &[("D", text)],
        &BuildSpec::new().with_dockerfile("D"),
    );
    engine
        .builder
        .build(project.request(), &Events::silent())
        .await
        .unwrap();
    let parent = tempfile::tempdir().unwrap();
    let count = || fs_err::read_dir(parent.path()).unwrap().count();
    let delivery = Delivery::Layout(parent.path().join("layout"));
    let request = project.request().with_delivery(delivery);
    let begun = async {
        while count() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let events = Events::silent();
    tokio::select! {
        result = engine.builder.build(request, &events) => panic!("{result:?}"),
        () = begun => {}
    }
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while count() > 0 && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.forget(&project.image).await;
    assert_eq!(count(), 0);
}
