//! `k8s_manifest`: a queue item to the requests an agent sends to a cluster.

mod fake;
mod item;
mod plain;
mod rules;
mod scripts;

use launch_config::policy::Policy;
use launch_runner::kubernetes::{ClusterRef, Kind, Manifest, Object, manifest};
use serde_json::{Map, Value, json};

use super::{Answer, Category};
use item::Item;

pub(super) const CATEGORY: Category = Category {
    name: "k8s_manifest",
    run,
    details: &[],
    improvements: rules::RULES,
};

/// A tag that stands for that of a generated image: the vectors' word is no tag.
const TAG: &str = "generated-tag";

fn run(input: &Value) -> Answer {
    match output(input) {
        Ok(output) => {
            let text = output.to_string().replace(TAG, "<TAG>");
            Answer::Accepted(serde_json::from_str(&text).expect("JSON stays JSON"))
        }
        Err(why) => Answer::refused(&why),
    }
}

fn output(input: &Value) -> Result<Value, String> {
    let item = Item::of(input)?;
    let secure = input["agent_config"]["secure_mode"] == true;
    let policy = Policy::strict().with_secure_mode(secure);
    let judged = policy.check(&input["launch_spec"]);
    judged.map_err(|refusals| refusals.to_string())?;
    let request = item.request()?;
    // Macros may have turned harmless text into something else.
    let args = json!({"kubernetes": request.resource_args});
    let judged = policy.check_resource_args(&args);
    judged.map_err(|refusals| refusals.to_string())?;
    let connection = connection(input, &request.resource_args)?;
    let manifest = manifest(&request, &item.site())?;
    let requests = fake::send(input, &manifest)?;
    let mut output = json!({
        "connection": connection,
        "requests": requests,
        "monitored": [monitored(&manifest)],
        "run": run_of(&manifest, &item),
    });
    scripts::facts(&mut output);
    if let Some(files) = item.volume_files()? {
        output["volume_files"] = files;
    }
    Ok(output)
}

/// How the cluster is reached; a context has to be in the kubeconfig.
fn connection(input: &Value, args: &Value) -> Result<Value, String> {
    let empty = Map::new();
    let reference = ClusterRef::of(args.as_object().unwrap_or(&empty));
    let kubeconfig = &input["cluster"]["kubeconfig"];
    if kubeconfig.is_null() && reference == ClusterRef::default() {
        return Ok(json!({"how": "in-cluster"}));
    }
    let contexts = kubeconfig["contexts"].as_array().into_iter().flatten();
    let names: Vec<&str> = contexts
        .filter_map(|context| context["name"].as_str())
        .collect();
    let wanted = reference
        .context
        .as_deref()
        .or(kubeconfig["current"].as_str());
    let wanted = wanted.filter(|name| names.contains(name));
    let context = wanted.ok_or_else(|| format!("there are the contexts {names:?}"))?;
    Ok(json!({"how": "kubeconfig", "file": reference.config_file, "context": context}))
}

fn is_job(object: &Object) -> bool {
    object.kind.group == "batch"
}

fn monitored(manifest: &Manifest) -> Value {
    let Object {
        kind, namespace, ..
    } = &manifest.main;
    if is_job(&manifest.main) {
        return json!({ "namespace": namespace });
    }
    let Kind {
        group,
        version,
        plural,
        ..
    } = kind;
    json!({"namespace": namespace, "group": group, "version": version, "plural": plural})
}

fn run_of(manifest: &Manifest, item: &Item<'_>) -> Value {
    let mut run = monitored(manifest);
    run["name"] = json!(manifest.main.name());
    if is_job(&manifest.main) {
        run["kind"] = json!("job");
        run["secret_to_clean"] = json!(manifest.key_secret());
        run["auxiliary_label"] = json!(item.auxiliary_label());
    } else {
        run["kind"] = json!("custom");
    }
    run
}
