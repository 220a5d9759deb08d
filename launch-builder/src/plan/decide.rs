//! The decisions, in their order.

use std::path::{Component, Path, PathBuf};

use super::entry_point::Place;
use super::requirements::{self, Pyproject};
use super::{
    Base, BuildSpec, DEFAULT_USER_ID, Dockerfile, DockerfileOrigin, EntryPoint, IGNORE_FILE, Plan,
    Python, Requirements, python,
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

/// What a source is to run, as far as somebody said.
#[derive(Debug, Clone, Default)]
struct Commands {
    given: Option<EntryPoint>,
    job: Option<EntryPoint>,
}

impl Commands {
    fn of(spec: &BuildSpec) -> Self {
        let some = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
        Self {
            given: some(&spec.entry_point).map(|words| EntryPoint::given(&words)),
            job: some(&spec.job_entry_point).map(|words| EntryPoint::of_job(&words)),
        }
    }

    /// The command that says where a Dockerfile may be: the job's, which its author knew.
    fn decisive(&self) -> Option<&EntryPoint> {
        self.job.as_ref().or(self.given.as_ref())
    }

    /// The same, with the decisive command moved to its Dockerfile.
    fn moved(self, entry: EntryPoint) -> Self {
        match self.decisive() {
            None => self,
            Some(_) if self.job.is_some() => Self {
                job: Some(entry),
                ..self
            },
            Some(_) => Self {
                given: Some(entry),
                ..self
            },
        }
    }

    /// The same, or what was found in the source.
    fn or(self, found: Option<Result<EntryPoint, Error>>) -> Result<Self, Error> {
        let given = found.transpose()?.or(self.given);
        Ok(Self { given, ..self })
    }

    /// What runs: what somebody wants now goes before what was recorded.
    fn effective(&self) -> Option<&EntryPoint> {
        self.given.as_ref().or(self.job.as_ref())
    }
}

/// Decides what a source runs, for a runner that needs no image.
///
/// # Errors
/// [`Error::Plan`] if nothing was given and the source does not say, [`Error::Path`] if the
/// script is not in the source.
pub fn entry_point(tree: &SourceTree, given: &[String]) -> Result<EntryPoint, Error> {
    entry_in(tree.root(), given)
}

/// The command of a spec, or the one the source says; its script is in the source.
pub(super) fn command(tree: &SourceTree, spec: &BuildSpec) -> Result<EntryPoint, Error> {
    let commands = Commands::of(spec);
    let entry = match commands.effective() {
        Some(entry) => entry.clone(),
        None => EntryPoint::find(tree.root())?,
    };
    entry.check(tree.root())?;
    Ok(entry)
}

fn entry_in(root: &Path, given: &[String]) -> Result<EntryPoint, Error> {
    if given.is_empty() {
        return EntryPoint::find(root);
    }
    let entry = EntryPoint::given(given);
    entry.check(root)?;
    Ok(entry)
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

/// The ignore file in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ignore {
    /// Its rules.
    pub(super) rules: String,
    /// Where it is, if the context's own options would not find it there.
    pub(super) file: Option<PathBuf>,
}

/// The Dockerfile's own ignore file, else the context's.
fn ignore_rules(source: &Path, context: &Path, dockerfile: Option<&Path>) -> Result<Ignore, Error> {
    const WHAT: &str = "ignore file";
    let own = dockerfile.map(|path| {
        let mut own = path.as_os_str().to_owned();
        own.push(IGNORE_FILE);
        PathBuf::from(own)
    });
    for path in own.into_iter().chain([PathBuf::from(IGNORE_FILE)]) {
        if let Some(real) = confine::find_below(source, context, &path, WHAT)? {
            let rules = confine::read_text_below(source, context, &path, WHAT)?;
            let is_plain = path.components().all(|part| part != Component::ParentDir);
            let file = Some(real).filter(|real| !is_plain || !real.starts_with(context));
            return Ok(Ignore { rules, file });
        }
    }
    Ok(Ignore::default())
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

/// The plan for a source that brings no Dockerfile.
fn generated(
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
