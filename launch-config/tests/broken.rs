//! Broken files as people write them, and what they are told: the whole report, with
//! file, line, column, the quoted line, the caret and the hint.

use launch_config::load::{agent_text, mapping_text, spec_text};

/// The reports of several texts, one below the other.
fn told(texts: &[&str], read: impl Fn(&str) -> Option<String>) -> String {
    let tell = |text: &&str| {
        let report = read(text).unwrap_or_else(|| panic!("{text:?} must be refused"));
        format!("{report}\n")
    };
    texts.iter().map(tell).collect::<Vec<_>>().join("\n")
}

fn yaml(text: &str) -> Option<String> {
    mapping_text("launch.yaml", text)
        .err()
        .map(|report| report.to_string())
}

#[test]
fn syntax() {
    insta::assert_snapshot!(told(
        &[
            "a: b: c\n",
            "a:\n  b: 1\n c: 2\n",
            "a: [1, 2\nb: 3\n",
            "a: \"open\nb: 3\n",
            "a: 1\nb\nc: 2\n",
            "a: @home\n",
            "a: 'it's'\n",
            "a: {b: 1\n",
            "a:\n\tb: 1\n",
        ],
        yaml
    ));
}

#[test]
fn meaning() {
    insta::assert_snapshot!(told(
        &[
            "a: 1\nb: 2\na: 3\n",
            "on:\n  push: 1\n",
            "a: !!python/name:os.system x\n",
            "a: .inf\n",
            "a: 18446744073709551616\n",
            "a: *missing\n",
            "a: &a [*a]\n",
            "<<: text\na: 1\n",
            "a: 1\n---\nb: 2\n",
            "a: x\0y\n",
            "- a\n- b\n",
        ],
        yaml
    ));
}

/// Unknown keys are shown at the key, wrong values at the value, through quotes, flow
/// style, merges and comments alike.
#[test]
fn places_in_an_agent_file() {
    let text = "\
# typ: in a comment is no key
base: &base
  typ: docker
queues: default
max_jobs:    many
builder: {type: docker, 'destinatio': \"x\"}
";
    let report = agent_text("launch-config.yaml", text).expect_err("the file is broken");
    insta::assert_snapshot!(report);
}

#[test]
fn places_in_a_spec() {
    let text = "{\n\t\"uri\": \"https://github.com/a/b\",\n\t\"resource\": 5,\n\t\"resource_args\": []\n}\n";
    let report = spec_text("spec.json", text).expect_err("the spec is broken");
    let syntax = "{\"uri\": \"a\",\n \"resource\": [}\n";
    let syntax = spec_text("spec.json", syntax).expect_err("the spec is no JSON");
    insta::assert_snapshot!(format!("{report}\n\n{syntax}"));
}
