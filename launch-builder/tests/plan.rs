//! What is decided for a source, and what is refused.

#![expect(clippy::unwrap_used, reason = "what a test cannot have ends it")]

use std::os::unix::fs::symlink;
use std::path::Path;

use launch_builder::Error;
use launch_builder::context;
use launch_builder::event::Events;
use launch_builder::plan::{BuildSpec, DOCKERFILE_NAME, DockerfileOrigin, Plan, entry_point, plan};
use launch_builder::source::SourceTree;
use tempfile::TempDir;

/// A project in a directory of its own, so that there is something to escape to.
fn project(files: &[(&str, &str)]) -> TempDir {
    let scratch = tempfile::tempdir().unwrap();
    fs_err::create_dir(scratch.path().join("project")).unwrap();
    fs_err::write(scratch.path().join("secret"), "FROM secret\n").unwrap();
    for (name, text) in files {
        let path = scratch.path().join("project").join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("link:") {
            Some(target) => symlink(target, path).unwrap(),
            None => fs_err::write(path, text).unwrap(),
        }
    }
    scratch
}

fn tree(scratch: &TempDir) -> SourceTree {
    SourceTree::open(scratch.path().join("project")).unwrap()
}

fn planned(files: &[(&str, &str)], spec: &BuildSpec) -> Result<Plan, Error> {
    plan(&tree(&project(files)), spec)
}

const SCRIPT: (&str, &str) = ("train.py", "");
const OURS: (&str, &str) = ("Dockerfile.wandb", "FROM ours\n");
const THEIRS: (&str, &str) = ("Dockerfile", "FROM theirs\n");

#[test]
fn a_named_dockerfile_goes_before_ours_before_a_generated_one() {
    let named = BuildSpec::new().with_dockerfile("Dockerfile");
    let plan = planned(&[SCRIPT, OURS, THEIRS], &named).unwrap();
    assert_eq!(
        plan.dockerfile.origin,
        DockerfileOrigin::Spec("Dockerfile".into())
    );
    assert_eq!(plan.dockerfile.text, THEIRS.1);

    let plan = planned(&[SCRIPT, OURS, THEIRS], &BuildSpec::new()).unwrap();
    assert_eq!(plan.dockerfile.text, OURS.1);
    assert_eq!(plan.bases[0].reference, "ours");
    assert_eq!(plan.entry_command(), None, "the image knows what it runs");

    let plan = planned(&[SCRIPT, THEIRS], &BuildSpec::new()).unwrap();
    assert_eq!(plan.dockerfile.origin, DockerfileOrigin::Generated);
    assert!(
        plan.notes.iter().any(|note| note.contains("`Dockerfile`")),
        "{:?}",
        plan.notes
    );
}

#[test]
fn our_dockerfile_needs_no_entry_point() {
    let plan = planned(&[OURS], &BuildSpec::new()).unwrap();
    assert_eq!(plan.dockerfile.text, OURS.1);
    let missing = planned(&[THEIRS], &BuildSpec::new())
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("`main.py`") && missing.contains("`-E`"),
        "{missing}"
    );
}

#[test]
fn a_dockerfile_beside_the_script_brings_its_directory() {
    let files = [
        SCRIPT,
        ("sub/job.py", ""),
        ("sub/Dockerfile.wandb", "FROM sub\n"),
    ];
    let spec = BuildSpec::new().with_entry_point(["python", "sub/job.py", "--x"]);
    let scratch = project(&files);
    let plan = plan(&tree(&scratch), &spec).unwrap();
    assert!(plan.context.ends_with("project/sub"));
    assert_eq!(plan.entry_command().unwrap(), ["python", "job.py", "--x"]);
}

#[test]
fn a_build_context_is_where_everything_is_looked_for() {
    let files = [
        SCRIPT,
        ("app/main.py", ""),
        ("app/requirements.txt", "six\n"),
        ("app/D", "FROM d\n"),
    ];
    let spec = BuildSpec::new().with_build_context("app");
    let found = planned(&files, &spec).unwrap();
    assert!(found.context.ends_with("project/app"));
    assert_eq!(found.entry_command().unwrap(), ["python", "-u", "main.py"]);
    assert!(found.requirements.is_some());
    let found = planned(&files, &spec.with_dockerfile("D")).unwrap();
    assert_eq!(found.dockerfile.text, "FROM d\n");
}

#[test]
fn no_path_of_a_spec_leads_out() {
    let files = [
        SCRIPT,
        ("out", "link:../secret"),
        ("up", "link:.."),
        ("a/b", ""),
    ];
    let spec = BuildSpec::new;
    for wrong in [
        spec().with_dockerfile("/etc/passwd"),
        spec().with_dockerfile("../secret"),
        spec().with_dockerfile("a/../../secret"),
        spec().with_dockerfile("out"),
        spec().with_dockerfile("up/secret"),
        spec().with_dockerfile("none"),
        spec().with_dockerfile("a"),
        spec().with_build_context(".."),
        spec().with_build_context("/"),
        spec().with_build_context("up"),
        spec().with_build_context("train.py"),
        spec().with_entry_point(["python", "../secret.py"]),
        spec().with_entry_point(["python", "none.py"]),
    ] {
        let error = planned(&files, &wrong).unwrap_err();
        assert!(matches!(error, Error::Path { .. }), "{wrong:?}: {error}");
        assert!(!error.to_string().contains("FROM secret"));
    }
}

fn refused(files: &[(&str, &str)], spec: &BuildSpec) -> String {
    let error = planned(files, spec).unwrap_err();
    assert!(matches!(error, Error::Path { .. }), "{error}");
    error.to_string()
}

#[test]
fn escape_by_the_path_of_a_dockerfile() {
    let spec = |path: &str| BuildSpec::new().with_dockerfile(path);
    for (path, why) in [
        (
            "../secret",
            "Dockerfile `../secret` leads out of the source",
        ),
        ("/etc/passwd", "Dockerfile `/etc/passwd` is absolute"),
        (
            "x/../../secret",
            "Dockerfile `x/../../secret` leads out of the source",
        ),
    ] {
        assert_eq!(refused(&[SCRIPT], &spec(path)), why);
    }
    let in_context = spec("../../secret").with_build_context("a");
    let why = "Dockerfile `../../secret` leads out of the source";
    assert_eq!(refused(&[SCRIPT, ("a/b", "")], &in_context), why);
}

#[test]
fn escape_by_the_path_of_a_context() {
    let spec = |path: &str| BuildSpec::new().with_build_context(path);
    for (path, why) in [
        ("..", "build context `..` leads out of the source"),
        ("/", "build context `/` is absolute"),
        ("link", "build context `link` is a link out of the source"),
        (
            "link/project/../..",
            "build context `link/project/../..` is a link out of the source",
        ),
    ] {
        assert_eq!(refused(&[SCRIPT, ("link", "link:..")], &spec(path)), why);
    }
}

#[test]
fn escape_by_a_planted_dockerfile_link() {
    let files = [
        SCRIPT,
        ("D", "link:../secret"),
        ("Dockerfile.wandb", "link:/etc/passwd"),
    ];
    let why = "Dockerfile `D` is a link out of the source";
    assert_eq!(refused(&files, &BuildSpec::new().with_dockerfile("D")), why);
    let why = "Dockerfile `Dockerfile.wandb` is a link out of the source";
    assert_eq!(refused(&files, &BuildSpec::new()), why);
}

#[test]
fn escape_by_a_linked_directory_with_a_dockerfile() {
    let scratch = project(&[SCRIPT, ("app", "link:../outside"), ("x.py", "")]);
    fs_err::create_dir(scratch.path().join("outside")).unwrap();
    fs_err::write(
        scratch.path().join("outside/Dockerfile.wandb"),
        "FROM secret\n",
    )
    .unwrap();
    let spec = BuildSpec::new().with_job_entry_point(["python", "app/x.py"]);
    let error = plan(&tree(&scratch), &spec).unwrap_err();
    assert!(matches!(error, Error::Path { .. }), "{error}");
}

#[test]
fn escape_by_a_requirements_link() {
    for (name, why) in [
        (
            "requirements.txt",
            "requirements file `requirements.txt` is a link out of the source",
        ),
        (
            "requirements.frozen.txt",
            "requirements file `requirements.frozen.txt` is a link out of the source",
        ),
        (
            "pyproject.toml",
            "project file `pyproject.toml` is a link out of the source",
        ),
    ] {
        assert_eq!(
            refused(&[SCRIPT, (name, "link:../secret")], &BuildSpec::new()),
            why
        );
    }
    let dangling = [SCRIPT, ("requirements.txt", "link:nowhere")];
    let why = "requirements file `requirements.txt` is not in the source";
    assert_eq!(refused(&dangling, &BuildSpec::new()), why);
}

#[test]
fn escape_by_an_included_requirements_file() {
    let listed = |line: &str| {
        let files = [SCRIPT, ("requirements.txt", line), ("up", "link:..")];
        refused(&files, &BuildSpec::new())
    };
    for line in [
        "-r ../secret\n",
        "-c /etc/passwd\n",
        "--requirement=up/secret\n",
    ] {
        let why = listed(line);
        assert!(why.starts_with("requirements file `"), "{why}");
    }
}

#[test]
fn escape_by_an_ignore_file_link() {
    let files = [SCRIPT, (".dockerignore", "link:../secret")];
    let why = "ignore file `.dockerignore` is a link out of the source";
    assert_eq!(refused(&files, &BuildSpec::new()), why);
}

/// `runtime` of a job is a line of a Dockerfile.
#[test]
fn escape_by_a_python_version() {
    for version in ["3.12\nRUN id", "3.12 AS x", "3.12.1\nRUN id", "latest"] {
        let spec = BuildSpec::new().with_python_version(version);
        let error = planned(&[SCRIPT], &spec).unwrap_err();
        assert!(matches!(error, Error::Plan(_)), "{error}");
    }
}

/// Links stay links in a context: what they point to is read by nobody.
#[test]
fn escape_by_a_linked_file_of_the_context() {
    let scratch = project(&[SCRIPT, ("data", "link:../secret")]);
    let plan = plan(&tree(&scratch), &BuildSpec::new()).unwrap();
    let mut archive = Vec::new();
    let options = plan.context_options();
    context::pack(&plan.context, &options, &mut archive, &Events::silent()).unwrap();
    let copy = tempfile::tempdir().unwrap();
    context::unpack(archive.as_slice(), copy.path()).unwrap();
    let target = fs_err::read_link(copy.path().join("data")).unwrap();
    assert_eq!(target, Path::new("../secret"));
}

#[test]
fn no_file_of_a_source_leads_out() {
    for name in [
        "Dockerfile.wandb",
        "requirements.txt",
        "requirements.frozen.txt",
        "pyproject.toml",
        ".python-version",
        ".dockerignore",
    ] {
        for target in ["link:../secret", "link:/etc/passwd", "link:nowhere"] {
            let error = planned(&[SCRIPT, (name, target)], &BuildSpec::new()).unwrap_err();
            assert!(
                matches!(error, Error::Path { .. }),
                "{name} {target}: {error}"
            );
        }
    }
}

/// The job's own command decides where a Dockerfile may be, the spec's what runs.
#[test]
fn a_job_is_planned_by_its_own_command() {
    let files = [
        ("app/train.py", ""),
        ("app/Dockerfile.wandb", "FROM app\n"),
        ("other/x.py", ""),
    ];
    let job = BuildSpec::new().with_job_entry_point(["python", "app/train.py"]);
    let found = planned(&files, &job).unwrap();
    assert_eq!(found.entry_command().unwrap(), ["python", "train.py"]);
    let found = planned(&files, &job.with_entry_point(["python", "other/x.py"])).unwrap();
    assert!(found.context.ends_with("project/app"));
    assert_eq!(found.entry_command().unwrap(), ["python", "other/x.py"]);
    assert_eq!(
        found.job_entry_point.unwrap().command,
        ["python", "train.py"]
    );
}

/// Recorded in its project, a job's command is relative to that, whatever its context.
#[test]
fn a_generated_job_is_built_from_its_project() {
    let files = [("app/train.py", ""), ("requirements.txt", "six\n")];
    let job = BuildSpec::new()
        .with_job_entry_point(["python", "app/train.py"])
        .with_build_context("app");
    let plan = planned(&files, &job).unwrap();
    assert!(plan.context.ends_with("project"));
    let notes = plan.notes.join("; ");
    assert!(
        notes.contains("`wandb`") && notes.contains("build context `app`"),
        "{notes}"
    );
}

#[test]
fn a_named_dockerfile_may_lie_beside_its_context() {
    let files = [
        ("app/train.py", ""),
        ("docker/D", "FROM d\n"),
        ("docker/D.dockerignore", "*.log\n"),
        ("app/x.log", ""),
    ];
    let spec = BuildSpec::new()
        .with_build_context("docker/../app")
        .with_dockerfile("../docker/D");
    let scratch = project(&files);
    let plan = plan(&tree(&scratch), &spec).unwrap();
    assert!(plan.context.ends_with("project/app"));
    let names: Vec<_> = packed(&scratch, &spec)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, [".dockerignore", DOCKERFILE_NAME, "train.py"]);
}

#[test]
fn a_broken_project_file_is_a_note_where_it_is_not_needed() {
    let files = [
        SCRIPT,
        ("pyproject.toml", "[project\n"),
        ("requirements.txt", "six\n"),
    ];
    let plan = planned(&files, &BuildSpec::new()).unwrap();
    assert!(
        plan.notes[0].contains("`pyproject.toml` line 1"),
        "{:?}",
        plan.notes
    );
    assert!(planned(&files[..2], &BuildSpec::new()).is_err());
}

#[test]
fn git_is_in_the_image_only_if_asked() {
    let files = [SCRIPT, (".git/config", "url = https://u:token@h/r\n")];
    let scratch = project(&files);
    let plan_of = |scratch: &TempDir| plan(&tree(scratch), &BuildSpec::new()).unwrap();
    let has_git = |plan: &Plan| {
        let mut archive = Vec::new();
        let options = plan.context_options();
        context::pack(&plan.context, &options, &mut archive, &Events::silent()).unwrap();
        let copy = tempfile::tempdir().unwrap();
        context::unpack(archive.as_slice(), copy.path()).unwrap();
        copy.path().join(".git/config").exists()
    };
    assert!(!has_git(&plan_of(&scratch)));
    fs_err::write(scratch.path().join("project/.dockerignore"), "!.git\n").unwrap();
    assert!(has_git(&plan_of(&scratch)));
}

#[test]
fn what_is_not_used_is_noted() {
    let image = || "python:3.9".parse().unwrap();
    let spec = BuildSpec::new()
        .with_base_image(image())
        .with_python_version("3.10");
    let plan = planned(&[SCRIPT], &spec).unwrap();
    assert!(
        plan.notes
            .iter()
            .any(|note| note.contains("python version")),
        "{:?}",
        plan.notes
    );
    let plan = planned(&[SCRIPT, OURS], &spec.with_user_id(7)).unwrap();
    assert_eq!(plan.notes.len(), 3, "{:?}", plan.notes);
}

#[test]
fn a_plan_prints_and_serializes() {
    let spec = BuildSpec::new().with_platform("linux/amd64");
    let files = [
        SCRIPT,
        ("requirements.txt", "six\n"),
        (".python-version", "3.11.2\n"),
    ];
    let plan = planned(&files, &spec).unwrap();
    let shown = plan.to_string();
    for row in [
        "dockerfile   generated",
        "base image   python:3.11-slim",
        "python       3.11 (.python-version)",
        "packages     requirements.txt",
        "entry point  [\"python\", \"-u\", \"train.py\"] (its name says so)",
        "user         1000",
        "platform     linux/amd64",
    ] {
        assert!(shown.lines().any(|line| line == row), "{row}\n{shown}");
    }
    let value = serde_json::to_value(&plan).unwrap();
    assert_eq!(value["dockerfile"]["origin"], "generated");
    assert_eq!(value["python"]["origin"], "version-file");
    assert_eq!(value["entry_point"]["command"][2], "train.py");
}

#[test]
fn a_runner_without_images_asks_for_the_command_alone() {
    let scratch = project(&[("only.py", "")]);
    let tree = tree(&scratch);
    let command = |given: &[&str]| {
        let given: Vec<String> = given.iter().map(|word| (*word).to_owned()).collect();
        entry_point(&tree, &given).map(|entry| entry.command)
    };
    assert_eq!(command(&[]).unwrap(), ["python", "-u", "only.py"]);
    assert_eq!(command(&["echo", "x"]).unwrap(), ["echo", "x"]);
    assert!(command(&["python", "other.py"]).is_err());
}

/// The files of a plan's packed context.
fn packed(scratch: &TempDir, spec: &BuildSpec) -> Vec<(String, String)> {
    let plan = plan(&tree(scratch), spec).unwrap();
    let mut archive = Vec::new();
    let options = plan.context_options();
    context::pack(&plan.context, &options, &mut archive, &Events::silent()).unwrap();
    let copy = tempfile::tempdir().unwrap();
    context::unpack(archive.as_slice(), copy.path()).unwrap();
    let mut files = Vec::new();
    for entry in fs_err::read_dir(copy.path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        files.push((name, fs_err::read_to_string(path).unwrap()));
    }
    files.sort();
    files
}

#[test]
fn the_packed_context_has_the_dockerfile_and_its_rules() {
    let scratch = project(&[
        SCRIPT,
        ("D", "FROM d\n"),
        ("D.dockerignore", "train.py\n*.dockerignore\n"),
        (".dockerignore", "D\n"),
    ]);
    let files = packed(&scratch, &BuildSpec::new().with_dockerfile("D"));
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [".dockerignore", DOCKERFILE_NAME, "D"]);
    let rules = format!("train.py\n*.dockerignore\n\n{DOCKERFILE_NAME}*\n.dockerignore\n");
    assert_eq!(files[0].1, rules);
    assert_eq!(files[1].1, "FROM d\n");
    assert!(Path::new(&scratch.path().join("project/.dockerignore")).is_file());
    assert!(
        !scratch
            .path()
            .join("project")
            .join(DOCKERFILE_NAME)
            .exists()
    );
}
