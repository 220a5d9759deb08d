use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::load::spec_value;

fn read(value: &Value) -> RunSpec {
    spec_value("spec", value).unwrap().value
}

#[test]
fn sources_are_told_apart() {
    let source = |value| read(&value).source;
    assert!(matches!(
        source(json!({"uri": "/srv/x"})),
        Some(Source::Directory(_))
    ));
    assert!(matches!(
        source(json!({"uri": "git@h:x"})),
        Some(Source::Git { .. })
    ));
    let image = source(json!({"docker": {"docker_image": "a:1"}, "uri": "/x"}));
    assert!(matches!(image, Some(Source::Image(_))));
    let git = source(json!({"git": {"repo": "https://h/r", "version": "v1"}}));
    assert!(matches!(git, Some(Source::Git { reference: Some(v), .. }) if v == "v1"));
    assert!(source(json!({"job": "e/p/j:v0", "uri": "/x", "git": {"version": "-x"}})).is_none());
    assert_eq!(source(json!({"uri": SCHEDULER})), Some(Source::Scheduler));
}

#[test]
fn a_spec_that_cannot_run_says_why() {
    for (value, word) in [
        (json!({}), "no source"),
        (json!([]), "expected a mapping"),
        (json!({"docker": null}), "no source"),
        (json!({"uri": "ext::sh"}), "neither https"),
        (json!({"uri": "placeholder-other"}), "neither https"),
        (json!({"job": "train:v3"}), "entity/project/name:alias"),
        (
            json!({"uri": "https://h/r", "git": {"version": "--orphan"}}),
            "git.version",
        ),
        (
            json!({"uri": "/x", "resource": "kubernets"}),
            "did you mean `kubernetes`",
        ),
        (
            json!({"uri": "/x", "overrides": {"args": "x"}}),
            "overrides.args",
        ),
        (
            json!({"uri": "/x", "overrides": {"working_dir": "../.."}}),
            "overrides.working_dir",
        ),
        (
            json!({"docker": {"docker_image": "a:1"}, "resource": "local-process"}),
            "cannot run as a process",
        ),
        (
            json!({"docker": {"docker_image": "-rm"}}),
            "invalid path component",
        ),
        (
            json!({"uri": "/x", "additional_services": [{"config": []}]}),
            "additional_services[0].config",
        ),
    ] {
        let report = spec_value("spec", &value).unwrap_err().to_string();
        assert!(report.contains(word), "{report}");
    }
}

#[test]
fn a_key_in_a_spec_never_prints() {
    let uri = "https://u:planted@h/x";
    let spec = read(&json!({"uri": uri, "_wandb_api_key": "planted"}));
    assert!(!format!("{spec:?}").contains("planted"));
}

#[test]
fn a_runner_gets_its_own_args_and_builders_get_theirs() {
    let spec = read(&json!({"uri": "/x", "resource_args": {
        "kubernetes": {"builder": {"base_image": "b:1"}, "kind": "Job"},
        "gcp-vertex": {"spec": {}},
    }}));
    assert_eq!(spec.args_for(Resource::Kubernetes), json!({"kind": "Job"}));
    assert_eq!(spec.args_for(Resource::Vertex), json!({"spec": {}}));
    let builder = spec.builder_args(Resource::Kubernetes).unwrap();
    assert_eq!(builder.base_image.unwrap().to_string(), "b:1");
}

#[test]
fn schedulers_count_as_such_only_with_their_command() {
    let command = json!(["wandb", "scheduler", "sw1"]);
    for (spec, expected) in [
        (
            json!({"uri": SCHEDULER, "resource": "local-process", "overrides": {"entry_point": command}}),
            true,
        ),
        (
            json!({"uri": SCHEDULER, "resource": "local-process"}),
            false,
        ),
        (
            json!({"uri": SCHEDULER, "resource": "local-process", "job": "a/b/c:v1"}),
            true,
        ),
        (json!({"uri": SCHEDULER, "resource": "kubernetes"}), true),
        (json!({"uri": "/x"}), false),
    ] {
        assert_eq!(read(&spec).is_scheduler(), expected, "{spec}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof![
            proptest::sample::select(TOP).prop_map(str::to_owned),
            "[a-z_]{1,8}"
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_document_panics(value in any_json()) {
        if let Ok(checked) = spec_value("spec", &value) {
            let _ = crate::env::job_environment(&checked.value, &crate::env::RunContext::new("r"));
            let _ = checked.value.builder_args(Resource::Kubernetes);
        }
    }
}
