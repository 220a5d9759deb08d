//! `kaniko_job`: agent configuration and a job to every request of a build with kaniko.
//!
//! The real builder builds, against a cluster of one thread that answers as the vectors'
//! did: what is compared is what it was sent.

mod cluster;
mod rules;
mod store;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use launch_builder::event::Events;
use launch_builder::kaniko::kube::{Client, Config};
use launch_builder::kaniko::{
    ContextPlace, ContextStore, KanikoBuilder, KanikoSettings, Surroundings, VolumeStore,
};
use launch_builder::plan::{BuildSpec, plan};
use launch_builder::source::SourceTree;
use launch_builder::{BuildRequest, Builder as _, BuiltImage, Delivery};
use launch_config::agent::AgentConfig;
use launch_config::image::ImageRef;
use launch_config::load::agent_text;
use serde_json::{Map, Value, json};

use self::cluster::Cluster;
use self::store::{Recorder, Tokens};
use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "kaniko_job",
    run,
    details: &[],
    improvements: rules::RULES,
};

/// The tag of every image here; the vectors write `<TAG>`.
const TAG: &str = "launch-vector-tag";
/// The word for the mount of a build volume.
const VOLUME: &str = "<PVC>";

fn run(input: &Value) -> Answer {
    match answer(input) {
        Ok(output) => {
            let text = output.to_string().replace(TAG, "<TAG>");
            Answer::Accepted(serde_json::from_str(&text).expect("a tag is no syntax"))
        }
        Err(message) => Answer::refused(&message),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn answer(input: &Value) -> Result<Value, String> {
    let config = config(input)?;
    let destination = config.destination().ok_or("there is no destination")?;
    let image = destination.with_tag(TAG).map_err(text)?;
    if input["image_exists"] == true {
        return Ok(json!({"connection": null, "uploads": [], "image": image.to_string()}));
    }
    let volume = tempfile::tempdir().map_err(text)?;
    let around = surroundings(input, volume.path());
    let settings = KanikoSettings::read(&config, &around).map_err(text)?;
    let place = ContextPlace::read(&config, &around).map_err(text)?;
    let (store, uploads) = store_at(&place)?;
    let cluster = Cluster::start(&input["cluster"]).map_err(text)?;
    build(input, &config, &image, (settings, store), &cluster)?;
    let mut output = Map::new();
    output.insert("connection".to_owned(), connection(input));
    output.insert("requests".to_owned(), cluster.requests());
    output.insert("uploads".to_owned(), uploads.uploads());
    output.insert("image".to_owned(), json!(image.to_string()));
    if matches!(place, ContextPlace::Volume(..)) {
        output.insert("volume_files".to_owned(), files(volume.path())?);
    }
    Ok(Value::Object(output))
}

/// The agent file of the three blocks.
fn config(input: &Value) -> Result<AgentConfig, String> {
    let blocks = ["environment", "registry", "builder"];
    let mut file = json!({"entity": "acme"});
    for block in blocks {
        file[block] = input[block].clone();
    }
    let checked = agent_text("the agent file", &file.to_string());
    Ok(checked.map_err(text)?.value)
}

fn surroundings(input: &Value, volume: &Path) -> Surroundings {
    let volume = volume.display().to_string();
    let variable = |name: &str| {
        let value = input["env"][name].as_str()?;
        Some(value.replace(VOLUME, &volume))
    };
    // Without a word on it the agent runs in the cluster.
    let namespace = match input.get("agent_namespace") {
        None => Some("wandb".to_owned()),
        Some(namespace) => namespace.as_str().map(str::to_owned),
    };
    Surroundings::read(variable, namespace)
}

fn store_at(place: &ContextPlace) -> Result<(Arc<dyn ContextStore>, Recorder), String> {
    let recorder = Recorder::default();
    let store: Arc<dyn ContextStore> = match place {
        ContextPlace::Store(uri) => Arc::new(recorder.clone().at(uri.clone())),
        ContextPlace::Volume(claim, mount) => Arc::new(VolumeStore::new(claim, mount)),
        other => return Err(format!("a place of a newer kind: {other:?}")),
    };
    Ok((store, recorder))
}

/// Builds, and answers nothing: the cluster and the store remember.
fn build(
    input: &Value,
    config: &AgentConfig,
    image: &ImageRef,
    (settings, store): (KanikoSettings, Arc<dyn ContextStore>),
    cluster: &Cluster,
) -> Result<(), String> {
    let source = source(input)?;
    let request = request(input, config, image, source.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(text)?.block_on(async {
        let address = cluster.address().parse().map_err(text)?;
        let client = Client::try_from(Config::new(address)).map_err(text)?;
        let mut builder = KanikoBuilder::with(client, settings, store)
            .with_logins(Arc::new(Tokens))
            .with_kept_contexts();
        if input["cluster"]["build_hangs"] == true {
            builder = builder.with_timeout(Duration::ZERO);
        }
        match builder.build(request, &Events::silent()).await {
            Ok(BuiltImage::Pushed(_) | BuiltImage::Tagged(_)) => Ok(()),
            Ok(other) => Err(format!("the image is elsewhere: {other:?}")),
            Err(error) => Err(text(error)),
        }
    })
}

/// The code of the job; what is in it plays no part here.
fn source(input: &Value) -> Result<tempfile::TempDir, String> {
    let directory = tempfile::tempdir().map_err(text)?;
    let files = input["job"]["code"]["files"].as_object();
    for (name, content) in files.into_iter().flatten() {
        let path = directory.path().join(name);
        let parent = path.parent().unwrap_or(directory.path());
        fs_err::create_dir_all(parent).map_err(text)?;
        fs_err::write(&path, content.as_str().unwrap_or_default()).map_err(text)?;
    }
    fs_err::write(directory.path().join("Dockerfile"), "FROM scratch\n").map_err(text)?;
    Ok(directory)
}

fn request(
    input: &Value,
    config: &AgentConfig,
    image: &ImageRef,
    source: &Path,
) -> Result<BuildRequest, String> {
    let tree = SourceTree::open(source).map_err(text)?;
    let mut spec = BuildSpec::new().with_dockerfile("Dockerfile");
    spec.platform.clone_from(&config.builder.platform);
    let plan = plan(&tree, &spec).map_err(text)?;
    let run = input["launch_spec"]["run_id"]
        .as_str()
        .unwrap_or("genid000");
    let request = BuildRequest::new(plan, image.clone());
    Ok(request.with_id(run).with_delivery(Delivery::Registry))
}

/// A kubeconfig goes before the cluster one is in.
fn connection(input: &Value) -> Value {
    match input["cluster"]["kubeconfig"]["current"].as_str() {
        Some(context) => json!({"how": "kubeconfig", "file": null, "context": context}),
        None => json!({"how": "in-cluster"}),
    }
}

fn files(directory: &Path) -> Result<Value, String> {
    let mut names = Vec::new();
    for entry in fs_err::read_dir(directory).map_err(text)? {
        names.push(
            entry
                .map_err(text)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(json!(names))
}
