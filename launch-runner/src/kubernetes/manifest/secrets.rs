//! The secrets of a run, and the one without data that knows it.

use k8s_openapi::ByteString;
use serde_json::{Map, Value, json};

use super::facts::{Facts, KEY_VARIABLE, image_login};
use super::object::{Kind, Object};
use super::services::Beside;
use super::{AGENT, BESIDE_ANNOTATION, CREATED_BY_LABEL, OBJECT_ANNOTATION};

pub(super) const KEY_TYPE: &str = "kubernetes.io/basic-auth";
const PULL_TYPE: &str = "kubernetes.io/dockerconfigjson";
/// Some readers of such a file refuse a login without an address; nobody writes to it.
const EMAIL: &str = "deprecated@wandblaunch.com";

/// What knows the run: which object it is, what is beside it, and in the end how it ended
/// if its object cannot say.
pub(super) fn record(facts: &Facts<'_>, main: &Object, beside: &[Beside]) -> Object {
    let mut record = secret(facts, &facts.name, "Opaque", &Map::new(), true);
    record.body["metadata"]["annotations"] = Value::Object(facts.key_annotations());
    note(&mut record, main, beside);
    record
}

/// Notes in a record which object the run is, and what is beside it.
pub(super) fn note(record: &mut Object, main: &Object, beside: &[Beside]) {
    let place = &mut record.body["metadata"]["annotations"];
    let main = json!({"kind": main.kind, "name": main.name()});
    place[OBJECT_ANNOTATION] = json!(main.to_string());
    if !beside.is_empty() {
        let beside = beside.iter().map(|Beside { object, .. }| {
            json!({"kind": object.kind, "namespace": object.namespace, "name": object.name()})
        });
        let beside: Value = beside.collect();
        place[BESIDE_ANNOTATION] = json!(beside.to_string());
    }
}

/// The secrets that pods of the run read.
pub(super) fn all(facts: &Facts<'_>) -> Vec<Object> {
    let pull = facts.pull_secret.as_ref().map(|name| {
        let data = Map::from_iter([(".dockerconfigjson".to_owned(), encoded(&logins(facts)))]);
        secret(facts, name, PULL_TYPE, &data, true)
    });
    let key = facts.key_secret.as_ref().map(|name| {
        let key = facts.variable(KEY_VARIABLE).unwrap_or_default();
        let data = Map::from_iter([("password".to_owned(), encoded(key))]);
        // The one of a Helm release serves all runs, and is none's.
        let mut key = secret(facts, name, KEY_TYPE, &data, facts.site.release.is_none());
        key.body["metadata"]["labels"][CREATED_BY_LABEL] = json!(AGENT);
        key
    });
    pull.into_iter().chain(key).collect()
}

fn secret(
    facts: &Facts<'_>,
    name: &str,
    of_type: &str,
    data: &Map<String, Value>,
    is_owned: bool,
) -> Object {
    let mut labels = Map::new();
    if is_owned {
        labels.extend(facts.owned().map(|(name, value)| (name, json!(value))));
    }
    let body = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": facts.namespace, "labels": labels},
        "type": of_type,
        "data": data,
    });
    Object {
        kind: Kind::secret(),
        namespace: facts.namespace.clone(),
        body: body.as_object().cloned().unwrap_or_default(),
    }
}

fn logins(facts: &Facts<'_>) -> String {
    let own = image_login(facts.request).into_iter();
    let others = facts.request.logins.iter();
    let others = others.map(|login| (login.address.as_str(), login.user.as_str(), &login.password));
    let logins = own.chain(others).map(|(address, user, password)| {
        let pair = format!("{user}:{}", password.expose());
        let login = json!({"auth": encoded(&pair), "email": EMAIL});
        (login_address(address).to_owned(), login)
    });
    json!({"auths": logins.collect::<Map<_, _>>()}).to_string()
}

/// Docker Hub's login has an address of its own.
fn login_address(address: &str) -> &str {
    match address {
        "docker.io" | "index.docker.io" => "https://index.docker.io/v1/",
        other => other,
    }
}

/// Base64, as everywhere in the API.
fn encoded(text: &str) -> Value {
    json!(ByteString(text.as_bytes().to_vec()))
}
