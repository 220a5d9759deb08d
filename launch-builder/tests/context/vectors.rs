//! Trees described in JSON, and a second opinion of what is made of them.

#![expect(clippy::unwrap_used, reason = "what fails in a test is seen")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::skip::skip;
use super::tree::{Node, Tree};

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
    let content = match value.get("repeat") {
        Some(text) => {
            let size = usize::try_from(value["size"].as_u64().unwrap()).unwrap();
            unquote(text).into_iter().cycle().take(size).collect()
        }
        None => unquote(&value["file"]),
    };
    Node::File {
        content,
        executable: value.get("executable").is_some(),
    }
}

/// The entries of a vector.
pub(crate) fn entries(vector: &Value) -> Tree {
    let entries = vector["entries"].as_object().unwrap();
    entries
        .iter()
        .map(|(path, value)| (unquote(&path.as_str().into()), node(value)))
        .collect()
}

/// What another program says; nothing if it is not installed.
pub(crate) fn second_opinion(command: &mut Command, input: &str) -> Option<String> {
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
