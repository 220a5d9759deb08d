//! What lasts from one build to the next.

use std::process::Command;

use launch_builder::Builder as _;
use launch_builder::conformance::Bench as _;
use launch_builder::docker::DockerBuilder;
use launch_builder::event::{Event, Events};
use launch_builder::plan::BuildSpec;
use launch_config::image::ImageRef;

use super::engine::{Engine, needed};
use super::project::{Project, listening, project, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_mount_lasts_from_one_image_to_the_next() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let id = std::process::id();
    let text = format!(
        "FROM launch-test/busybox:1\nCOPY unique.txt /\n\
         RUN --mount=type=cache,target=/c,id=launch-{id} touch /c/$(date +%N%s); ls /c | wc -l > /n\n\
         CMD cat /n\n"
    );
    for expected in ["1\n", "2\n"] {
        let spec = BuildSpec::new().with_dockerfile("D");
        let project = project("launch-test/mounts", &[("D", text.as_bytes())], &spec);
        engine
            .builder
            .build(project.request(), &Events::silent())
            .await
            .unwrap();
        let counted = run(&project.image);
        engine.forget(&project.image).await;
        assert_eq!(counted, expected);
    }
}

/// An image whose one step makes something else whenever it is run.
fn chance(name: &str, marker: &str) -> Project {
    let text = format!(
        "FROM launch-test/busybox:1\n\
         RUN echo {marker}; head -c 8 /dev/urandom | od -An -tx1 > /n\n\
         CMD cat /n\n"
    );
    let spec = BuildSpec::new().with_dockerfile("D");
    project(name, &[("D", text.as_bytes())], &spec)
}

/// What the step made this time. The image stays.
async fn made(builder: &DockerBuilder, project: &Project, events: &Events) -> String {
    builder.build(project.request(), events).await.unwrap();
    run(&project.image)
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?} {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Removes the image and the step from the engine: it is as another machine would be.
async fn move_on(engine: &Engine, image: &ImageRef, marker: &str) {
    engine.forget(image).await;
    let kept = docker(&["system", "df", "-v", "--format", "{{json .BuildCache}}"]);
    let kept: Vec<serde_json::Value> = serde_json::from_str(&kept).unwrap();
    for step in kept {
        if step["Description"].as_str().unwrap().contains(marker) {
            let filter = format!("id={}", step["ID"].as_str().unwrap());
            docker(&["builder", "prune", "-af", "--filter", &filter]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_taken_from_an_image_in_its_registry() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let Some(host) = needed("LAUNCH_TEST_REGISTRY") else {
        return;
    };
    let marker = format!("launch-cache-{}", std::process::id());
    let project = chance(&format!("{host}/launch-test/cache"), &marker);
    let image = &project.image;
    let builder = engine.builder.clone().with_inline_cache();
    let first = made(&builder, &project, &Events::silent()).await;
    docker(&["push", "-q", &image.to_string()]);

    move_on(&engine, image, &marker).await;
    let another = made(&engine.builder, &project, &Events::silent()).await;
    assert_ne!(another, first, "the step was not forgotten");

    move_on(&engine, image, &marker).await;
    let nowhere: ImageRef = "127.0.0.1:9/none:1".parse().unwrap();
    let taking = (engine.builder.clone()).with_cache_from([nowhere, image.clone()]);
    let (events, said) = listening();
    assert_eq!(made(&taking, &project, &events).await, first);
    let said = said.lock().unwrap().clone();
    let is_warned = |event: &Event| matches!(event, Event::Warning(text) if text.contains("127.0.0.1:9/none:1"));
    assert!(said.iter().any(is_warned), "{said:?}");
    let is_taken = |event: &Event| matches!(event, Event::Log(line) if line.starts_with("CACHED") && line.contains(&marker));
    assert!(said.iter().any(is_taken), "{said:?}");

    engine.forget(image).await;
    let anew = made(&taking.without_cache(), &project, &Events::silent()).await;
    assert_ne!(anew, first);
    move_on(&engine, image, &marker).await;
}

/// The classic builder, told of images, takes nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn the_classic_builder_takes_steps_of_the_images_it_is_told_of() {
    let Some(engine) = Engine::classic() else {
        return;
    };
    let marker = format!("launch-classic-{}", std::process::id());
    let one = chance("launch-test/classic-cache", &marker);
    let first = made(&engine.builder, &one, &Events::silent()).await;
    let after = async |from: &[&ImageRef], is_off: bool| {
        let other = chance("launch-test/classic-cache", &marker);
        let images = from.iter().copied().cloned();
        let mut builder = engine.builder.clone().with_cache_from(images);
        if is_off {
            builder = builder.without_cache();
        }
        let made = made(&builder, &other, &Events::silent()).await;
        engine.forget(&other.image).await;
        made
    };
    assert_eq!(after(&[], false).await, first);
    assert_eq!(after(&[&one.image], false).await, first);
    assert_ne!(after(&[&engine.base()], false).await, first);
    assert_ne!(after(&[&one.image], true).await, first);
    engine.forget(&one.image).await;
}
