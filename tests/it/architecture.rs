//! Who imports whom, asserted from cargo's own metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use launch_tests::root;
use serde_json::Value;

const MIDDLE: [&str; 4] = [
    "launch-builder",
    "launch-registry",
    "launch-runner",
    "launch-queue",
];

fn metadata() -> Value {
    let args = [
        "metadata",
        "--format-version",
        "1",
        "--offline",
        "--locked",
        "--all-features",
    ];
    let output = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The direct dependencies of every workspace member; those of its tests if asked for.
fn direct(metadata: &Value, tests_too: bool) -> BTreeMap<String, BTreeSet<String>> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let members: Vec<String> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let counts = |dependency: &&Value| tests_too || dependency["kind"] != "dev";
    packages
        .filter(|package| members.contains(&text(&package["id"])))
        .map(|package| {
            let dependencies = package["dependencies"]
                .as_array()
                .unwrap()
                .iter()
                .filter(counts);
            (
                text(&package["name"]),
                dependencies
                    .map(|dependency| text(&dependency["name"]))
                    .collect(),
            )
        })
        .collect()
}

/// Everything a package is built with, tests aside.
fn reach(metadata: &Value, name: &str) -> BTreeSet<String> {
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let name_of: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            (
                package["id"].as_str().unwrap(),
                package["name"].as_str().unwrap(),
            )
        })
        .collect();
    let start = *name_of.iter().find(|(_, found)| **found == name).unwrap().0;
    let (mut seen, mut stack) = (BTreeSet::new(), vec![start]);
    while let Some(id) = stack.pop() {
        let node = nodes.iter().find(|node| node["id"] == id).unwrap();
        for dependency in node["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            let id = dependency["pkg"].as_str().unwrap();
            if kinds.iter().any(|kind| kind["kind"] != "dev") && seen.insert(id) {
                stack.push(id);
            }
        }
    }
    seen.into_iter().map(|id| name_of[id].to_owned()).collect()
}

#[test]
fn dependencies_go_one_way() {
    let direct = direct(&metadata(), true);
    let ours = |name: &str| -> BTreeSet<String> {
        direct[name]
            .iter()
            .filter(|dependency| dependency.starts_with("launch-"))
            .cloned()
            .collect()
    };
    assert_eq!(ours("launch-config"), BTreeSet::new());
    for name in MIDDLE {
        assert_eq!(
            ours(name),
            BTreeSet::from(["launch-config".to_owned()]),
            "{name}"
        );
    }
    let middle: BTreeSet<String> = MIDDLE.into_iter().map(str::to_owned).collect();
    assert!(ours("launch-agent").is_superset(&middle));
}

#[test]
fn the_vocabulary_has_no_runtime_and_no_network() {
    let reach = reach(&metadata(), "launch-config");
    for name in [
        "tokio",
        "reqwest",
        "hyper",
        "bollard",
        "rustls",
        "clap",
        "tracing",
        "async-trait",
    ] {
        assert!(!reach.contains(name), "launch-config reaches {name}");
    }
}

#[test]
fn terminals_belong_to_the_agent() {
    let direct = direct(&metadata(), false);
    for name in MIDDLE {
        for package in ["clap", "anyhow", "indicatif", "tracing-subscriber"] {
            assert!(
                !direct[name].contains(package),
                "{name} depends on {package}"
            );
        }
    }
}

#[test]
fn there_is_one_tls_stack() {
    let reach = reach(&metadata(), "launch-agent");
    for name in ["openssl-sys", "native-tls", "aws-lc-sys", "aws-lc-rs"] {
        assert!(!reach.contains(name), "launch-agent reaches {name}");
    }
}
