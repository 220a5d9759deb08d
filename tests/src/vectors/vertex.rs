//! `vertex`: a queue item to the request that makes its custom job.
//!
//! Compared is what goes over the wire: the arguments of Google's Python client are not
//! ours. The labels by which our runner finds its jobs again are added after this function.

use launch_config::environment::{Ambient, Environment};
use launch_config::spec::Resource;
use launch_runner::vertex::{Location, custom_job};
use serde_json::{Value, json};

use super::queue_item::{QueueItem, in_their_words};
use super::{Answer, Case, Category, Improvement};

pub(super) const CATEGORY: Category = Category {
    name: "vertex",
    run,
    details: &[],
    improvements: RULES,
};

/// What of an output is compared.
pub(super) fn meaning(output: &Value) -> Value {
    json!({"wire": output["wire"]})
}

fn run(input: &Value) -> Answer {
    match wire(input) {
        Ok(wire) => Answer::Accepted(in_their_words(&json!({ "wire": wire }))),
        Err(message) => Answer::refused(&message),
    }
}

fn wire(input: &Value) -> Result<Value, String> {
    let item = QueueItem::of(input, Resource::Vertex)?;
    let request = item.request(input)?;
    let gcp = &input["gcp"];
    if [&gcp["credentials"], &gcp["valid"]].contains(&&json!(false)) {
        return Err("there are no credentials".to_owned());
    }
    let project = gcp["project"].as_str().unwrap_or("creds-project");
    let location = Location::new(project, region(input)?);
    let job = custom_job(&request, &location)?;
    let mut body = Value::Object(job);
    let order = item.environment(input, Resource::Vertex);
    in_their_order(
        &mut body,
        &order.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
    );
    if item.spec.name.as_deref().is_none_or(str::is_empty) {
        body["displayName"] = json!("<GENERATED>");
    }
    let output = &mut body["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"];
    let stamped = output
        .as_str()
        .and_then(|path| path.strip_suffix("launch-item-0"));
    if let Some(stamped) = stamped {
        *output = json!(format!("{stamped}<TIMESTAMP>"));
    }
    Ok(json!({"parent": location.parent(), "body": body}))
}

/// Puts the variables the agent appends into the original's order, which does not count.
fn in_their_order(body: &mut Value, order: &[String]) {
    let pools = body["jobSpec"]["workerPoolSpecs"].as_array_mut();
    for pool in pools.into_iter().flatten() {
        let Some(env) = pool["containerSpec"]["env"].as_array_mut() else {
            continue;
        };
        let appended = env.split_off(env.len().saturating_sub(order.len()));
        let place = |variable: &Value| order.iter().position(|name| variable["name"] == **name);
        let mut appended = appended;
        appended.sort_by_key(place);
        env.extend(appended);
    }
}

/// The region of the agent file, else that of the `gcloud` program, else of the environment.
fn region(input: &Value) -> Result<String, String> {
    let block = &input["agent_config"]["environment"];
    let block = Some(block).filter(|block| !block.is_null());
    let environment = Environment::read(block, &Ambient::default());
    if let Environment::Gcp { region } = environment.map_err(|error| error.to_string())? {
        return Ok(region);
    }
    let program = input["gcloud"].as_str().map(str::trim);
    let said = program.filter(|text| !matches!(*text, "" | "absent" | "error" | "(unset)"));
    let variable = || input["env"]["GOOGLE_CLOUD_REGION"].as_str();
    let region = said.or_else(variable).filter(|region| !region.is_empty());
    region
        .map(str::to_owned)
        .ok_or_else(|| "there is no region".to_owned())
}

const RULES: &[Improvement] = &[
    Improvement {
        id: "images-are-references",
        explains: super::env::IMAGE_REFERENCE.explains,
    },
    Improvement {
        id: "fields-have-their-types",
        explains: super::env::FIELD_TYPES.explains,
    },
    Improvement {
        id: "job-names-are-complete",
        explains: super::env::JOB_NAME.explains,
    },
    Improvement {
        id: "vertex-regions-are-googles",
        explains: |case, answer| {
            let place = &case.output["init"]["location"];
            let named = place.as_str().map(|place| format!("/locations/{place}"));
            let before = case.output["custom_job"].is_null() && case.error.is_some();
            let parent = answer
                .accepted()
                .and_then(|output| output["wire"]["parent"].as_str());
            before
                && named
                    .zip(parent)
                    .is_some_and(|(named, parent)| parent.ends_with(&named))
        },
    },
    Improvement {
        id: "vertex-labels-are-googles",
        explains: |case, answer| {
            let mut wanted = case.output["wire"].clone();
            let label = &mut wanted["body"]["labels"]["wandb-run-id"];
            let given = label.as_str().unwrap_or_default().to_owned();
            let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
            let small = given.to_ascii_lowercase();
            let cleaned: String = small
                .chars()
                .map(|c| if fine(c) { c } else { '-' })
                .take(63)
                .collect();
            *label = json!(cleaned);
            cleaned != given
                && answer
                    .accepted()
                    .is_some_and(|output| output["wire"] == wanted)
        },
    },
    Improvement {
        id: "vertex-settings-are-not-lost",
        explains: settings,
    },
];

/// Settings that the original drops without a word.
fn settings(case: &Case, answer: &Answer) -> bool {
    let args = &case.input["launch_spec"]["resource_args"];
    let args = ["vertex", "gcp-vertex"].map(|word| &args[word]);
    let Some(args) = args.into_iter().find(|args| args["spec"].is_object()) else {
        return false;
    };
    let mut wanted = case.output["wire"].clone();
    let spec = &mut wanted["body"]["jobSpec"];
    let mut lost = 0;
    let mut set = |place: &mut Value, given: &Value| {
        if place.is_null() && !given.is_null() {
            *place = given.clone();
            lost += 1;
        }
    };
    set(
        &mut spec["serviceAccount"],
        &args["spec"]["service_account"],
    );
    set(
        &mut spec["persistentResourceId"],
        &args["spec"]["persistent_resource_id"],
    );
    if let Some(strategy) = args["run"].get("scheduling_strategy") {
        set(&mut spec["scheduling"]["strategy"], strategy);
    }
    if let Some(retries) = args["run"].get("disable_retries") {
        set(&mut spec["scheduling"]["disableRetries"], retries);
    }
    if let Some(wait) = args["run"]["max_wait_duration"].as_u64() {
        set(
            &mut spec["scheduling"]["maxWaitDuration"],
            &json!(format!("{wait}s")),
        );
    }
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|_, value| !value.is_null());
    }
    lost > 0
        && answer
            .accepted()
            .is_some_and(|output| output["wire"] == wanted)
}
