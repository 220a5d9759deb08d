//! `wandb-job.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde_json::Value;

use super::EntryPoint;
use super::notebook::{is_notebook, script_name};
use crate::fields::{Fields, Problems, Unknown};
use crate::image::ImageRef;
use crate::load::{Problem, Severity};
use crate::source::{GitReference, GitRemote};
use crate::wandb_ref::ArtifactRef;

/// What is wrong with a `wandb-job.json`: everything at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct JobError {
    /// The problems, by their key paths.
    pub problems: Vec<Problem>,
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the job's `wandb-job.json` cannot be used")?;
        for problem in &self.problems {
            let path = if problem.path.is_empty() {
                "document"
            } else {
                &problem.path
            };
            write!(f, "; `{path}`: {}", problem.message)?;
        }
        Ok(())
    }
}

/// Where the code or the image of a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobSource {
    /// A commit of a git repository, with what was not committed beside the document.
    Repo {
        /// Where it is.
        remote: GitRemote,
        /// The commit; older jobs name a branch.
        commit: GitReference,
    },
    /// An artifact of files.
    Artifact(ArtifactRef),
    /// An image: there is no code to fetch.
    Image(ImageRef),
}

/// When a service of a job is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServicePolicy {
    /// With every run.
    Always,
    /// Never.
    Never,
}

/// A `wandb-job.json` whose every part has been checked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct JobDocument {
    /// `_version`: what wrote it.
    pub version: Option<String>,
    /// Where the code or the image is.
    pub source: JobSource,
    /// How it starts, a notebook already by the name of its script.
    pub entry_point: Option<EntryPoint>,
    /// The notebook the entry point was made from.
    pub notebook: Option<String>,
    /// The directory below the root that is the build context.
    pub build_context: Option<PathBuf>,
    /// The Dockerfile, below the build context.
    pub dockerfile: Option<PathBuf>,
    /// The image the code is mounted in, instead of building one.
    pub base_image: Option<ImageRef>,
    /// The Python version of the run it was made from.
    pub runtime: Option<String>,
    /// Services by name.
    pub services: BTreeMap<String, ServicePolicy>,
    /// Whether its inputs and outputs are still to be told by its first run.
    pub is_partial: bool,
    /// The types of its inputs, as W&B writes them.
    pub input_types: Value,
    /// The types of its outputs, as W&B writes them.
    pub output_types: Value,
}

const TOP: &[&str] = &[
    "_version",
    "_partial",
    "_proto",
    "source_type",
    "source",
    "input_types",
    "output_types",
    "runtime",
    "services",
];
const SOURCE: &[&str] = &[
    "git",
    "artifact",
    "image",
    "entrypoint",
    "notebook",
    "build_context",
    "dockerfile",
    "base_image",
    "args",
];
const GIT: &[&str] = &["remote", "commit"];
const TYPES: &[&str] = &["repo", "artifact", "image"];

impl JobDocument {
    /// Reads the text of a `wandb-job.json`.
    ///
    /// # Errors
    /// [`JobError`] with the place of a mistake in the JSON, or with every problem of the
    /// document.
    pub fn from_text(text: &str) -> Result<Self, JobError> {
        let value = serde_json::from_str(text).map_err(|error| {
            let mut problems = Problems::default();
            problems.error("", format!("is not JSON: {error}"), None);
            JobError {
                problems: problems.0,
            }
        })?;
        Self::from_value(&value)
    }

    /// Reads a `wandb-job.json`. Keys it does not know are ignored: newer clients add some.
    ///
    /// # Errors
    /// [`JobError`] with every problem of the document.
    pub fn from_value(value: &Value) -> Result<Self, JobError> {
        let mut problems = Problems::default();
        let document = Self::read(value, &mut problems);
        let errors = problems.0.into_iter();
        let errors: Vec<Problem> = errors
            .filter(|problem| problem.severity == Severity::Error)
            .collect();
        document
            .filter(|_| errors.is_empty())
            .ok_or(JobError { problems: errors })
    }

    fn read(value: &Value, problems: &mut Problems) -> Option<Self> {
        let top = Fields::open(Some(value), "", TOP, Unknown::Warning, problems);
        let fields = Fields::open(
            top.get("source"),
            "source",
            SOURCE,
            Unknown::Warning,
            problems,
        );
        if top.get("source_type").is_none() {
            problems.error("source_type", missing("one of repo, artifact, image"), None);
        }
        let kind = top.one_of("source_type", TYPES, problems)?;
        let source = source(kind, &fields, problems);
        let entry = entry_point(&fields, problems);
        let converts = fields.flag("notebook", problems).unwrap_or(false);
        let (entry_point, notebook) = match entry {
            Some(entry) if converts => of_notebook(entry),
            entry => (entry, None),
        };
        let path = |key, problems: &mut Problems| filled(&fields, key, problems).map(PathBuf::from);
        Some(Self {
            version: version(top.get("_version")),
            entry_point,
            notebook,
            build_context: path("build_context", problems),
            dockerfile: path("dockerfile", problems),
            base_image: image(&fields, "base_image", problems),
            runtime: filled(&top, "runtime", problems),
            services: services(top.get("services")),
            is_partial: is_set(top.get("_partial")),
            input_types: top.get("input_types").cloned().unwrap_or_default(),
            output_types: top.get("output_types").cloned().unwrap_or_default(),
            source: source?,
        })
    }
}

fn version(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

fn missing(expected: &str) -> String {
    format!("expected {expected}, found nothing")
}

fn is_set(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Bool(false)) => false,
        Some(Value::String(text)) => !text.is_empty() && text != "false",
        Some(_) => true,
    }
}

fn filled(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<String> {
    fields
        .text(key, problems)
        .filter(|text| !text.trim().is_empty())
}

fn image(fields: &Fields<'_>, key: &str, problems: &mut Problems) -> Option<ImageRef> {
    filled(fields, key, problems)?;
    fields.parsed(key, problems)
}

/// A part that has to be there: its absence is a problem too.
fn required<T>(fields: &Fields<'_>, key: &str, expected: &str, problems: &mut Problems) -> Option<T>
where
    T: std::str::FromStr,
    T::Err: fmt::Display,
{
    if fields.get(key).is_none() {
        problems.error(&fields.at(key), missing(expected), None);
    }
    fields.parsed(key, problems)
}

fn source(kind: &str, fields: &Fields<'_>, problems: &mut Problems) -> Option<JobSource> {
    match kind {
        "repo" => {
            let git = Fields::open(
                fields.get("git"),
                "source.git",
                GIT,
                Unknown::Warning,
                problems,
            );
            let remote = required(&git, "remote", "a git remote", problems);
            let commit = required(&git, "commit", "a commit", problems);
            Some(JobSource::Repo {
                remote: remote?,
                commit: commit?,
            })
        }
        "artifact" => {
            required(fields, "artifact", "an artifact of files", problems).map(JobSource::Artifact)
        }
        _ => required(fields, "image", "an image", problems).map(JobSource::Image),
    }
}

/// A list of words, or a text that is split as a shell would.
fn entry_point(fields: &Fields<'_>, problems: &mut Problems) -> Option<EntryPoint> {
    match fields.get("entrypoint")? {
        Value::String(text) if text.trim().is_empty() => None,
        Value::String(_) => fields.parsed("entrypoint", problems),
        _ => EntryPoint::new(fields.texts("entrypoint", problems)?).ok(),
    }
}

/// A notebook runs as the script that is made of it.
fn of_notebook(entry: EntryPoint) -> (Option<EntryPoint>, Option<String>) {
    let mut words = entry.into_words();
    let last = words.last_mut().filter(|word| is_notebook(word));
    let notebook = last.map(|last| {
        let script = script_name(last);
        std::mem::replace(last, script)
    });
    (EntryPoint::new(words).ok(), notebook)
}

/// Only W&B's application uses them, so what is odd here stops no job.
fn services(value: Option<&Value>) -> BTreeMap<String, ServicePolicy> {
    let policy = |value: &Value| match value.as_str() {
        Some("always") => Some(ServicePolicy::Always),
        Some("never") => Some(ServicePolicy::Never),
        _ => None,
    };
    let map = value.and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(name, value)| Some((name.clone(), policy(value)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn repo(source: &Value) -> Result<JobDocument, JobError> {
        JobDocument::from_value(&json!({"source_type": "repo", "source": source}))
    }

    #[test]
    fn every_problem_of_a_document_is_told() {
        let git = json!({"remote": "file:///x"});
        let error = repo(&json!({"git": git, "base_image": "--rm"})).unwrap_err();
        let paths: Vec<_> = error.problems.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "source.git.remote",
                "source.git.commit",
                "source.base_image"
            ]
        );
        for (document, word) in [
            (json!({}), "`source_type`: expected one of"),
            (json!({"source_type": "magic"}), "found `magic`"),
            (
                json!({"source_type": "artifact"}),
                "`source.artifact`: expected an artifact",
            ),
            (
                json!({"source_type": "image", "source": {}}),
                "`source.image`: expected an image",
            ),
            (json!([]), "expected a mapping"),
        ] {
            let error = JobDocument::from_value(&document).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(
            JobDocument::from_text("{")
                .unwrap_err()
                .to_string()
                .contains("is not JSON")
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(key in proptest::sample::select(SOURCE), text in ".{0,20}") {
            for kind in TYPES {
                let source = json!({ key: text.clone(), "notebook": true });
                let _ = JobDocument::from_value(&json!({"source_type": kind, "source": source}));
            }
            let _ = JobDocument::from_text(&text);
        }
    }
}
