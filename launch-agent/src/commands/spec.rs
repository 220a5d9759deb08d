//! Flags that make a run spec, as `wandb launch` has them.

use std::path::{Path, PathBuf};

use clap::Args;
use launch_config::agent::BuilderKind;
use launch_config::job::EntryPoint;
use launch_config::load;
use launch_config::source::GitRemote;
use launch_config::spec::RunSpec;
use launch_config::wandb_ref::JobRef;
use launch_queue::job::Priority;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// What to run.
#[derive(Debug, Clone, Args)]
pub(crate) struct SpecArgs {
    /// A directory, a git URL, or an image with `-d`
    #[arg(value_name = "SOURCE|IMAGE")]
    source: Option<String>,
    /// A directory or git URL, as `wandb launch` spells it
    #[arg(short = 'u', long, value_name = "URI", conflicts_with = "source")]
    uri: Option<String>,
    /// Run this image
    #[arg(short = 'd', long, value_name = "IMAGE", conflicts_with_all = ["source", "uri"])]
    docker_image: Option<String>,
    /// Run this job of W&B: ENTITY/PROJECT/NAME:VERSION
    #[arg(short = 'j', long, value_name = "JOB", conflicts_with_all = ["source", "uri", "docker_image"])]
    job: Option<JobRef>,
    /// Branch, tag or commit of a git source
    #[arg(short = 'g', long, value_name = "REF")]
    git_version: Option<String>,
    /// The project's directory below the root of a git source
    #[arg(long, value_name = "DIR")]
    subdirectory: Option<String>,
    /// The command, split as a shell would
    #[arg(short = 'E', long, value_name = "COMMAND")]
    entry_point: Option<String>,
    /// The Dockerfile, below the build context
    #[arg(short = 'D', long, value_name = "FILE")]
    dockerfile: Option<String>,
    /// The directory of the source that is the build context
    #[arg(long, value_name = "DIR")]
    build_context: Option<String>,
    /// The image a generated Dockerfile starts from
    #[arg(short = 'B', long, value_name = "IMAGE")]
    base_image: Option<String>,
    /// The run's display name
    #[arg(long, env = "WANDB_NAME")]
    name: Option<String>,
    /// The user or team the run belongs to
    #[arg(short = 'e', long)]
    entity: Option<String>,
    /// The project the run belongs to
    #[arg(short = 'p', long)]
    project: Option<String>,
    /// Where to run: local-process, local-container …
    #[arg(short = 'r', long, value_name = "RESOURCE")]
    resource: Option<String>,
    /// Arguments for the runner: JSON text or a JSON or YAML file
    #[arg(short = 'R', long, value_name = "JSON|FILE")]
    resource_args: Option<String>,
    /// The run spec to start from: JSON text or a JSON or YAML file
    #[arg(short = 'c', long, value_name = "JSON|FILE")]
    config: Option<String>,
    /// Set a template variable of the queue
    #[arg(short = 'v', long = "set-var", value_name = "KEY=VALUE", value_parser = key_value)]
    set_var: Vec<(String, String)>,
    /// How urgent: critical, high, medium, low
    #[arg(short = 'P', long, value_name = "PRIORITY")]
    priority: Option<Priority>,
    /// Arguments for the program
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Flags about how images are built.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct BuilderArg {
    /// What builds images: docker or noop
    #[arg(long, value_parser = builder, value_name = "BUILDER")]
    pub(crate) builder: Option<BuilderKind>,
}

fn builder(text: &str) -> Result<BuilderKind, String> {
    match text {
        "docker" => Ok(BuilderKind::Docker),
        "noop" => Ok(BuilderKind::Noop),
        "kaniko" => Err("builder `kaniko` is not supported by this version".to_owned()),
        _ => Err("expected docker or noop".to_owned()),
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split('=').collect::<Vec<_>>()[..] {
        [key, value] if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE with one `=`".to_owned()),
    }
}

impl SpecArgs {
    pub(crate) fn priority(&self) -> Priority {
        self.priority.unwrap_or_default()
    }

    /// Values for the template variables of the queue, which judges them.
    pub(crate) fn template_values(&self) -> Value {
        if self.set_var.is_empty() {
            return Value::Null;
        }
        let values = self.set_var.iter().cloned();
        values.map(|(name, value)| (name, json!(value))).collect()
    }

    /// The run spec, checked: everything wrong with it is said before a job exists.
    pub(crate) fn to_spec(&self) -> Result<(Value, RunSpec), Failure> {
        let mut spec = match &self.config {
            Some(given) => text_or_file(given)?,
            None => Map::new(),
        };
        self.set_source(&mut spec)?;
        self.set_rest(&mut spec)?;
        let value = Value::Object(spec);
        crate::masking::spec(&value);
        let checked = load::spec_value("the run spec", &value).map_err(|report| {
            let failure = Failure::from(report);
            if self.has_source() {
                failure
            } else {
                failure.with_hint("give a directory, a git URL, or `-d IMAGE`")
            }
        })?;
        Ok((value, checked.value))
    }

    fn has_source(&self) -> bool {
        let code = self.source.is_some() || self.uri.is_some();
        code || self.docker_image.is_some() || self.job.is_some()
    }

    fn set_source(&self, spec: &mut Map<String, Value>) -> Result<(), Failure> {
        if let Some(image) = &self.docker_image {
            return merge(spec, "docker", [("docker_image", json!(image))]);
        }
        if let Some(job) = &self.job {
            spec.insert("job".to_owned(), json!(job.to_string()));
        }
        if let Some(source) = self.source.as_ref().or(self.uri.as_ref()) {
            spec.insert("uri".to_owned(), json!(source_uri(source)?));
        }
        let version = self
            .git_version
            .as_ref()
            .map(|version| ("version", json!(version)));
        let below = self
            .subdirectory
            .as_ref()
            .map(|below| ("subdirectory", json!(below)));
        merge(spec, "git", version.into_iter().chain(below))
    }

    fn set_rest(&self, spec: &mut Map<String, Value>) -> Result<(), Failure> {
        let texts = [
            ("name", &self.name),
            ("entity", &self.entity),
            ("project", &self.project),
            ("resource", &self.resource),
            ("build_context", &self.build_context),
            ("base_image", &self.base_image),
        ];
        for (key, text) in texts {
            spec.extend(text.as_ref().map(|text| (key.to_owned(), json!(text))));
        }
        let mut overrides: Vec<(&str, Value)> = Vec::new();
        if let Some(command) = &self.entry_point {
            overrides.push(("entry_point", json!(split(command)?)));
        }
        overrides.extend(
            self.dockerfile
                .as_ref()
                .map(|file| ("dockerfile", json!(file))),
        );
        if !self.args.is_empty() {
            overrides.push(("args", json!(self.args)));
        }
        merge(spec, "overrides", overrides)?;
        if let Some(given) = &self.resource_args {
            let args = text_or_file(given)?;
            let resource = spec
                .get("resource")
                .and_then(Value::as_str)
                .unwrap_or("local-container")
                .to_owned();
            // Both `{"cpus": 2}` and `{"local-container": {"cpus": 2}}` are in use.
            let keyed = args
                .keys()
                .any(|key| launch_config::spec::Resource::from_word(key).is_some());
            let args = if keyed {
                Value::Object(args)
            } else {
                json!({ resource: args })
            };
            spec.insert("resource_args".to_owned(), args);
        }
        Ok(())
    }
}

fn merge<'a>(
    spec: &mut Map<String, Value>,
    key: &str,
    entries: impl IntoIterator<Item = (&'a str, Value)>,
) -> Result<(), Failure> {
    let mut entries = entries.into_iter().peekable();
    if entries.peek().is_none() {
        return Ok(());
    }
    let block = spec.entry(key).or_insert_with(|| json!({}));
    if block.is_null() {
        *block = json!({});
    }
    let Value::Object(block) = block else {
        return Err(Failure::usage(format!(
            "`{key}` of the run spec is not a mapping"
        )));
    };
    block.extend(entries.map(|(key, value)| (key.to_owned(), value)));
    Ok(())
}

/// An absolute path, or the URL as it is: the agent may work in another directory.
pub(crate) fn source_uri(source: &str) -> Result<String, Failure> {
    let path = Path::new(source);
    if path.is_dir() {
        return Ok(std::path::absolute(path)?.display().to_string());
    }
    match source.parse::<GitRemote>() {
        // Secrets stay in: the queue is this user's own, and git needs them.
        Ok(_) => Ok(source.to_owned()),
        Err(_) if path.exists() => Err(Failure::usage(format!(
            "source `{source}` is not a directory"
        ))),
        Err(error) => {
            let failure = if source.contains("://") {
                Failure::usage(error.to_string())
            } else {
                Failure::usage(format!(
                    "there is no directory `{source}`, and it is no git URL"
                ))
            };
            Err(failure.with_hint("an image needs `-d IMAGE`"))
        }
    }
}

/// JSON text, or a JSON or YAML file.
pub(super) fn text_or_file(given: &str) -> Result<Map<String, Value>, Failure> {
    let value = if given.trim_start().starts_with('{') {
        load::mapping_text("the command line", given)?
    } else {
        let path = PathBuf::from(given);
        load::mapping_text(given, &load::read_text(&path)?)?
    };
    match value {
        Value::Object(map) => Ok(map),
        _ => Ok(Map::new()),
    }
}

/// Splits a command as a job's entry point is split.
fn split(command: &str) -> Result<Vec<String>, Failure> {
    let entry = command.parse::<EntryPoint>();
    let entry = entry.map_err(|error| Failure::usage(error.to_string()))?;
    Ok(entry.into_words())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_as_a_shell_would() {
        let words = split(r#"python 'a b'.py --x="c d" e\ f ''"#).unwrap();
        assert_eq!(words, ["python", "a b.py", "--x=c d", "e f", ""]);
        assert!(split("python 'a").is_err());
    }

    #[test]
    fn a_source_is_a_directory_or_a_remote() {
        let dir = tempfile::tempdir().unwrap();
        assert!(source_uri(dir.path().to_str().unwrap()).is_ok());
        assert!(source_uri("https://h/r.git").is_ok());
        for (source, word) in [
            ("no/such/dir", "no directory"),
            ("ext::sh", "no git URL"),
            ("ftp://h/x", "neither"),
        ] {
            let failure = source_uri(source).unwrap_err();
            assert!(failure.chain[0].contains(word), "{failure:?}");
        }
    }
}
