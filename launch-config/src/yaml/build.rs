//! From the tree to a JSON value and its places: keys, merges, tags.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde_json::{Map, Value};

use super::compose::{Content, Item};
use super::scalar::{self, Tag};
use super::spans::Below;
use super::{Document, Spans, hinted, problem};
use crate::load::Problem;

/// The value of a tree, which [`super::compose`] keeps small enough to expand.
pub(super) fn document(root: &Item) -> Result<Document, Problem> {
    let (value, spans) = build(root)?;
    Ok(Document { value, spans })
}

fn build(item: &Item) -> Result<(Value, Spans), Problem> {
    let (value, below) = match &item.node.content {
        Content::Scalar { text, plain } => (scalar(item, text, *plain)?, Below::Nothing),
        Content::List(items) => {
            expect_tag(item, Tag::Seq, "a list")?;
            let at =
                |(index, item)| build(item).map_err(|problem| problem.below(&format!("[{index}]")));
            let built = items.iter().enumerate().map(at);
            let built = built.collect::<Result<Vec<_>, _>>()?;
            let (values, spans) = built.into_iter().unzip();
            (Value::Array(values), Below::List(spans))
        }
        Content::Mapping(entries) => {
            expect_tag(item, Tag::Map, "a mapping")?;
            let Merged { map, spans } = mapping(entries)?;
            (Value::Object(map), Below::Mapping(spans))
        }
    };
    let value_place = Some(item.place);
    let spans = Spans {
        key: None,
        value: value_place,
        below,
    };
    Ok((value, spans))
}

fn scalar(item: &Item, text: &str, plain: bool) -> Result<Value, Problem> {
    let read = match item.node.tag {
        None if plain => scalar::plain(text),
        None => Ok(Value::from(text)),
        Some(tag) => scalar::tagged(tag, text).unwrap_or_else(|| Err(scalar::no_collection(tag))),
    };
    read.map_err(|why| hinted(problem(Some(item.place), why.message), why.hint))
}

fn expect_tag(item: &Item, expected: Tag, found: &str) -> Result<(), Problem> {
    if item.node.tag.is_none_or(|tag| tag == expected) {
        return Ok(());
    }
    let message = format!("the tag does not fit {found}");
    Err(problem(Some(item.place), message))
}

/// A mapping with its places.
#[derive(Default)]
struct Merged {
    map: Map<String, Value>,
    spans: BTreeMap<String, Spans>,
}

/// Merged keys come first and give way to the mapping's own, as in `PyYAML`.
fn mapping(entries: &[(Item, Item)]) -> Result<Merged, Problem> {
    let mut seen = BTreeMap::new();
    let mut merged = Merged::default();
    let mut own = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = key_name(key)?;
        match seen.entry(name) {
            Entry::Vacant(free) => free.insert(key.place),
            Entry::Occupied(first) => return Err(duplicate(key, name, first.get().line)),
        };
        if is_merge(key) {
            merge(value, &mut merged)?;
        } else {
            own.push((key, name, value));
        }
    }
    for (key, name, value) in own {
        let (value, mut spans) = build(value).map_err(|problem| problem.below(name))?;
        spans.key = Some(key.place);
        merged.map.insert(name.to_owned(), value);
        merged.spans.insert(name.to_owned(), spans);
    }
    Ok(merged)
}

fn is_merge(key: &Item) -> bool {
    let node = &key.node;
    node.tag.is_none()
        && matches!(&node.content, Content::Scalar { text, plain: true } if text == "<<")
}

fn merge(value: &Item, into: &mut Merged) -> Result<(), Problem> {
    match &value.node.content {
        Content::Mapping(entries) => into.add(mapping(entries)?),
        Content::List(items) => {
            // The first of a list wins, so it is merged last.
            for item in items.iter().rev() {
                let Content::Mapping(entries) = &item.node.content else {
                    return Err(not_mergeable(item));
                };
                into.add(mapping(entries)?);
            }
        }
        Content::Scalar { .. } => return Err(not_mergeable(value)),
    }
    Ok(())
}

impl Merged {
    fn add(&mut self, other: Self) {
        self.map.extend(other.map);
        self.spans.extend(other.spans);
    }
}

fn not_mergeable(item: &Item) -> Problem {
    let message = "`<<` merges a mapping or a list of mappings, and this is neither";
    problem(Some(item.place), message)
}

/// A key as text; other keys, such as `1`, `on` and `null`, JSON cannot say.
fn key_name(key: &Item) -> Result<&str, Problem> {
    let Content::Scalar { text, plain } = &key.node.content else {
        let message = "a key is a text, and this is a list or a mapping";
        return Err(problem(Some(key.place), message));
    };
    let value = scalar(key, text, *plain)?;
    if value.is_string() {
        return Ok(text);
    }
    let found = crate::fields::kind(&value);
    let shown: String = text.chars().take(40).collect();
    let message = format!("a key is a text, and `{shown}` is {found} in YAML");
    let hint = format!("put the key in quotes: \"{shown}\"");
    Err(hinted(problem(Some(key.place), message), hint).below(&shown))
}

fn duplicate(key: &Item, name: &str, first: usize) -> Problem {
    let line = key.place.line;
    let shown: String = name.chars().take(80).collect();
    let message = format!("the key `{shown}` of line {first} is set again on line {line}");
    let hint = if is_merge(key) {
        "merge a list: `<<: [*first, *second]`"
    } else {
        "keep one of the two"
    };
    hinted(problem(Some(key.place), message), hint).below(&shown)
}
