//! A builder that dies in the midst of a build, and one that comes after it.

use std::sync::Arc;

use kube::ResourceExt as _;
use launch_builder::event::{Event, Events};
use launch_builder::{Builder as _, BuiltImage};
use tokio::sync::Notify;

use super::bench::{Bench, Project};

const STEP: &str = "RUN echo the-step-runs-$((40+2)); date +%s > /built-at; sleep 8";

/// Begins a build and leaves it as a killed process does: nothing of it is dropped.
async fn begin_and_die(bench: &Bench, project: &Project) {
    let runs = Arc::new(Notify::new());
    let noticed = Arc::clone(&runs);
    let events = Events::new(move |event| {
        if matches!(event, Event::Log(line) if line.contains("the-step-runs-42")) {
            noticed.notify_one();
        }
    });
    let events = Box::leak(Box::new(events));
    let builder = Box::leak(Box::new(bench.builder.clone()));
    let mut building = builder.build(project.request(), events);
    tokio::select! {
        result = &mut building => panic!("it ended first: {result:?}"),
        () = runs.notified() => {}
    }
    std::mem::forget(building);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_found_again_by_its_name() {
    let Some(bench) = Bench::start("by-name").await else {
        return;
    };
    goes_on(&bench, "run-1", "run-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_found_again_by_its_image() {
    let Some(mut bench) = Bench::start("by-image").await else {
        return;
    };
    bench.builder = bench.builder.clone().with_owner("an agent");
    goes_on(&bench, "run-1", "run-2").await;
}

/// The second builder waits for the first one's Job: one Job, one image, nothing left.
async fn goes_on(bench: &Bench, first: &str, second: &str) {
    let project = Project::new(bench, STEP, &[]).for_run(first);
    begin_and_die(bench, &project).await;
    let jobs = bench.jobs().await;
    assert_eq!(jobs.len(), 1);
    let (project, uid) = (project.for_run(second), jobs[0].uid());
    let events = Events::silent();
    let building = bench.builder.build(project.request(), &events);
    let watching = async {
        // In the midst of the second builder's wait it is still the same one.
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        bench.jobs().await
    };
    let (built, jobs) = tokio::join!(building, watching);
    let uids: Vec<_> = jobs.iter().map(kube::ResourceExt::uid).collect();
    assert_eq!(uids, [uid]);
    let BuiltImage::Pushed(pinned) = built.unwrap() else {
        panic!("the image is not pinned")
    };
    assert_eq!(
        Some(pinned.digest().to_string()),
        bench.digest(&project.image).await
    );
    bench.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_finished_build_left_is_cleaned_up() {
    let Some(bench) = Bench::start("finished").await else {
        return;
    };
    let project = Project::new(&bench, STEP, &[]).for_run("run-1");
    begin_and_die(&bench, &project).await;
    while bench.digest(&project.image).await.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(bench.contexts().await.len(), 1);
    bench.builder.clean_up(&project.request()).await.unwrap();
    bench.assert_nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_code_changed_builds_anew() {
    let Some(bench) = Bench::start("changed").await else {
        return;
    };
    let project = Project::new(&bench, STEP, &[]).for_run("run-1");
    begin_and_die(&bench, &project).await;
    let uid = bench.jobs().await[0].uid();
    let changed = Project::new(&bench, "RUN echo other", &[]).for_run("run-1");
    let built = bench
        .builder
        .build(changed.request(), &Events::silent())
        .await
        .unwrap();
    assert!(matches!(built, BuiltImage::Pushed(_)));
    assert!(bench.jobs().await.iter().all(|job| job.uid() != uid));
    assert_eq!(
        bench.digest(&project.image).await,
        None,
        "the old build went on to its image"
    );
    bench.assert_nothing_left().await;
}
