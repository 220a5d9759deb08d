//! The decisions, in their order.

use std::path::{Path, PathBuf};

use super::requirements::{self, Pyproject};
use super::{
    Base, BuildSpec, DEFAULT_USER_ID, Dockerfile, DockerfileOrigin, EntryPoint, IGNORE_FILE, Plan,
    Python, python,
};
use crate::confine;
use crate::dockerfile::{self, Recipe, Start};
use crate::error::Error;
use crate::source::SourceTree;

/// The Dockerfile that is meant for us when it lies beside the entry point.
const OURS: &str = "Dockerfile.wandb";
/// The Dockerfile that is meant for whoever its author had in mind.
const THEIRS: &str = "Dockerfile";

/// Decides how the image of a source is made. Reads the disk, and nothing else.
///
/// The Dockerfile is the one the spec names, else the `Dockerfile.wandb` beside the entry
/// point (whose directory is then the context), else a generated one. A plain `Dockerfile`
/// is not used unless it is named.
///
/// # Errors
/// [`Error::Plan`] if something is missing or means nothing, [`Error::Path`] if a path leads
/// out of the source.
pub fn plan(tree: &SourceTree, spec: &BuildSpec) -> Result<Plan, Error> {
    spec.check()?;
    let root = match &spec.build_context {
        Some(path) => directory(tree.root(), path)?,
        None => tree.root().to_owned(),
    };
    if let Some(path) = &spec.dockerfile {
        let text = confine::read_text(&root, path, "Dockerfile")?;
        let dockerfile = Dockerfile {
            text,
            origin: DockerfileOrigin::Spec(path.clone()),
        };
        let ignore = ignore_rules(&root, Some(path))?;
        return Ok(Plan {
            ignore,
            ..brought(tree, spec, root, dockerfile, given(spec))
        });
    }
    let entry = entry_in(&root, &spec.entry_point);
    let beside = match entry.as_ref().ok().and_then(EntryPoint::directory) {
        Some(path) if !path.as_os_str().is_empty() => path.to_owned(),
        _ => PathBuf::from("."),
    };
    if let Some(dockerfile) = find_ours(&root, &beside)? {
        let context = confine::inside(&root, &beside, "build context")?;
        let entry = given(spec).map(EntryPoint::beside_script);
        let ignore = ignore_rules(&context, Some(Path::new(OURS)))?;
        return Ok(Plan {
            ignore,
            ..brought(tree, spec, context, dockerfile, entry)
        });
    }
    generated(tree, spec, root, entry?)
}

/// Decides what a source runs, for a runner that needs no image.
///
/// # Errors
/// [`Error::Plan`] if nothing was given and the source does not say, [`Error::Path`] if the
/// script is not in the source.
pub fn entry_point(tree: &SourceTree, given: &[String]) -> Result<EntryPoint, Error> {
    entry_in(tree.root(), given)
}

fn entry_in(root: &Path, given: &[String]) -> Result<EntryPoint, Error> {
    if given.is_empty() {
        return EntryPoint::find(root);
    }
    let entry = EntryPoint::given(given);
    entry.check(root)?;
    Ok(entry)
}

/// The command of a spec, for an image that may hold anything anywhere.
fn given(spec: &BuildSpec) -> Option<EntryPoint> {
    (!spec.entry_point.is_empty()).then(|| EntryPoint::given(&spec.entry_point))
}

fn directory(root: &Path, path: &Path) -> Result<PathBuf, Error> {
    const WHAT: &str = "build context";
    let real = confine::inside(root, path, WHAT)?;
    let refusal = || Error::Path {
        what: WHAT,
        path: path.to_owned(),
        why: "is not a directory",
    };
    real.is_dir().then_some(real).ok_or_else(refusal)
}

/// The text of the ignore file in force: the Dockerfile's own, else the context's.
fn ignore_rules(context: &Path, dockerfile: Option<&Path>) -> Result<String, Error> {
    let own = dockerfile.map(|path| {
        let mut own = path.as_os_str().to_owned();
        own.push(IGNORE_FILE);
        PathBuf::from(own)
    });
    for path in own.into_iter().chain([PathBuf::from(IGNORE_FILE)]) {
        if let Some(text) = confine::find_text(context, &path, "ignore file")? {
            return Ok(text);
        }
    }
    Ok(String::new())
}

fn find_ours(root: &Path, beside: &Path) -> Result<Option<Dockerfile>, Error> {
    let path = if beside == Path::new(".") {
        PathBuf::from(OURS)
    } else {
        beside.join(OURS)
    };
    let text = confine::find_text(root, &path, "Dockerfile")?;
    let origin = DockerfileOrigin::BesideEntryPoint(path);
    Ok(text.map(|text| Dockerfile { text, origin }))
}

/// The plan for a Dockerfile of the source.
fn brought(
    tree: &SourceTree,
    spec: &BuildSpec,
    context: PathBuf,
    dockerfile: Dockerfile,
    entry_point: Option<EntryPoint>,
) -> Plan {
    let mut plan = bare(tree, spec, context, dockerfile, entry_point);
    let unused = [
        ("base image", spec.base_image.is_some()),
        (
            "accelerator base image",
            spec.accelerator_base_image.is_some(),
        ),
        ("python version", spec.python_version.is_some()),
        ("user id", spec.user_id.is_some()),
    ];
    for (what, _) in unused.iter().filter(|(_, is_given)| *is_given) {
        plan.notes.push(format!(
            "the {what} of the spec is not used: the Dockerfile decides"
        ));
    }
    plan
}

/// The plan for a source that brings no Dockerfile.
fn generated(
    tree: &SourceTree,
    spec: &BuildSpec,
    root: PathBuf,
    entry: EntryPoint,
) -> Result<Plan, Error> {
    let mut notes = Vec::new();
    let pyproject = Pyproject::read(&root)?;
    let requirements = requirements::find(&root, pyproject.as_ref())?;
    let python = python::choose(
        &root,
        spec.python_version.as_deref(),
        pyproject.as_ref(),
        &mut notes,
    )?;
    let brings_python = spec.base_image.is_some() && spec.accelerator_base_image.is_none();
    let python = (!brings_python).then_some(python);
    let user_id = spec.user_id.unwrap_or(DEFAULT_USER_ID);
    let text = dockerfile::generate(&Recipe {
        start: start(spec, python.as_ref()),
        requirements: requirements.as_ref(),
        user_id,
        entry: &entry,
    });
    notes.extend(remarks(&root, spec, requirements.is_none()));
    let dockerfile = Dockerfile {
        text,
        origin: DockerfileOrigin::Generated,
    };
    let ignore = ignore_rules(&root, None)?;
    Ok(Plan {
        ignore,
        python,
        requirements,
        work_dir: Some(dockerfile::WORK_DIR.to_owned()),
        user_id: Some(user_id),
        notes,
        ..bare(tree, spec, root, dockerfile, Some(entry))
    })
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
fn remarks(root: &Path, spec: &BuildSpec, installs_nothing: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if root.join(THEIRS).is_file() {
        notes.push(format!(
            "the source has a `{THEIRS}`, which is used only if it is named, or called `{OURS}`"
        ));
    }
    if installs_nothing {
        notes.push("the source lists no requirements: nothing is installed".to_owned());
    }
    if spec.accelerator_base_image.is_some() && spec.base_image.is_some() {
        notes.push("the base image is not used: the accelerator's goes first".to_owned());
    }
    let brings_python = spec.base_image.is_some() && spec.accelerator_base_image.is_none();
    if brings_python && spec.python_version.is_some() {
        notes.push("the python version is not used: the base image brings its own".to_owned());
    }
    notes
}

fn bare(
    tree: &SourceTree,
    spec: &BuildSpec,
    context: PathBuf,
    dockerfile: Dockerfile,
    entry_point: Option<EntryPoint>,
) -> Plan {
    let bases = dockerfile::bases(&dockerfile.text, &spec.build_args);
    Plan {
        source: tree.origin().to_owned(),
        revision: tree.revision().map(str::to_owned),
        context,
        dockerfile,
        bases: bases
            .into_iter()
            .map(|reference| Base {
                reference,
                digest: None,
            })
            .collect(),
        python: None,
        requirements: None,
        entry_point,
        work_dir: None,
        user_id: None,
        platform: spec.platform.clone(),
        build_args: spec.build_args.clone(),
        notes: Vec::new(),
        ignore: String::new(),
    }
}
