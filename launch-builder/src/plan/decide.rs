//! The decisions, in their order.

mod commands;
mod generated;
mod ignore;

use std::path::{Path, PathBuf};

use self::commands::Commands;
pub(super) use self::commands::command;
pub use self::commands::entry_point;
use self::generated::generated;
pub(super) use self::ignore::Ignore;
use self::ignore::ignore_rules;
use super::entry_point::Place;
use super::{Base, BuildSpec, Dockerfile, DockerfileOrigin, EntryPoint, Plan};
use crate::error::Error;
use crate::source::SourceTree;
use crate::{confine, dockerfile};

/// The Dockerfile that is meant for us when it lies beside the entry point.
const OURS: &str = "Dockerfile.wandb";
/// The Dockerfile that is meant for whoever its author had in mind.
const THEIRS: &str = "Dockerfile";

/// Decides how the image of a source is made. Reads the disk, and nothing else.
///
/// The Dockerfile is the one the spec names, else the `Dockerfile.wandb` beside the entry
/// point (whose directory is then the context), else a generated one. A plain `Dockerfile`
/// is not used unless it is named. A named one is relative to the build context, and may lie
/// beside it, in the source.
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
    let commands = Commands::of(spec);
    if let Some(path) = &spec.dockerfile {
        return named(tree, spec, root, path, commands);
    }
    let found = match commands.decisive() {
        Some(_) => None,
        None => Some(EntryPoint::find(&root)),
    };
    let places = match (commands.decisive(), &found) {
        (Some(entry), _) | (None, Some(Ok(entry))) => entry.places(),
        // Our Dockerfile at the top needs nobody to say what runs.
        _ => EntryPoint::given(&[]).places(),
    };
    for Place { directory, entry } in places {
        if let Some((context, dockerfile)) = find_ours(tree.root(), &root, &directory)? {
            let ignore = ignore_rules(tree.root(), &context, Some(Path::new(OURS)))?;
            let commands = commands.moved(entry);
            return Ok(brought(tree, spec, context, dockerfile, commands).with_ignore(ignore));
        }
    }
    generated(tree, spec, root, commands.or(found)?)
}

/// The plan for the Dockerfile the spec names.
fn named(
    tree: &SourceTree,
    spec: &BuildSpec,
    root: PathBuf,
    path: &Path,
    commands: Commands,
) -> Result<Plan, Error> {
    let text = confine::read_text_below(tree.root(), &root, path, "Dockerfile")?;
    let origin = DockerfileOrigin::Spec(path.to_owned());
    let ignore = ignore_rules(tree.root(), &root, Some(path))?;
    let dockerfile = Dockerfile::of_source(text, origin);
    Ok(brought(tree, spec, root, dockerfile, commands).with_ignore(ignore))
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

/// The Dockerfile that is meant for us, and its directory.
fn find_ours(
    source: &Path,
    root: &Path,
    directory: &Path,
) -> Result<Option<(PathBuf, Dockerfile)>, Error> {
    let path = directory.join(OURS);
    if !confine::is_there(source, root, &path) {
        return Ok(None);
    }
    let text = confine::read_text_below(source, root, &path, "Dockerfile")?;
    let directory = if directory.as_os_str().is_empty() {
        Path::new(".")
    } else {
        directory
    };
    let context = confine::below(source, root, directory, "build context")?;
    let origin = DockerfileOrigin::BesideEntryPoint(path);
    Ok(Some((context, Dockerfile::of_source(text, origin))))
}

/// The plan for a Dockerfile of the source.
fn brought(
    tree: &SourceTree,
    spec: &BuildSpec,
    context: PathBuf,
    dockerfile: Dockerfile,
    commands: Commands,
) -> Plan {
    let mut plan = bare(tree, spec, context, dockerfile, commands);
    let unused = [
        ("base image", spec.base_image.is_some()),
        (
            "accelerator base image",
            spec.accelerator_base_image.is_some(),
        ),
        (
            "python version",
            spec.python_version.is_some() && spec.job_entry_point.is_empty(),
        ),
        ("user id", spec.user_id.is_some()),
    ];
    for (what, _) in unused.iter().filter(|(_, is_given)| *is_given) {
        plan.notes.push(format!(
            "the {what} of the spec is not used: the Dockerfile decides"
        ));
    }
    plan
}

fn bare(
    tree: &SourceTree,
    spec: &BuildSpec,
    context: PathBuf,
    dockerfile: Dockerfile,
    commands: Commands,
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
        entry_point: commands.effective().cloned(),
        job_entry_point: commands.job,
        work_dir: None,
        user_id: None,
        platform: spec.platform.clone(),
        build_args: spec.build_args.clone(),
        notes: Vec::new(),
        ignore: Ignore::default(),
    }
}
