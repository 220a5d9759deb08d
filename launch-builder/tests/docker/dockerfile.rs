//! Dockerfiles of the source.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use launch_builder::conformance::Bench as _;
use launch_builder::event::{Event, Events};
use launch_builder::plan::BuildSpec;
use launch_builder::{Builder as _, Error};

use super::engine::Engine;
use super::project::{project, run};

#[tokio::test(flavor = "multi_thread")]
async fn build_arguments_and_labels_reach_the_image() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let text = b"ARG BASE\nFROM $BASE\nARG WORD=none\nENV WORD=$WORD\nCMD echo $WORD\n";
    let spec = BuildSpec::new()
        .with_dockerfile("docker/Dockerfile")
        .with_build_arg("BASE", "launch-test/busybox:1")
        .with_build_arg("WORD", "given word");
    let project = project(
        "launch-test/arguments",
        &[("docker/Dockerfile", text)],
        &spec,
    );
    assert_eq!(project.plan.bases[0].reference, "launch-test/busybox:1");
    engine
        .builder
        .build(project.request(), &Events::silent())
        .await
        .unwrap();
    let inspected = engine
        .docker
        .inspect_image(&project.image.to_string())
        .await
        .unwrap();
    let labels: HashMap<_, _> = inspected.config.unwrap().labels.unwrap();
    assert_eq!(
        labels.get("dev.launch.builder").map(String::as_str),
        Some("docker")
    );
    assert_eq!(run(&project.image), "given word\n");
    engine.forget(&project.image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerfile_that_means_nothing_is_told() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    for (text, said) in [
        ("FRM x\n", "unknown instruction"),
        ("FROM launch-test/busybox:1\nCOPY none.txt /\n", "none.txt"),
        (
            "FROM launch-test/there-is-no-such-image:1\n",
            "launch-test/there-is-no-such-image",
        ),
    ] {
        let spec = BuildSpec::new().with_dockerfile("D");
        let project = project("launch-test/broken", &[("D", text.as_bytes())], &spec);
        let error = engine
            .builder
            .build(project.request(), &Events::silent())
            .await
            .unwrap_err();
        let Error::Build {
            said: sentence,
            log_tail,
            ..
        } = &error
        else {
            panic!("{error:?}")
        };
        assert!(
            format!("{sentence} {log_tail:?}").contains(said),
            "{text}: {error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_context_streams() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let text =
        b"FROM launch-test/busybox:1\nCOPY . /job\nRUN [ $(stat -c %s /job/big) = 67108864 ]\n";
    let spec = BuildSpec::new().with_dockerfile("D");
    let directory_project = project("launch-test/large", &[("D", text)], &spec);
    let big = fs_err::File::create(directory_project.directory.path().join("big")).unwrap();
    big.set_len(64 << 20).unwrap();
    let lines = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&lines);
    let events = Events::new(move |event| {
        if matches!(event, Event::Log(_)) {
            *counted.lock().unwrap() += 1;
        }
    });
    engine
        .builder
        .build(directory_project.request(), &events)
        .await
        .unwrap();
    engine.forget(&directory_project.image).await;
    assert!(*lines.lock().unwrap() >= 3);
}
