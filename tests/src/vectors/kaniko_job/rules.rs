//! Where builds with kaniko differ on purpose: the original's output, made into the one we
//! promise, must be ours.

use launch_builder::kaniko::{
    DEFAULT_IMAGE, DEFAULT_JOB_NAME, DEFAULT_NAMESPACE, docker_config_name,
};
use launch_config::environment::DEFAULT_KANIKO_IMAGE;
use serde_json::{Value, json};

use super::cluster::UID;
use crate::vectors::{Answer, Case, Improvement, compare};

/// Rules of single cases first: the last two hold for every build.
pub(super) const RULES: &[Improvement] = &[
    Improvement {
        id: "kaniko-needs-a-destination",
        explains: |case, answer| {
            let no_repository = case.output["image"] == ":<TAG>";
            case.error.is_none() && no_repository && answer.is_refused()
        },
    },
    Improvement {
        id: "kaniko-null-settings-are-absent",
        explains: |case, answer| {
            let null = |key: &str| builder(case).get(key).is_some_and(Value::is_null);
            (null("build-job-name") || null("kaniko-image")) && keeps(case, answer)
        },
    },
    Improvement {
        id: "kaniko-builds-for-the-platform",
        explains: |case, answer| builder(case)["platform"].is_string() && keeps(case, answer),
    },
    Improvement {
        id: "kaniko-flags-repeat",
        explains: |case, answer| !repeated(case).is_empty() && keeps(case, answer),
    },
    Improvement {
        id: "kaniko-looks-images-up",
        explains: |case, answer| {
            let ours = answer.accepted();
            case.error.is_none()
                && case.input["image_exists"] == true
                && ours.is_some_and(|ours| {
                    ours["image"] == case.output["image"] && ours.get("requests").is_none()
                })
        },
    },
    Improvement {
        id: "kaniko-uses-one-namespace",
        explains: |case, answer| {
            let is_azure = case.input["environment"]["type"] == "azure" || is_acr(case);
            let refused = case.error.is_none() && answer.is_refused();
            is_azure && namespace(case) != DEFAULT_NAMESPACE && (refused || keeps(case, answer))
        },
    },
    Improvement {
        id: "kaniko-config-names-a-namespace",
        explains: |case, answer| {
            let given = &builder(case)["kaniko-config"]["metadata"]["namespace"];
            case.error.is_some() && given.is_string() && answer.accepted().is_some()
        },
    },
    Improvement {
        id: "kaniko-jobs-have-valid-names",
        explains: |case, answer| {
            let run = case.input["launch_spec"]["run_id"]
                .as_str()
                .unwrap_or_default();
            let odd = |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            let same = answer.accepted().map(|ours| &ours["image"]) == Some(&case.output["image"]);
            case.error.is_none() && run.contains(odd) && same
        },
    },
    Improvement {
        id: "kaniko-logins-are-secrets",
        explains: |case, answer| {
            let mut requests = requests(&case.output).iter();
            requests.any(is_config_map) && keeps(case, answer)
        },
    },
    Improvement {
        id: "kaniko-image-is-maintained",
        explains: |case, answer| uses_default_image(case) && keeps(case, answer),
    },
    Improvement {
        id: "kaniko-leaves-nothing-behind",
        explains: keeps,
    },
];

fn builder(case: &Case) -> &Value {
    &case.input["builder"]
}

fn requests(output: &Value) -> &[Value] {
    output["requests"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn namespace(case: &Case) -> &str {
    let given = case.input.get("agent_namespace").map(Value::as_str);
    given
        .unwrap_or(Some(DEFAULT_NAMESPACE))
        .unwrap_or(DEFAULT_NAMESPACE)
}

fn is_acr(case: &Case) -> bool {
    let image = case.output["image"].as_str().unwrap_or_default();
    image
        .split('/')
        .next()
        .is_some_and(|host| host.ends_with(".azurecr.io"))
}

fn is_config_map(request: &Value) -> bool {
    request["path"]
        .as_str()
        .is_some_and(|path| path.contains("/configmaps"))
}

fn is_job(request: &Value) -> bool {
    request["path"]
        .as_str()
        .is_some_and(|path| path.contains("/jobs"))
}

fn uses_default_image(case: &Case) -> bool {
    let mut jobs = requests(&case.output).iter().filter_map(container);
    builder(case)["kaniko-image"].is_null() && jobs.any(has_default_image)
}

fn container(request: &Value) -> Option<&Value> {
    request
        .get("body")?
        .pointer("/spec/template/spec/containers/0")
}

fn has_default_image(container: &Value) -> bool {
    container["image"].is_null() || container["image"] == DEFAULT_KANIKO_IMAGE
}

/// The flags that `kaniko-config` gives more than once, of which the original sends the last.
fn repeated(case: &Case) -> Vec<(String, Vec<String>)> {
    let args = builder(case).pointer("/kaniko-config/spec/template/spec/containers/0/args");
    let words = args
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let mut flags: Vec<(String, Vec<String>)> = Vec::new();
    for word in words {
        let name = word.split('=').next().unwrap_or_default();
        match flags.iter_mut().find(|(flag, _)| flag == name) {
            Some((_, values)) => values.push(word.to_owned()),
            None => flags.push((name.to_owned(), vec![word.to_owned()])),
        }
    }
    flags.retain(|(_, values)| values.len() > 1);
    flags
}

/// Whether our answer is what we promise for the case.
fn keeps(case: &Case, answer: &Answer) -> bool {
    if case.error.is_some() {
        return false;
    }
    let promised = Case {
        output: promised(case),
        ..case.clone()
    };
    compare::differences(&promised, answer, &[]).is_empty()
}

/// The original's output with everything changed that the rules change.
fn promised(case: &Case) -> Value {
    let mut output = case.output.clone();
    if builder(case)
        .get("build-job-name")
        .is_some_and(Value::is_null)
    {
        let text = output
            .to_string()
            .replace("None-", &format!("{DEFAULT_JOB_NAME}-"));
        output = serde_json::from_str(&text).unwrap_or(output);
    }
    let mut config = None;
    let mut promised = Vec::new();
    for request in requests(&output) {
        if is_config_map(request) {
            let text = &request["body"]["data"]["config.json"];
            config = config.or_else(|| text.as_str().map(str::to_owned));
            continue;
        }
        let mut request = request.clone();
        match request["verb"].as_str() {
            Some("POST") if is_job(&request) => {
                job(case, &mut request["body"]);
                let secret = config
                    .as_ref()
                    .and_then(|text| secret(&request["body"], text));
                promised.push(request);
                promised.extend(secret);
                continue;
            }
            Some("DELETE") => request["body"] = json!({"propagationPolicy": "Background"}),
            // Asked for in the hard-wired namespace.
            Some("GET")
                if request["path"]
                    .as_str()
                    .is_some_and(|path| path.contains("/secrets/")) =>
            {
                let path = format!(
                    "/api/v1/namespaces/{}/secrets/azure-storage-access-key",
                    namespace(case)
                );
                request["path"] = json!(path);
            }
            _ => {}
        }
        promised.push(request);
    }
    output["requests"] = Value::Array(promised);
    output
}

/// The Job we promise.
fn job(case: &Case, job: &mut Value) {
    let spec = &mut job["spec"];
    if spec.get("ttlSecondsAfterFinished").is_none() {
        spec["ttlSecondsAfterFinished"] = json!(3600);
    }
    let pod = &mut spec["template"]["spec"];
    if pod.get("terminationGracePeriodSeconds").is_none() {
        pod["terminationGracePeriodSeconds"] = json!(1);
    }
    for volume in pod["volumes"].as_array_mut().into_iter().flatten() {
        // The user's own volumes stay what they are.
        if volume["name"] == "docker-config" && volume.get("configMap").is_some() {
            let name = volume["configMap"]["name"].clone();
            *volume = json!({"name": "docker-config", "secret": {"secretName": name}});
        }
    }
    let container = &mut pod["containers"][0];
    if has_default_image(container) && builder(case)["kaniko-image"].is_null() {
        container["image"] = json!(DEFAULT_IMAGE);
    }
    let args = container["args"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    container["args"] = json!(arguments(case, args.map(str::to_owned).collect()));
}

/// The arguments we promise: our name for the Dockerfile, the digest file and the platform
/// after the original's own seven, and flags as often as they were given.
fn arguments(case: &Case, theirs: Vec<String>) -> Vec<String> {
    const OWN: usize = 7;
    let given = |name: &str| theirs[OWN..].iter().any(|word| word.starts_with(name));
    let mut new = Vec::new();
    if !given("--digest-file=") {
        new.push("--digest-file=/dev/termination-log".to_owned());
    }
    if let Some(platform) = builder(case)["platform"].as_str() {
        new.push(format!("--custom-platform={platform}"));
    }
    let mut arguments = theirs;
    arguments.splice(OWN..OWN, new);
    for word in &mut arguments {
        if word == "--dockerfile=Dockerfile.wandb" {
            "--dockerfile=.launch.Dockerfile".clone_into(word);
        }
    }
    for (name, values) in repeated(case) {
        let flag = |word: &String| word.split('=').next() == Some(name.as_str());
        if let Some(at) = arguments.iter().position(flag) {
            arguments.splice(at..=at, values);
        }
    }
    arguments
}

/// The Secret in the place of the config map, if the Job has a use for it.
fn secret(job: &Value, text: &str) -> Option<Value> {
    let name = job["metadata"]["name"].as_str()?;
    let namespace = job["metadata"]["namespace"].as_str()?;
    let volumes = job.pointer("/spec/template/spec/volumes")?.as_array()?;
    volumes
        .iter()
        .find(|volume| volume["name"] == "docker-config")?;
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": UID});
    let body = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": docker_config_name(name),
            "namespace": namespace,
            "labels": {"wandb": "launch"},
            "ownerReferences": [owner],
        },
        "type": "Opaque",
        "immutable": true,
        "stringData": {"config.json": text},
    });
    let path = format!("/api/v1/namespaces/{namespace}/secrets");
    Some(json!({"verb": "POST", "path": path, "body": body}))
}
