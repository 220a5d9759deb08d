//! Values, places and the way back.

mod pyyaml;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Place, parse, to_yaml};

fn value(text: &str) -> Value {
    parse(text).unwrap().value
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "compared with what a look-up returns"
)]
fn at(line: usize, column: usize) -> Option<Place> {
    Some(Place { line, column })
}

#[test]
fn merges_give_way_to_the_mapping_and_the_first_of_a_list_wins() {
    let text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  x: 3\n  <<: [*a, *b]\nd: {<<: *a}\n";
    let found = value(text);
    assert_eq!(found["c"], json!({"x": 3, "y": 1, "z": 2}));
    assert_eq!(found["d"], json!({"x": 1, "y": 1}));
    // A merge within a merge, and `<<` in quotes, which is a key like any other.
    let text = "a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b}\nd: {'<<': 1}\n";
    assert_eq!(value(text)["c"], json!({"x": 1, "y": 2}));
    assert_eq!(value(text)["d"], json!({"<<": 1}));
}

#[test]
fn merged_keys_come_in_the_order_of_pyyaml() {
    let found = value("a: &a {x: 1, y: 1}\nb: &b {z: 2, y: 2}\nc: {q: 0, <<: [*a, *b], x: 9}\n");
    let keys: Vec<&String> = found["c"].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["z", "y", "x", "q"]);
}

#[test]
fn every_key_and_value_has_its_place() {
    let text = "queues:\n  - a\n  - b: 1\n\"x.y\": {deep: 'é', z: 2}\nf:\ng: &g\n  h: 1\ni: *g\n";
    let spans = parse(text).unwrap().spans;
    assert_eq!(spans.key("queues"), at(1, 1));
    assert_eq!(spans.value("queues"), at(2, 3));
    assert_eq!(spans.value("queues[1].b"), at(3, 8));
    assert_eq!(spans.key("queues[1].b"), at(3, 5));
    assert_eq!(spans.key("queues[1]"), None);
    assert_eq!(spans.key("x.y.deep"), at(4, 9));
    // Columns are characters, not bytes.
    assert_eq!(spans.key("x.y.z"), at(4, 20));
    assert_eq!(spans.key("f"), at(5, 1));
    assert_eq!(spans.value("i"), at(8, 4));
    assert_eq!(spans.key("i.h"), at(7, 3));
    assert_eq!(spans.value("i.nothing"), None);
    assert_eq!(spans.above("i.nothing[3].x"), at(8, 1));
    assert_eq!(spans.above("nothing"), None);
}

#[test]
fn an_empty_text_is_null() {
    for text in [
        "",
        "\n",
        "# only a comment\n",
        "---\n",
        "\u{feff}",
        "--- # nothing\n...\n",
    ] {
        assert_eq!(value(text), Value::Null, "{text:?}");
    }
    assert_eq!(value("\u{feff}a: 1"), json!({"a": 1}));
    assert_eq!(value("a: 1\r\nb: 2\r\n"), json!({"a": 1, "b": 2}));
}

#[test]
fn what_is_written_is_quoted_where_a_reader_could_err() {
    let found = to_yaml(&json!({
        "plain": "python:3.11-slim",
        "texts": ["yes", "0777", "1_000", "12:30", "1e3", "0o17", "2001-12-14", "~", "", "No", "y"],
        "on": true,
        "rate": 1e-7,
        "empty": {"list": [], "map": {}, "null": null},
        "nested": [[1, 2], {"a": 1, "b": "x: y"}],
        "script": "set -e\n\n  echo hi\n",
    }));
    insta::assert_snapshot!(found);
}

/// Texts of which many would be something else without quotes.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+.0-9:_eEx~<=]{0,6}",
        "(yes|No|ON|null|~|- a|a: b|a #b|<<|'a|\"a|\\[|\\{|\\*a|&a|!a|%a|@a|`a|\\| |> )",
        "[ -~\\n\\t]{0,20}",
        any::<String>(),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let map = prop::collection::vec((text(), inner.clone()), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
            map.prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back(tree in tree()) {
        let text = to_yaml(&tree);
        let found = parse(&text).map_err(|problem| TestCaseError::fail(format!("{problem:?}\n{text}")))?;
        prop_assert_eq!(found.value, tree, "{}", text);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn no_text_of_yaml_s_own_characters_panics(text in "[-?:,\\[\\]{}#&*!|>'\"%@` a1~<\\n\\t]{0,60}") {
        if let Err(problem) = parse(&text) {
            prop_assert!(!problem.message.is_empty());
        }
    }

    #[test]
    fn every_value_has_a_place(tree in tree()) {
        let document = parse(&to_yaml(&tree));
        if let Ok(document) = document && let Value::Object(map) = &document.value {
            for key in map.keys().filter(|key| !key.is_empty()) {
                prop_assert!(document.spans.value(key).is_some(), "{}", key);
            }
        }
    }
}
