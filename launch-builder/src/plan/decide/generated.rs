//! Sources that bring no Dockerfile.

use std::path::{Path, PathBuf};

use super::super::requirements::{self, Pyproject};
use super::super::{BuildSpec, DEFAULT_USER_ID, Plan, Python, Requirements, python};
use super::commands::Commands;
use super::ignore::ignore_rules;
use super::{OURS, THEIRS, bare};
use crate::dockerfile::{self, Recipe, Start};
use crate::error::Error;
use crate::source::SourceTree;

/// The plan for a source that brings no Dockerfile.
pub(super) fn generated(
    tree: &SourceTree,
    spec: &BuildSpec,
    root: PathBuf,
    commands: Commands,
) -> Result<Plan, Error> {
    // A job was recorded in its project, so its command is relative to that.
    let root = if spec.job_entry_point.is_empty() {
        root
    } else {
        tree.root().to_owned()
    };
    let entry = commands.effective().cloned();
    let entry = entry.expect("a command was given, or one was found");
    entry.check(&root)?;
    let mut notes = Vec::new();
    let pyproject = if requirements::has_file(&root)? {
        Pyproject::read_if_readable(&root, &mut notes)?
    } else {
        Pyproject::read(&root)?
    };
    let requirements = requirements::find(&root, pyproject.as_ref())?;
    let asked = spec.python_version.as_deref();
    let python = python::choose(&root, asked, pyproject.as_ref(), &mut notes)?;
    let python = Some(python).filter(|_| !brings_python(spec));
    let user_id = spec.user_id.unwrap_or(DEFAULT_USER_ID);
    let dockerfile = dockerfile::generate(&Recipe {
        start: start(spec, python.as_ref()),
        requirements: requirements.as_ref().filter(|list| !list.is_empty),
        user_id,
        entry: &entry,
    });
    notes.extend(remarks(&root, spec, requirements.as_ref()));
    let ignore = ignore_rules(tree.root(), &root, None)?;
    Ok(Plan {
        python,
        requirements,
        work_dir: Some(dockerfile::WORK_DIR.to_owned()),
        user_id: Some(user_id),
        notes,
        ..bare(tree, spec, root, dockerfile, commands)
    }
    .with_ignore(ignore))
}

/// Whether a generated image has a base with a python of its own.
fn brings_python(spec: &BuildSpec) -> bool {
    spec.base_image.is_some() && spec.accelerator_base_image.is_none()
}

/// What the spec starts from; a version of python is only chosen where it is needed.
fn start<'a>(spec: &'a BuildSpec, python: Option<&'a Python>) -> Start<'a> {
    match (&spec.accelerator_base_image, &spec.base_image, python) {
        (Some(image), _, Some(python)) => Start::Accelerator(image, python),
        (_, Some(image), _) => Start::Image(image),
        (_, None, Some(python)) => Start::Python(python),
        (_, None, None) => unreachable!("only a base image makes a version of python needless"),
    }
}

/// What might surprise the author of a source whose Dockerfile was generated.
fn remarks(root: &Path, spec: &BuildSpec, list: Option<&Requirements>) -> Vec<String> {
    let mut notes = Vec::new();
    if root.join(THEIRS).is_file() {
        notes.push(format!(
            "the source has a `{THEIRS}`, which is used only if it is named, or called `{OURS}`"
        ));
    }
    if list.is_none_or(|list| list.is_empty) {
        notes.push("the source lists no requirements: nothing is installed".to_owned());
    }
    let is_job = !spec.job_entry_point.is_empty();
    if let Some(list) = list.filter(|list| is_job && !list.names_wandb) {
        notes.push(format!(
            "`{}` does not name `wandb`: without it, the run reports nothing",
            list.file.display()
        ));
    }
    if let Some(context) = spec.build_context.as_ref().filter(|_| is_job) {
        notes.push(format!(
            "the build context `{}` of the job is not used: it brings no Dockerfile",
            context.display()
        ));
    }
    if spec.accelerator_base_image.is_some() && spec.base_image.is_some() {
        notes.push("the base image is not used: the accelerator's goes first".to_owned());
    }
    if brings_python(spec) && spec.python_version.is_some() {
        notes.push("the python version is not used: the base image brings its own".to_owned());
    }
    notes
}
