//! Digests that never change, and a second implementation that finds the same ones.

#![expect(clippy::unwrap_used, reason = "what fails in a test is seen")]

#[path = "context/skip.rs"]
mod skip;
#[path = "context/tree.rs"]
#[expect(dead_code, reason = "other suites use the rest")]
mod tree;
#[path = "context/vectors.rs"]
mod vectors;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use self::tree::{Node, ODD, PLAIN, Tree, hash, write};
use self::vectors::{entries, second_opinion};

const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/recipe.py");

fn vectors() -> Vec<Value> {
    let text = include_str!("golden/contexts.json");
    serde_json::from_str(text).unwrap()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
}

fn python(root: &Path, vector: &Value) -> Option<String> {
    let mut command = Command::new("python3");
    command.arg(RECIPE).arg(root).args(texts(&vector["rules"]));
    second_opinion(command.arg("--").args(texts(&vector["left_out"])), "")
}

#[test]
fn digests_are_what_they_were() {
    for vector in vectors() {
        let tree = entries(&vector);
        for way in [PLAIN, ODD] {
            let root = write(&tree, way);
            let digest = hash(root.path()).digest.to_string();
            assert_eq!(digest, vector["digest"], "{}", vector["name"]);
            if let Some(second) = python(root.path(), &vector) {
                assert_eq!(second.trim_end(), digest, "{}", vector["name"]);
            }
        }
    }
}

/// Trees nobody thought of.
#[test]
fn the_second_implementation_agrees_on_random_trees() {
    let mut state = 1_u64;
    let mut random = move |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let names = ["a", "b", "a-", "a.b", "ü", "z z", "~"];
    let mut roots = Vec::new();
    for _ in 0..40 {
        let mut tree = Tree::new();
        for _ in 0..random(20) {
            // Files have names of their own, so none is where another has a directory.
            let directory = names[random(7)].repeat(1 + random(2));
            let path = format!("{directory}/{}/f{}", names[random(7)], random(9));
            let node = match random(4) {
                0 => Node::Link(vec![b'x'; 1 + random(300)]),
                1 => Node::Directory,
                other => Node::File {
                    content: vec![7; random(3000)],
                    executable: other == 2,
                },
            };
            tree.insert(path.into_bytes(), node);
        }
        roots.push(write(&tree, ODD));
    }
    let paths: Vec<_> = roots
        .iter()
        .map(|root| root.path().to_str().unwrap())
        .collect();
    let input = paths.join("\n");
    let Some(answers) = second_opinion(Command::new("python3").arg(RECIPE).arg("--all"), &input)
    else {
        return;
    };
    assert_eq!(answers.lines().count(), roots.len());
    for (root, answer) in roots.iter().zip(answers.lines()) {
        assert_eq!(hash(root.path()).digest.to_string(), answer);
    }
}
