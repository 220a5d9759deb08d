//! Reading and filling a fragment of a Job: what `kaniko-config` may leave out, and what it
//! may not get wrong.

use serde_json::{Map, Value, json};

use super::settings::settings as wrong;
use crate::error::Error;

/// The one container of the fragment, or a new one.
pub(super) fn container(pod: &mut Map<String, Value>) -> Result<&mut Map<String, Value>, Error> {
    let containers = list(pod, "containers")?;
    if containers.is_empty() {
        containers.push(json!({}));
    }
    match containers.as_mut_slice() {
        [Value::Object(container)] => Ok(container),
        [_] => Err(wrong("the container of `kaniko-config` is not a mapping")),
        more => {
            let count = more.len();
            Err(wrong(format!(
                "`kaniko-config` has {count} containers, and a build is one"
            )))
        }
    }
}

/// The arguments of the fragment's container.
pub(super) fn words(container: &Map<String, Value>) -> Result<Vec<String>, Error> {
    let word = |value: &Value| value.as_str().map(str::to_owned);
    let not_words = || wrong("the `args` of `kaniko-config` are not a list of texts");
    match container.get("args") {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => {
            let words: Option<Vec<_>> = items.iter().map(word).collect();
            words.ok_or_else(not_words)
        }
        Some(_) => Err(not_words()),
    }
}

/// The mapping under a key, made if it is not there.
pub(super) fn object<'a>(
    map: &'a mut Map<String, Value>,
    key: &str,
) -> Result<&'a mut Map<String, Value>, Error> {
    default(map, key, json!({}));
    let value = map.get_mut(key).and_then(Value::as_object_mut);
    value.ok_or_else(|| wrong(format!("`{key}` in `kaniko-config` is not a mapping")))
}

/// The list under a key, made if it is not there.
fn list<'a>(map: &'a mut Map<String, Value>, key: &str) -> Result<&'a mut Vec<Value>, Error> {
    default(map, key, json!([]));
    let value = map.get_mut(key).and_then(Value::as_array_mut);
    value.ok_or_else(|| wrong(format!("`{key}` in `kaniko-config` is not a list")))
}

pub(super) fn append(
    map: &mut Map<String, Value>,
    key: &str,
    more: Vec<Value>,
) -> Result<(), Error> {
    list(map, key)?.extend(more);
    Ok(())
}

/// Sets what is not there.
pub(super) fn default(map: &mut Map<String, Value>, key: &str, value: Value) {
    if map.get(key).is_none_or(Value::is_null) {
        map.insert(key.to_owned(), value);
    }
}
