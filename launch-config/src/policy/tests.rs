use serde_json::{Map, json};

use super::*;
use crate::load::agent_text;

pub(super) fn docker(policy: &Policy, options: &Value) -> Result<(), Refusals> {
    policy.check_resource_args(&json!({"local-container": options}))
}

pub(super) fn open(words: &[&str]) -> Policy {
    let open = |policy: Policy, word: &&str| policy.open_docker(word).unwrap();
    words.iter().fold(Policy::strict(), open)
}

fn first(policy: &Policy, options: &Value) -> Reason {
    docker(policy, options).unwrap_err().first().reason
}

#[test]
fn every_refusal_is_told_with_its_place() {
    let spec = json!({
        "resource_args": {
            "local-container": {"volume": "/:/x", "cpus": ["1"]},
            "kubernetes": {"spec": {"containers": [{"securityContext": null, "ports": [{"hostPort": 80}]}]}},
        },
        "additional_services": [{"name": "db", "config": {"spec": {"hostPID": "yes"}}}],
    });
    let refusals = Policy::strict().check(&spec).unwrap_err();
    let told: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "`resource_args.local-container.volume` is not an option a queue may set",
            "`resource_args.local-container.cpus` takes one text or number",
            "`resource_args.kubernetes.spec.containers[0].securityContext` is set by the agent and \
         cannot be changed",
            "`resource_args.kubernetes.spec.containers[0].ports[0].hostPort` would take a port of the node",
            "`additional_services[0].config.spec.hostPID` would share namespaces beyond the container",
        ]
    );
    let hint = refusals.first().hint().unwrap();
    assert!(hint.ends_with("`policy.docker.allow: [volume]`"), "{hint}");
}

#[test]
fn a_shared_cache_can_be_opened_and_nothing_more() {
    let policy = open(&["volume=wandb-cache:/root/.cache"]);
    let cache = "wandb-cache:/root/.cache";
    for options in [
        json!({"volume": cache}),
        json!({"-v": [cache]}),
        json!({"--Volume": cache}),
    ] {
        assert!(docker(&policy, &options).is_ok(), "{options}");
    }
    for options in [
        json!({"volume": "/:/host"}),
        json!({"v": [cache, "/:/host"]}),
    ] {
        assert_eq!(first(&policy, &options), Reason::OtherValue, "{options}");
    }
    assert_eq!(
        first(&policy, &json!({"mount": cache})),
        Reason::DockerOption
    );
    let whole = open(&["v=a:/b", "volume"]);
    assert!(docker(&whole, &json!({"volume": "/srv:/srv"})).is_ok());
}

#[test]
fn an_opened_option_takes_what_it_takes() {
    let policy = open(&["privileged", "network", "ipc", "read-only=true"]);
    let good = json!({"privileged": true, "net": ["a", "b"], "ipc": "host", "read_only": "true"});
    assert!(docker(&policy, &good).is_ok());
    for (options, reason) in [
        (json!({"privileged": "--rm"}), Reason::DockerValue),
        (json!({"privileged": 1}), Reason::DockerValue),
        (json!({"network": []}), Reason::DockerEmptyList),
        (json!({"network": [true]}), Reason::DockerListItem),
        (json!({"ipc": ["host"]}), Reason::DockerValue),
        (json!({"read-only": false}), Reason::OtherValue),
    ] {
        assert_eq!(first(&policy, &options), reason, "{options}");
    }
}

#[test]
fn keys_of_manifests_are_opened_one_by_one() {
    let policy = Policy::strict()
        .open_kubernetes("serviceAccountName=trainer")
        .and_then(|policy| policy.open_kubernetes("hostPath=/data"))
        .and_then(|policy| policy.open_kubernetes("unconfined"))
        .unwrap();
    for manifest in [
        json!({"serviceAccountName": "trainer", "serviceAccount": "trainer"}),
        json!({"volumes": [{"hostPath": {"path": "/data", "type": "Directory"}}]}),
        json!({"annotations": {"seccomp": "unconfined"}}),
    ] {
        assert!(policy.check_manifest(&manifest).is_ok(), "{manifest}");
    }
    for manifest in [
        json!({"serviceAccountName": "admin"}),
        json!({"serviceAccountName": ["trainer"]}),
        json!({"volumes": [{"hostPath": {"path": "/data/.."}}]}),
        json!({"hostPath": "/etc"}),
        json!({"hostNetwork": true}),
    ] {
        assert!(policy.check_manifest(&manifest).is_err(), "{manifest}");
    }
}

#[test]
fn secure_mode_is_opened_by_nothing() {
    let all = KubernetesGrants::openable()
        .fold(Policy::strict(), |policy, key| {
            policy.open_kubernetes(key).unwrap()
        })
        .with_secure_mode(true);
    let pod = |spec: Value| json!({"resource_args": {"kubernetes": {"spec": {"template": {"spec": spec}}}}});
    for spec in [
        pod(json!({"hostPID": true})),
        pod(json!({"initContainers": []})),
        pod(json!({"containers": [{}, {"command": null}]})),
        pod(json!({"containers": {"command": 1}})),
        pod(json!("hostPID")),
        json!({"resource_args": {"kubernetes": {"spec": []}}}),
        json!({"overrides": {"entrypoint": ["sh"]}}),
        json!({"overrides": ["entry_point"]}),
    ] {
        assert!(all.check(&spec).is_err(), "{spec}");
        let off = all.clone().with_secure_mode(false);
        assert!(off.check(&spec).is_ok(), "{spec}");
    }
    assert!(
        all.check(&json!({"overrides": {"args": ["--x"]}, "resource_args": null}))
            .is_ok()
    );
}

#[test]
fn the_agent_file_opens_and_says_what_it_cannot() {
    let text = "secure_mode: true\npolicy:\n  docker:\n    allow: [net, 'v=a:/b']\n  \
                kubernetes:\n    allow: [serviceAccount=x, hostIPC]\n";
    let policy = agent_text("f", text).unwrap().value.policy;
    assert!(policy.secure_mode);
    let shown = serde_json::to_value(&policy).unwrap();
    let allow = json!({"docker": {"allow": ["network", "volume=a:/b"]},
                       "kubernetes": {"allow": ["hostIPC", "serviceAccountName=x"]}});
    assert_eq!(shown, allow);
    for (text, word) in [
        (
            "policy: {docker: {allow: [volum]}}",
            "did you mean `volume`",
        ),
        (
            "policy: {docker: {allow: [rm]}}",
            "`rm` is set by the agent itself",
        ),
        ("policy: {docker: {allow: [gpus=all]}}", "always allowed"),
        ("policy: {docker: {allow: volume}}", "expected a list"),
        ("policy: {docker: [volume]}", "expected a mapping"),
        (
            "policy: {kubernetes: {allow: [hostPid]}}",
            "did you mean `hostPID`",
        ),
        (
            "policy: {kubernetes: {allow: ['securityContext={}']}}",
            "as a whole only",
        ),
        ("policy: {dokcer: {}}", "unknown key `dokcer`"),
    ] {
        let report = agent_text("f", text).unwrap_err().to_string();
        assert!(report.contains(word), "{report}");
    }
}

#[test]
fn a_bottomless_manifest_is_refused_and_the_report_is_bounded() {
    let wrap = |inner| {
        Value::Object(Map::from_iter([(
            "a".to_owned(),
            Value::Array(vec![inner]),
        )]))
    };
    let deep = (0..5000).fold(json!({}), |inner, _| wrap(inner));
    let refusals = Policy::strict().check_manifest(&deep).unwrap_err();
    assert_eq!(refusals.first().reason, Reason::TooDeep);
    // Dropping it would recurse as deep as it is.
    std::mem::forget(deep);
    let wide: Value = (0..10_000).map(|_| json!({"hostPath": 1})).collect();
    let refusals = Policy::strict()
        .check_manifest(&json!({"volumes": wide}))
        .unwrap_err();
    assert_eq!(refusals.iter().count(), 100);
    let long = json!({"x".repeat(1 << 20): {"hostPath": 1}});
    let told = Policy::strict()
        .check_manifest(&long)
        .unwrap_err()
        .to_string();
    assert!(told.len() < 200, "{}", told.len());
}
