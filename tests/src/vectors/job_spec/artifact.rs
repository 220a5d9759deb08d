//! The artifact store and the git remote of the vectors, and the steps that make a job's
//! directory of them.

use std::collections::BTreeMap;

use launch_config::job::{
    FROZEN_REQUIREMENTS, JobDocument, JobSource, PATCH, Step, notebook, patch,
};
use launch_config::spec::RunSpec;
use launch_config::wandb_ref::ArtifactRef;
use serde_json::{Map, Value, json};

use super::{document, source_type};

/// Files by path.
type Files = BTreeMap<String, String>;

/// What a case says about its job.
#[derive(Debug)]
pub(in super::super) struct Artifact<'a> {
    job: &'a Value,
    remote: &'a Value,
}

impl<'a> Artifact<'a> {
    pub(in super::super) fn of(input: &'a Value) -> Self {
        Self {
            job: &input["job"],
            remote: &input["git_remote"],
        }
    }

    /// The document of the job of this name.
    pub(in super::super) fn document(&self, name: &str) -> Result<JobDocument, String> {
        let aliases = self.job["aliases"].as_array().into_iter().flatten();
        let mut names = aliases.chain([&self.job["artifact"]]);
        if !names.any(|known| known == name) {
            return Err(format!("there is no job `{name}`"));
        }
        document(&self.job["document"])
    }

    /// A sibling of the document; requirements are there unless they are taken away.
    fn sibling(&self, name: &str) -> Option<String> {
        let files = &self.job["files"];
        match files.get(name) {
            Some(text) => text.as_str().map(str::to_owned),
            None if name == FROZEN_REQUIREMENTS => Some("wandb\nnumpy\n".to_owned()),
            None => None,
        }
    }

    /// The fields that say where the code came from.
    pub(super) fn source_of(
        &self,
        job: Option<&JobDocument>,
        spec: &RunSpec,
    ) -> [(String, Value); 2] {
        let name = spec.job.as_ref().map(ToString::to_string);
        let info = match job.map(|job| &job.source) {
            Some(JobSource::Repo { remote, commit }) => json!({
                "git_remote": remote.expose(),
                "git_commit": commit.as_str(),
                "job_artifact": name,
            }),
            Some(JobSource::Artifact(_)) => json!({
                "artifact_string": self.job["code"]["path"],
                "job_artifact": name,
            }),
            _ => json!({}),
        };
        let kind = job.and_then(|job| source_type(&job.source));
        [
            ("source_type".to_owned(), json!(kind)),
            ("source_info".to_owned(), info),
        ]
    }

    /// The fields that describe the directory.
    pub(in super::super) fn directory(
        &self,
        job: &JobDocument,
    ) -> Result<Map<String, Value>, String> {
        let mut files = Files::new();
        let mut told = Map::new();
        for step in job.steps() {
            self.take(&step, &mut files, &mut told)?;
        }
        let names: Vec<&String> = files.keys().collect();
        told.insert("project_files".to_owned(), json!(names));
        Ok(told)
    }

    fn take(
        &self,
        step: &Step<'_>,
        files: &mut Files,
        told: &mut Map<String, Value>,
    ) -> Result<(), String> {
        match step {
            Step::Fetch(..) => {
                let fails = self.remote["fail"].as_array();
                if fails.is_some_and(|fails| !fails.is_empty()) {
                    return Err("git failed".to_owned());
                }
                files.extend(texts(&self.remote["files"]));
            }
            Step::Patch => {
                if let Some(text) = self.sibling(PATCH) {
                    apply(&text, files)?;
                    files.insert(PATCH.to_owned(), text);
                    told.insert("patched".to_owned(), json!(files.get("train.py")));
                }
            }
            Step::FrozenRequirements => {
                let frozen = self.sibling(FROZEN_REQUIREMENTS);
                files.extend(frozen.map(|text| (FROZEN_REQUIREMENTS.to_owned(), text)));
            }
            Step::Download(artifact) => files.extend(self.code(artifact)?),
            Step::Convert { notebook, script } => {
                let text = files.get(*notebook).ok_or("there is no such notebook")?;
                let text = convert(text)?;
                told.insert("converted".to_owned(), lines(&text));
                files.insert(script.clone(), text);
            }
            other => return Err(format!("an unknown step: {other:?}")),
        }
        Ok(())
    }

    fn code(&self, artifact: &ArtifactRef) -> Result<Files, String> {
        let code = &self.job["code"];
        let known = match artifact {
            ArtifactRef::Id(id) => code["id"] == id.as_str(),
            other => {
                format!(
                    "wandb-artifact://{}",
                    code["path"].as_str().unwrap_or_default()
                ) == other.to_string()
            }
        };
        if known {
            Ok(texts(&code["files"]))
        } else {
            Err(format!("there is no artifact `{artifact}`"))
        }
    }
}

fn texts(files: &Value) -> Files {
    let files = files.as_object().into_iter().flatten();
    files
        .filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_owned())))
        .collect()
}

fn apply(text: &str, files: &mut Files) -> Result<(), String> {
    for change in patch::parse(text).map_err(|error| error.to_string())? {
        let old = change.old().and_then(|path| files.remove(path));
        let text = change.apply(old.as_deref());
        if let Some(text) = text.map_err(|error| error.to_string())? {
            files.extend(change.new_path().map(|path| (path.to_owned(), text)));
        }
    }
    Ok(())
}

fn convert(text: &str) -> Result<String, String> {
    let notebook = serde_json::from_str(text).map_err(|error| error.to_string())?;
    notebook::to_script(&notebook).map_err(|error| error.to_string())
}

fn lines(text: &str) -> Value {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .collect()
}
