//! What every [`Builder`] owes, as a suite.
//!
//! An author of a builder implements [`Bench`] for it and calls [`all`], or the functions
//! one by one. They panic with what went wrong. Each makes images of its own, never seen
//! before, and asks the bench to forget them at its end.
//!
//! ```no_run
//! use launch_builder::conformance::{self, Bench};
//!
//! async fn my_builder_conforms(bench: &dyn Bench) {
//!     conformance::all(bench).await;
//! }
//! ```

#![expect(clippy::missing_panics_doc, reason = "to panic is how a suite answers")]

mod layout;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use launch_config::image::{Digest, ImageRef};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::context;
use crate::error::Error;
use crate::event::{Event, Events};
use crate::plan::{BuildSpec, Plan, plan};
use crate::source::SourceTree;
use crate::{BuildRequest, Builder, BuiltImage, Delivery};

/// A builder and what the suite has to know about its surroundings.
#[async_trait]
pub trait Bench: Send + Sync {
    /// The builder.
    fn builder(&self) -> &dyn Builder;

    /// An image with a shell, which the builder finds as it is written.
    fn base(&self) -> ImageRef;

    /// Whether the builder delivers with [`Delivery::Local`]; if not, only layouts are tried.
    fn is_local(&self) -> bool;

    /// Where the builder pushes to, if [`Delivery::Registry`] is all it delivers with.
    fn repository(&self) -> Option<ImageRef> {
        None
    }

    /// Whether the backend has an image under this name.
    async fn holds(&self, image: &ImageRef) -> bool;

    /// Removes an image from the backend, if it has it.
    async fn forget(&self, image: &ImageRef);
}

/// How long a step runs that is to be interrupted, and how long nothing may come of it.
const STEP: Duration = Duration::from_secs(8);
const AFTERMATH: Duration = Duration::from_secs(12);
/// No build of the suite takes longer.
const LIMIT: Duration = Duration::from_mins(5);

/// Everything below, one after the other.
pub async fn all(bench: &dyn Bench) {
    bench
        .builder()
        .check()
        .await
        .expect("`check` fails on a bench that is ready");
    same_plan_same_image(bench).await;
    another_file_another_image(bench).await;
    a_failing_build_shows_its_end(bench).await;
    a_changed_context_is_refused(bench).await;
    a_dropped_build_leaves_nothing(bench).await;
    if bench.repository().is_none() {
        a_layout_is_what_it_says(bench).await;
    }
}

/// A project of the suite: a Dockerfile, a file, and a name for the image.
struct Project {
    directory: TempDir,
    plan: Plan,
    context: Digest,
    image: ImageRef,
    delivery: Delivery,
}

impl Project {
    /// With a content nobody has built before: the path of a fresh directory.
    fn new(bench: &dyn Bench, steps: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let unique = directory.path().display().to_string();
        write(&directory, "content.txt", &unique);
        let dockerfile = format!("FROM {}\nCOPY . /job/\n{steps}\n", bench.base());
        write(&directory, "Dockerfile.wandb", &dockerfile);
        Self::in_directory(bench, directory)
    }

    fn in_directory(bench: &dyn Bench, directory: TempDir) -> Self {
        let tree = SourceTree::open(directory.path()).expect("the project is a directory");
        let plan = plan(&tree, &BuildSpec::new()).expect("the project has a plan");
        let options = plan.context_options();
        let hashed = context::hash(&plan.context, &options, &Events::silent());
        let context = hashed.expect("the context can be read").digest;
        let (name, delivery) = match bench.repository() {
            Some(repository) => (repository, Delivery::Registry),
            None => (
                "launch-conformance".parse().expect("a name"),
                Delivery::Local,
            ),
        };
        let image = name
            .with_tag(&plan.tag(context))
            .expect("the tag of a plan is a tag");
        Self {
            directory,
            plan,
            context,
            image,
            delivery,
        }
    }

    /// The same project with another content.
    fn changed(self, bench: &dyn Bench) -> Self {
        write(&self.directory, "content.txt", "changed");
        Self::in_directory(bench, self.directory)
    }

    fn request(&self) -> BuildRequest {
        let request = BuildRequest::new(self.plan.clone(), self.image.clone());
        let request = request.with_delivery(self.delivery.clone());
        request.with_context(self.context)
    }
}

fn write(directory: &TempDir, name: &str, text: &str) {
    fs_err::write(directory.path().join(name), text).expect("the project can be written");
}

async fn build(
    bench: &dyn Bench,
    request: BuildRequest,
    events: &Events,
) -> Result<BuiltImage, Error> {
    let building = bench.builder().build(request, events);
    tokio::time::timeout(LIMIT, building)
        .await
        .expect("a build ends within five minutes")
}

/// What identifies a project's image, and whether it was there.
async fn built(bench: &dyn Bench, project: &Project) -> (String, Option<bool>) {
    let request = project.request();
    if project.delivery == Delivery::Registry {
        return match build(bench, request, &Events::silent()).await {
            Ok(BuiltImage::Pushed(pinned)) => (pinned.digest().to_string(), None),
            other => panic!("`Delivery::Registry` is answered with {other:?}"),
        };
    }
    if bench.is_local() {
        return match build(bench, request, &Events::silent()).await {
            Ok(BuiltImage::Local { image, id, reused }) => {
                assert_eq!(
                    image, project.image,
                    "an image is built under the name asked for"
                );
                (id.to_string(), Some(reused))
            }
            other => panic!("`Delivery::Local` is answered with {other:?}"),
        };
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("layout");
    let request = request.with_delivery(Delivery::Layout(path.clone()));
    build(bench, request, &Events::silent())
        .await
        .expect("the image is built");
    (layout::manifest_digest(&path), None)
}

/// The same plan twice is one image, and the second time it is found, not built.
pub async fn same_plan_same_image(bench: &dyn Bench) {
    let project = Project::new(bench, "RUN date > /built-at");
    let (first, was_there) = built(bench, &project).await;
    assert_ne!(
        was_there,
        Some(true),
        "an image nobody built is said to be reused"
    );
    let (second, was_there) = built(bench, &project).await;
    assert_ne!(
        was_there,
        Some(false),
        "an image that is there is built again"
    );
    assert_eq!(first, second, "one plan, two images");
    bench.forget(&project.image).await;
}

/// Another content is another tag and another image.
pub async fn another_file_another_image(bench: &dyn Bench) {
    let project = Project::new(bench, "");
    let (image, (first, _)) = (project.image.clone(), built(bench, &project).await);
    let project = project.changed(bench);
    assert_ne!(
        image, project.image,
        "a changed file does not change the tag"
    );
    let (second, was_there) = built(bench, &project).await;
    assert_ne!(
        was_there,
        Some(true),
        "a changed file does not change the image"
    );
    assert_ne!(first, second, "two plans, one image");
    bench.forget(&image).await;
    bench.forget(&project.image).await;
}

/// A failing step ends in [`Error::Build`], whose log tail shows what the step said.
pub async fn a_failing_build_shows_its_end(bench: &dyn Bench) {
    let project = Project::new(bench, "RUN echo the-step-said-$((40+2)); exit 3");
    let error = build(bench, project.request(), &Events::silent()).await;
    match error.expect_err("a build whose step fails succeeds") {
        Error::Build { log_tail, .. } => {
            let is_shown = log_tail
                .iter()
                .any(|line| line.contains("the-step-said-42"));
            assert!(
                is_shown,
                "the log tail does not show the step: {log_tail:?}"
            );
            assert!(
                log_tail.len() <= 50,
                "the log tail is {} lines long",
                log_tail.len()
            );
        }
        other => panic!("a failing step is not `Error::Build`: {other:?}"),
    }
    assert!(
        !bench.holds(&project.image).await,
        "a failed build leaves an image"
    );
}

/// A context that is not the one the image is named after is not built under that name.
pub async fn a_changed_context_is_refused(bench: &dyn Bench) {
    let project = Project::new(bench, "");
    write(
        &project.directory,
        "content.txt",
        "changed after the naming",
    );
    let result = build(bench, project.request(), &Events::silent()).await;
    assert!(
        matches!(result, Err(Error::Changed(_))),
        "a changed context: {result:?}"
    );
    assert!(
        !bench.holds(&project.image).await,
        "a refused context leaves an image"
    );
}

/// Dropping the future of a running build stops it, and nothing comes of it later.
pub async fn a_dropped_build_leaves_nothing(bench: &dyn Bench) {
    let seconds = STEP.as_secs();
    let step = format!("RUN echo the-step-runs-$((40+2)); sleep {seconds}");
    let project = Project::new(bench, &step);
    let runs = Arc::new(Notify::new());
    let noticed = Arc::clone(&runs);
    let events = Events::new(move |event| {
        if matches!(event, Event::Log(line) if line.contains("the-step-runs-42")) {
            noticed.notify_one();
        }
    });
    tokio::select! {
        result = build(bench, project.request(), &events) => panic!("it ended first: {result:?}"),
        () = runs.notified() => {}
    }
    let end = tokio::time::Instant::now() + AFTERMATH;
    while tokio::time::Instant::now() < end {
        assert!(
            !bench.holds(&project.image).await,
            "a dropped build went on to its image"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A layout has every blob under its right digest and size, layers that unpack to the
/// config's `diff_ids`, and the project's files and nothing of ours in them.
pub async fn a_layout_is_what_it_says(bench: &dyn Bench) {
    let project = Project::new(bench, "RUN echo made > /made.txt");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("layout");
    let request = project
        .request()
        .with_delivery(Delivery::Layout(path.clone()));
    let built = build(bench, request, &Events::silent())
        .await
        .expect("the image is built");
    assert_eq!(
        built,
        BuiltImage::Layout(path.clone()),
        "a layout is answered by its path"
    );
    let files = layout::files(&path);
    let content = files
        .get("job/content.txt")
        .expect("the project's file is in the image");
    let expected = fs_err::read(project.directory.path().join("content.txt"));
    assert_eq!(
        content,
        &expected.expect("the project's file"),
        "its content is the project's"
    );
    assert_eq!(
        files.get("made.txt").map(Vec::as_slice),
        Some(&b"made\n"[..]),
        "the step's file"
    );
    let ours = files.keys().find(|name| name.contains(".launch."));
    assert_eq!(ours, None, "a file of ours is in the image");
    bench.forget(&project.image).await;
}
