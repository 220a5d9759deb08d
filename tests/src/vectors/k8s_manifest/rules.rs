//! Where runs on a cluster go another way here, on purpose.
//!
//! Most rules touch every case, so a case is explained when all of them together turn the
//! original's output into ours; it is counted under the most particular one it needed.

use serde_json::{Value, json};

use super::super::env::{FIELD_TYPES, IMAGE_REFERENCE, JOB_NAME, NAMES_NOTHING};
use super::super::{Answer, Case, Improvement};
use super::plain::{all_names_safe, plain};

pub(super) const RULES: &[Improvement] = &[
    Improvement {
        id: "contexts-can-be-named",
        explains: |case, answer| {
            let context = &case.input["launch_spec"]["resource_args"]["kubernetes"]["context"];
            let reached = answer
                .accepted()
                .map(|output| &output["connection"]["context"]);
            case.error.is_some() && context.is_string() && reached == Some(context)
        },
    },
    Improvement {
        id: "services-of-every-kind",
        explains: |case, answer| {
            let services = case.input["launch_spec"]["additional_services"].as_array();
            let custom = |service: &Value| {
                let version = service["config"]["apiVersion"].as_str().unwrap_or_default();
                let group = version.rsplit_once('/').map_or("", |(group, _)| group);
                group.contains('.') && !group.ends_with(".k8s.io")
            };
            case.error.is_some()
                && answer.accepted().is_some()
                && services.is_some_and(|services| services.iter().any(custom))
        },
    },
    Improvement {
        id: "cron-jobs-of-every-version",
        explains: |case, answer| {
            let args = &case.input["launch_spec"]["resource_args"]["kubernetes"];
            case.error.is_some()
                && answer.accepted().is_some()
                && args["apiVersion"] == "batch/v1beta1"
        },
    },
    Improvement {
        id: "working-directories-stay-inside",
        explains: |case, answer| {
            let dir = &case.input["launch_spec"]["overrides"]["working_dir"];
            let leads_out = |dir: &str| dir.split('/').any(|part| part == "..");
            answer.is_refused() && dir.as_str().is_some_and(leads_out)
        },
    },
    rule("cron-jobs-are-filled-in", |case, answer| {
        by(case, answer, "cron-jobs-are-filled-in")
    }),
    rule("overrides-go-through-the-installer", |case, answer| {
        by(case, answer, "overrides-go-through-the-installer")
    }),
    rule("two-dollars-arrive", |case, answer| {
        by(case, answer, "two-dollars-arrive")
    }),
    rule("null-variables-are-absent", |case, answer| {
        by(case, answer, "null-variables-are-absent")
    }),
    rule("names-fit-the-cluster", |case, answer| {
        by(case, answer, "names-fit-the-cluster")
    }),
    rule("services-keep-their-variables", |case, answer| {
        by(case, answer, "services-keep-their-variables")
    }),
    rule("a-failed-fetch-fails-the-pod", |case, answer| {
        by(case, answer, "a-failed-fetch-fails-the-pod")
    }),
    rule("logins-are-added", |case, answer| {
        by(case, answer, "logins-are-added")
    }),
    rule("keys-travel-in-secrets", |case, answer| {
        by(case, answer, "keys-travel-in-secrets")
    }),
    rule("names-derive-from-runs", |case, answer| {
        by(case, answer, "names-derive-from-runs")
    }),
    rule("ended-jobs-wait-for-the-agent", |case, answer| {
        by(case, answer, "ended-jobs-wait-for-the-agent")
    }),
    rule("objects-are-made-once", |case, answer| {
        by(case, answer, "objects-are-made-once")
    }),
    rule("runs-own-their-objects", |case, answer| {
        by(case, answer, "runs-own-their-objects")
    }),
    IMAGE_REFERENCE,
    JOB_NAME,
    NAMES_NOTHING,
    FIELD_TYPES,
];

const fn rule(id: &'static str, explains: fn(&Case, &Answer) -> bool) -> Improvement {
    Improvement { id, explains }
}

/// Changes the two outputs to what they have in common under a rule; answers whether it
/// had to.
type Change = fn(&Case, &mut Value, &mut Value) -> bool;

/// The rules that change outputs, the most particular first.
const CHANGES: &[(&str, Change)] = &[
    ("cron-jobs-are-filled-in", cron_jobs),
    ("overrides-go-through-the-installer", installer),
    ("two-dollars-arrive", dollars),
    ("null-variables-are-absent", nulls),
    ("names-fit-the-cluster", fitting_names),
    ("services-keep-their-variables", service_names),
    ("a-failed-fetch-fails-the-pod", fetch_failures),
    ("logins-are-added", logins),
    ("keys-travel-in-secrets", keys),
    ("names-derive-from-runs", derived_names),
    ("ended-jobs-wait-for-the-agent", time_to_live),
    ("objects-are-made-once", once),
    ("runs-own-their-objects", ownership),
];

/// Whether the rules together explain the answer, and `id` is the first that was needed.
fn by(case: &Case, answer: &Answer, id: &str) -> bool {
    let (None, Some(ours)) = (&case.error, answer.accepted()) else {
        return false;
    };
    let (mut theirs, mut ours) = (case.output.clone(), ours.clone());
    let mut needed = None;
    for (rule, change) in CHANGES {
        if change(case, &mut theirs, &mut ours) {
            needed = needed.or(Some(*rule));
        }
    }
    needed == Some(id) && plain(&theirs) == plain(&ours)
}

fn requests(output: &mut Value) -> &mut Vec<Value> {
    if !output["requests"].is_array() {
        output["requests"] = json!([]);
    }
    output["requests"].as_array_mut().expect("it was made one")
}

/// The body of the object that is the run: the last that is made.
fn main(output: &mut Value) -> &mut Value {
    let last = requests(output)
        .iter_mut()
        .rfind(|request| request["verb"] == "POST");
    &mut last.expect("a run is an object")["body"]
}

fn bodies(output: &mut Value) -> impl Iterator<Item = &mut Value> {
    requests(output)
        .iter_mut()
        .map(|request| &mut request["body"])
}

fn queue_args(case: &Case) -> &Value {
    &case.input["launch_spec"]["resource_args"]["kubernetes"]
}

/// A run has a record, and its objects labels of ours.
fn ownership(_: &Case, theirs: &mut Value, ours: &mut Value) -> bool {
    // What a rule took over from ours.
    bodies(theirs).for_each(unlabel);
    requests(ours).retain(|request| request["body"]["type"] != "Opaque");
    for body in bodies(ours) {
        if body["kind"] == "Secret"
            && let Some(body) = body.as_object_mut()
        {
            body.shift_remove("apiVersion");
        }
        unlabel(body);
    }
    true
}

fn unlabel(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(unlabel),
        Value::Object(map) => {
            for key in ["labels", "annotations"] {
                let Some(Value::Object(names)) = map.get_mut(key) else {
                    continue;
                };
                let before = names.len();
                names.retain(|name, _| !name.starts_with("launch."));
                if names.is_empty() && before > 0 {
                    map.shift_remove(key);
                }
            }
            map.values_mut().for_each(unlabel);
        }
        _ => {}
    }
}

/// The original makes its secret once for every container, and looks at what is there.
fn once(_: &Case, theirs: &mut Value, _: &mut Value) -> bool {
    let all = requests(theirs);
    let before = all.len();
    let mut seen = Vec::new();
    all.retain(|request| {
        let name = &request["body"]["metadata"]["name"];
        let object = (request["path"].clone(), name.clone());
        let again = !name.is_null() && seen.contains(&object);
        seen.push(object);
        request["verb"] == "POST" && !again
    });
    all.len() != before
}

fn time_to_live(case: &Case, theirs: &mut Value, ours: &mut Value) -> bool {
    const KEY: &str = "ttlSecondsAfterFinished";
    let given = &queue_args(case)["spec"][KEY];
    let ours = main(ours).get("spec").cloned().unwrap_or_default();
    let Some(theirs) = main(theirs).get_mut("spec") else {
        return false;
    };
    let differs = given.is_null() && theirs[KEY] == 60 && ours[KEY] == 24 * 60 * 60;
    if differs {
        theirs[KEY] = ours[KEY].clone();
    }
    differs
}

fn derived_names(case: &Case, theirs: &mut Value, ours: &mut Value) -> bool {
    let name = queue_args(case)["metadata"]["name"].as_str();
    if name.is_some_and(|name| !name.is_empty()) {
        return false;
    }
    for output in [theirs, ours] {
        output["run"]["name"] = Value::Null;
        if let Some(metadata) = main(output)["metadata"].as_object_mut() {
            metadata.shift_remove("name");
            metadata.shift_remove("generateName");
        }
    }
    true
}

/// Custom resources, and runs without an agent, got the key as text, and no login.
fn keys(_: &Case, theirs: &mut Value, ours: &mut Value) -> bool {
    let in_text = |value: &Value| {
        let text = value["value"].as_str().unwrap_or_default();
        value["name"] == "WANDB_API_KEY" && !text.is_empty()
    };
    let is_secret = |request: &Value, of_type: &str| request["body"]["type"] == of_type;
    let (basic, login) = ("kubernetes.io/basic-auth", "kubernetes.io/dockerconfigjson");
    let ours_secret = requests(ours)
        .iter()
        .find(|request| is_secret(request, basic));
    let Some(secret) = ours_secret.map(|secret| secret["body"]["metadata"]["name"].clone()) else {
        return false;
    };
    let reference = json!({"name": "WANDB_API_KEY",
        "valueFrom": {"secretKeyRef": {"name": secret, "key": "password"}}});
    let changed = replace(main(theirs), &in_text, &reference);
    if !changed {
        return false;
    }
    for of_type in [basic, login] {
        if !requests(theirs)
            .iter()
            .any(|request| is_secret(request, of_type))
        {
            requests(ours).retain(|request| !is_secret(request, of_type));
        }
    }
    if !requests(theirs)
        .iter()
        .any(|request| is_secret(request, login))
    {
        drop_logins(main(ours));
    }
    if theirs["run"]["secret_to_clean"].is_null() {
        ours["run"]["secret_to_clean"] = theirs["run"]["secret_to_clean"].clone();
        if theirs["run"].get("secret_to_clean").is_none()
            && let Some(run) = ours["run"].as_object_mut()
        {
            run.shift_remove("secret_to_clean");
        }
    }
    true
}

fn replace(value: &mut Value, wanted: &impl Fn(&Value) -> bool, by: &Value) -> bool {
    if wanted(value) {
        *value = by.clone();
        return true;
    }
    let mut changed = false;
    match value {
        Value::Array(items) => {
            for item in items {
                changed |= replace(item, wanted, by);
            }
        }
        Value::Object(map) => {
            for value in map.values_mut() {
                changed |= replace(value, wanted, by);
            }
        }
        _ => {}
    }
    changed
}

fn drop_logins(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_logins),
        Value::Object(map) => {
            let ours = |item: &Value| {
                item["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("regcred-"))
            };
            let emptied = map
                .get_mut("imagePullSecrets")
                .and_then(Value::as_array_mut);
            let emptied = emptied.is_some_and(|items| {
                items.retain(|item| !ours(item));
                items.is_empty()
            });
            if emptied {
                map.shift_remove("imagePullSecrets");
            }
            map.values_mut().for_each(drop_logins);
        }
        _ => {}
    }
}

/// The original puts its login in the place of the queue's.
fn logins(case: &Case, theirs: &mut Value, ours: &mut Value) -> bool {
    let pod = |args: &Value| args["spec"]["template"]["spec"]["imagePullSecrets"].clone();
    let Some(given) = pod(queue_args(case)).as_array().cloned() else {
        return false;
    };
    let (own, added) = (pod(main(theirs)), pod(main(ours)));
    let own = own.as_array().cloned().unwrap_or_default();
    let together: Value = given.iter().chain(&own).cloned().collect();
    let changed = added != Value::Array(own) && added == together;
    if changed {
        main(theirs)["spec"]["template"]["spec"]["imagePullSecrets"] = added;
    }
    changed
}

fn fetch_failures(_: &Case, theirs: &mut Value, _: &mut Value) -> bool {
    unmask(main(theirs))
}

fn unmask(value: &mut Value) -> bool {
    if value["failure_masked"] == true {
        value["failure_masked"] = json!(false);
        return true;
    }
    everywhere(value, unmask)
}

/// Changes all there is in a value; answers whether something was.
fn everywhere(value: &mut Value, change: fn(&mut Value) -> bool) -> bool {
    let mut changed = false;
    match value {
        Value::Array(items) => {
            for item in items {
                changed |= change(item);
            }
        }
        Value::Object(map) => {
            for value in map.values_mut() {
                changed |= change(value);
            }
        }
        _ => {}
    }
    changed
}

/// A pod halves what it is told.
fn dollars(case: &Case, theirs: &mut Value, _: &mut Value) -> bool {
    let overrides = &case.input["launch_spec"]["overrides"];
    let words = ["args", "entry_point"].map(|key| overrides[key].as_array());
    let words = words.into_iter().flatten().flatten();
    let mut changed = false;
    for word in words.filter_map(Value::as_str) {
        let said = word.replace("$$(", "\u{0}").replace("$$", "$$$$");
        let said = said.replace('\u{0}', "$$(");
        if said != word {
            changed |= replace(main(theirs), &|value| value == word, &json!(said));
        }
    }
    changed
}

/// The original makes every name below a service safe, variables' and data's too.
fn service_names(case: &Case, _: &mut Value, ours: &mut Value) -> bool {
    if case.input["launch_spec"]["additional_services"].is_null() {
        return false;
    }
    let mut changed = false;
    for body in bodies(ours) {
        let beside = body["metadata"]["labels"]["launch.beside"].is_string();
        let before = beside.then(|| body.clone());
        if beside {
            all_names_safe(body);
        }
        changed |= before.is_some_and(|before| before != *body);
    }
    changed
}

/// A run's id that no label or name can hold is replaced there.
fn fitting_names(case: &Case, theirs: &mut Value, ours: &mut Value) -> bool {
    let id = case.input["launch_spec"]["run_id"]
        .as_str()
        .unwrap_or("genid000");
    let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    if id.chars().all(small) && !id.starts_with(['-', '.']) && !id.ends_with(['-', '.']) {
        return false;
    }
    let mut changed = false;
    for (prefix, of_type) in [
        ("wandb-api-key", "kubernetes.io/basic-auth"),
        ("regcred", "kubernetes.io/dockerconfigjson"),
    ] {
        let secret = requests(ours)
            .iter()
            .find(|request| request["body"]["type"] == of_type);
        let name = secret.map(|secret| secret["body"]["metadata"]["name"].clone());
        let theirs_name = json!(format!("{prefix}-{id}"));
        if let Some(name) = name {
            changed |= replace(theirs, &|value: &Value| *value == theirs_name, &name);
        }
    }
    let ours_label = main(ours)["metadata"]["labels"]["wandb.ai/run-id"].clone();
    for body in bodies(theirs) {
        let label = &mut body["metadata"]["labels"]["wandb.ai/run-id"];
        if label.is_string() && *label != ours_label {
            *label = ours_label.clone();
            changed = true;
        }
    }
    changed
}

fn nulls(_: &Case, theirs: &mut Value, _: &mut Value) -> bool {
    drop_nulls(theirs)
}

fn drop_nulls(value: &mut Value) -> bool {
    let is_null =
        |item: &Value| item["name"].is_string() && item.get("value") == Some(&Value::Null);
    let mut dropped = false;
    if let Value::Array(items) = value {
        let before = items.len();
        items.retain(|item| !is_null(item));
        dropped = items.len() != before;
    }
    everywhere(value, drop_nulls) || dropped
}

/// In custom resources, the original's overrides replace the installer they should follow.
fn installer(case: &Case, theirs: &mut Value, ours: &mut Value) -> bool {
    let overrides = &case.input["launch_spec"]["overrides"];
    let custom = case.output["run"]["kind"] == "custom";
    let installs = main(ours).to_string().contains("install-then-exec");
    let some = |key: &str| {
        overrides[key]
            .as_array()
            .is_some_and(|words| !words.is_empty())
    };
    if !custom || !installs || !(some("args") || some("entry_point")) {
        return false;
    }
    for output in [theirs, ours] {
        drop_commands(main(output));
    }
    true
}

fn drop_commands(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_commands),
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::Array(containers) if key == "containers" => {
                        for container in containers.iter_mut().filter_map(Value::as_object_mut) {
                            container.shift_remove("command");
                            container.shift_remove("args");
                        }
                    }
                    value => drop_commands(value),
                }
            }
        }
        _ => {}
    }
}

/// The original fills in a template beside the `CronJob`'s own, which the cluster ignores.
fn cron_jobs(_: &Case, theirs: &mut Value, ours: &mut Value) -> bool {
    let ours = main(ours);
    if ours["kind"] != "CronJob" {
        return false;
    }
    let containers = &ours["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"];
    let filled = |container: &Value| {
        let env = container["env"].as_array().into_iter().flatten();
        env.clone()
            .any(|variable| variable["name"] == "WANDB_RUN_ID")
    };
    let all = containers
        .as_array()
        .is_some_and(|all| !all.is_empty() && all.iter().all(filled));
    let has_template = ours["spec"].get("template").is_some();
    if all && !has_template {
        main(theirs)["spec"] = ours["spec"].clone();
    }
    true
}
