//! Digests that never change, and a second implementation that finds the same ones.

#![expect(clippy::unwrap_used, reason = "what fails in a test is seen")]

#[path = "context/tree.rs"]
#[expect(dead_code, reason = "other suites use the rest")]
mod tree;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use self::tree::{Node, ODD, PLAIN, Tree, hash, write};

const RECIPE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/recipe.py");

fn vectors() -> Vec<Value> {
    let text = include_str!("golden/contexts.json");
    serde_json::from_str(text).unwrap()
}

fn unquote(text: &Value) -> Vec<u8> {
    let mut parts = text.as_str().unwrap().split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

fn node(value: &Value) -> Node {
    if value.get("directory").is_some() {
        return Node::Directory;
    }
    if let Some(target) = value.get("link") {
        return Node::Link(unquote(target));
    }
    Node::File {
        content: unquote(&value["file"]),
        executable: value.get("executable").is_some(),
    }
}

fn entries(vector: &Value) -> Tree {
    let entries = vector["entries"].as_object().unwrap();
    entries
        .iter()
        .map(|(path, value)| (unquote(&path.as_str().into()), node(value)))
        .collect()
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
}

fn second_opinion(command: &mut Command, input: &str) -> Option<String> {
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        skip("python3 is not installed");
        return None;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
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
    let input = paths.join(
        "
",
    );
    let Some(answers) = second_opinion(Command::new("python3").arg(RECIPE).arg("--all"), &input)
    else {
        return;
    };
    assert_eq!(answers.lines().count(), roots.len());
    for (root, answer) in roots.iter().zip(answers.lines()) {
        assert_eq!(hash(root.path()).digest.to_string(), answer);
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip(why: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{why}"
    );
    eprintln!("skipped: {why}");
}
