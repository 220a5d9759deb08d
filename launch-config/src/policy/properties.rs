//! What holds for every document.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::tests::{docker, open};
use super::*;

const NEAR: &[&str] = &[
    "hostpid",
    "host-path",
    "securityContexts",
    "annotation",
    "seccomp",
];

const LISTED: &[&str] = &[
    "securityContext",
    "hostPath",
    "serviceAccountToken",
    "hostPID",
    "hostIPC",
    "hostNetwork",
    "shareProcessNamespace",
    "hostUsers",
    "serviceAccountName",
    "serviceAccount",
    "automountServiceAccountToken",
    "hostPort",
    "mountPropagation",
];

/// Any value whose mappings have keys made by `key`.
fn tree(key: impl Strategy<Value = String> + Clone + 'static) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just(" true"), Just("unconfined"), Just("Bidirectional")].prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let map = proptest::collection::vec((key.clone(), inner.clone()), 0..4);
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Value::from),
            map.prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn harmless() -> impl Strategy<Value = String> + Clone {
    let plain = "[a-z][A-Za-z/.]{0,8}".prop_filter("listed", |key| {
        !LISTED.contains(&key.as_str()) && key != "annotations"
    });
    prop_oneof![
        plain,
        proptest::sample::select(NEAR).prop_map(str::to_owned)
    ]
}

fn any_key() -> impl Strategy<Value = String> + Clone {
    let words = [
        "annotations",
        "spec",
        "template",
        "containers",
        "command",
        "resource_args",
        "kubernetes",
        "local-container",
        "overrides",
        "entry_point",
        "additional_services",
        "config",
    ];
    let known: Vec<&str> = LISTED.iter().copied().chain(words).collect();
    prop_oneof![3 => proptest::sample::select(known).prop_map(str::to_owned), 1 => ".{0,5}"]
}

/// A mapping somewhere in `value`, chosen by `choice`.
fn some_map(value: &mut Value, choice: usize) -> Option<&mut Map<String, Value>> {
    let below = match &*value {
        Value::Object(map) if !choice.is_multiple_of(3) => map.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    if below == 0 {
        return value.as_object_mut();
    }
    let children: Vec<&mut Value> = match value {
        Value::Object(map) => map.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    some_map(children.into_iter().nth(choice % below)?, choice / 3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_document_makes_it_panic(spec in tree(any_key()), secure in any::<bool>()) {
        let policy = Policy::strict().with_secure_mode(secure);
        for result in [policy.check(&spec), policy.check_resource_args(&spec), policy.check_manifest(&spec)] {
            if let Err(refusals) = result {
                prop_assert!(!refusals.to_string().is_empty());
            }
        }
    }

    #[test]
    fn a_manifest_without_listed_keys_is_accepted(manifest in tree(harmless())) {
        prop_assume!(manifest.is_object());
        prop_assert!(Policy::strict().check_manifest(&manifest).is_ok());
    }

    #[test]
    fn a_refused_key_is_found_wherever_it_is(
        mut manifest in tree(harmless()),
        choice in any::<usize>(),
        key in proptest::sample::select(LISTED),
    ) {
        prop_assume!(manifest.is_object());
        let value = if key == "mountPropagation" { json!("Bidirectional") } else { json!(1) };
        let Some(map) = some_map(&mut manifest, choice) else { return Ok(()) };
        map.insert(key.to_owned(), value);
        let refusals = Policy::strict().check_manifest(&manifest);
        prop_assert!(refusals.is_err(), "{}", manifest);
        let refusals = refusals.unwrap_err();
        prop_assert_eq!(&refusals.first().option, key);
        let open = Policy::strict().open_kubernetes(key).unwrap();
        prop_assert!(open.check_manifest(&manifest).is_ok());
    }

    #[test]
    fn what_is_not_on_the_list_is_refused(name in "[a-z][a-z-]{0,12}", value in ".{0,8}") {
        let verdict = docker(&Policy::strict(), &json!({name.clone(): value}));
        prop_assert_eq!(verdict.is_ok(), super::docker::ALLOWED.contains(&name.as_str()));
    }

    #[test]
    fn what_is_open_can_be_written_back(
        names in proptest::collection::vec(proptest::sample::select(docker_names()), 0..6),
        value in proptest::option::of("[a-z:/=]{0,6}"),
    ) {
        let word = |name: &&str| value.as_ref().map_or((*name).to_owned(), |value| format!("{name}={value}"));
        let words: Vec<String> = names.iter().map(word).collect();
        let first = open(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let again: Vec<String> = first.docker.words().collect();
        prop_assert_eq!(&open(&again.iter().map(String::as_str).collect::<Vec<_>>()), &first);
    }
}

fn docker_names() -> Vec<&'static str> {
    DockerGrants::openable().collect()
}
