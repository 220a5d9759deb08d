//! Whatever is asked for, the policy answers; opening things and turning locks off only
//! ever lets more through.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use launch_config::policy::{DockerGrants, KubernetesGrants, Policy};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

const KEYS: &[&str] = &[
    "resource_args",
    "local-container",
    "kubernetes",
    "overrides",
    "entry_point",
    "entrypoint",
    "additional_services",
    "config",
    "spec",
    "template",
    "containers",
    "initContainers",
    "command",
    "metadata",
    "annotations",
    "seccomp",
    "apparmor",
    "securityContext",
    "hostPath",
    "path",
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
    "env",
    "e",
    "cpus",
    "volume",
    "-v",
    "privileged",
    "ulimit",
];
const TEXTS: &[&str] = &[
    "",
    " ",
    "true",
    "YES",
    "0",
    "Bidirectional",
    "unconfined",
    "/data",
    "a:/b",
];

#[derive(Debug)]
struct Document(Value);

impl<'a> Arbitrary<'a> for Document {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        value(u, 12).map(Self)
    }
}

fn value(u: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    let kind = if depth == 0 {
        u.int_in_range(0..=5)?
    } else {
        u.int_in_range(0..=11)?
    };
    Ok(match kind {
        0 => Value::Null,
        1 => u.arbitrary::<bool>()?.into(),
        2 => u.arbitrary::<i64>()?.into(),
        3 => u.arbitrary::<f64>()?.into(),
        4 => (*u.choose(TEXTS)?).into(),
        5 => u.arbitrary::<&str>()?.into(),
        6 | 7 => {
            let len = u.int_in_range(0..=3)?;
            (0..len)
                .map(|_| value(u, depth - 1))
                .collect::<Result<Vec<_>>>()?
                .into()
        }
        _ => {
            let mut map = Map::new();
            for _ in 0..u.int_in_range(0..=4)? {
                let known = u.ratio(9, 10)?;
                let key = if known {
                    *u.choose(KEYS)?
                } else {
                    u.arbitrary::<&str>()?
                };
                map.insert(key.to_owned(), value(u, depth - 1)?);
            }
            map.into()
        }
    })
}

fn wide_open() -> Policy {
    let docker = DockerGrants::openable().try_fold(Policy::strict(), |p, word| p.open_docker(word));
    KubernetesGrants::openable()
        .try_fold(docker.expect("openable"), |p, word| p.open_kubernetes(word))
        .expect("openable")
}

fuzz_target!(|input: (Document, &str)| {
    let (Document(spec), grant) = input;
    let strict = Policy::strict().check(&spec);
    let secure = Policy::strict().with_secure_mode(true).check(&spec);
    assert!(strict.is_ok() || secure.is_err());
    let open = wide_open();
    if strict.is_ok() {
        assert!(open.check(&spec).is_ok());
        assert!(open.check_resource_args(&spec["resource_args"]).is_ok());
    }
    let _ = open.check_manifest(&spec);
    for refusals in [strict, secure]
        .into_iter()
        .filter_map(std::result::Result::err)
    {
        assert!(refusals.iter().count() <= 100);
        for refusal in &refusals {
            assert!(!refusal.to_string().is_empty() && !refusal.path.steps().is_empty());
            let _ = refusal.hint();
        }
    }
    for opened in [
        Policy::strict().open_docker(grant),
        Policy::strict().open_kubernetes(grant),
    ] {
        if let Err(error) = opened {
            let _ = (error.to_string(), error.hint());
        }
    }
});
