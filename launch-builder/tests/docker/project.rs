//! Sources to build, and what comes of it.

use std::sync::{Arc, Mutex};

use launch_builder::event::{Event, Events};
use launch_builder::plan::{BuildSpec, Plan, plan};
use launch_builder::source::SourceTree;
use launch_builder::{BuildRequest, context};
use launch_config::image::ImageRef;

pub(crate) struct Project {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) plan: Plan,
    pub(crate) image: ImageRef,
}

pub(crate) fn project(name: &str, files: &[(&str, &[u8])], spec: &BuildSpec) -> Project {
    let directory = tempfile::tempdir().unwrap();
    let unique = directory.path().display().to_string();
    for (path, bytes) in files.iter().chain([&("unique.txt", unique.as_bytes())]) {
        let path = directory.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }
    let plan = plan(&SourceTree::open(directory.path()).unwrap(), spec).unwrap();
    let hashed = context::hash(&plan.context, &plan.context_options(), &Events::silent()).unwrap();
    let image = name
        .parse::<ImageRef>()
        .unwrap()
        .with_tag(&plan.tag(hashed.digest))
        .unwrap();
    Project {
        directory,
        plan,
        image,
    }
}

impl Project {
    pub(crate) fn request(&self) -> BuildRequest {
        BuildRequest::new(self.plan.clone(), self.image.clone())
    }
}

/// Runs an image to its end; answers its log.
pub(crate) fn run(image: &ImageRef) -> String {
    let output = std::process::Command::new("docker")
        .args(["run", "--rm", "--network", "none", &image.to_string()])
        .output()
        .unwrap();
    let (stdout, stderr) = (&output.stdout, &output.stderr);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(stderr)
    );
    String::from_utf8_lossy(stdout).into_owned()
}

/// The lines of a log, as they come.
pub(crate) fn listening() -> (Events, Arc<Mutex<Vec<Event>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&said);
    (
        Events::new(move |event| sink.lock().unwrap().push(event)),
        said,
    )
}
