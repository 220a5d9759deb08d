//! What a spec must be for a queue to keep it.

use serde_json::Value;

/// How deep a spec may be nested: what every JSON reader of this workspace reads back.
///
/// A value that was parsed from text is never deeper. One that was built by a program can
/// be, and once it is stored, nobody could read it: the job would block its queue.
pub const MAX_SPEC_DEPTH: usize = 127;

/// Whether arrays and objects are nested deeper than [`MAX_SPEC_DEPTH`] in `spec`.
///
/// Works level by level: the depth of the call stack does not follow that of the value.
pub(crate) fn is_too_deep(spec: &Value) -> bool {
    let mut level: Vec<&Value> = Some(spec)
        .into_iter()
        .filter(|value| is_nest(value))
        .collect();
    for _ in 0..MAX_SPEC_DEPTH {
        level = level.into_iter().flat_map(nests_in).collect();
        if level.is_empty() {
            return false;
        }
    }
    true
}

fn is_nest(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

fn nests_in(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().filter(|value| is_nest(value)).collect(),
        Value::Object(fields) => fields.values().filter(|value| is_nest(value)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize, heart: Value) -> Value {
        (0..depth).fold(heart, |inner, _| Value::Array(vec![inner]))
    }

    #[test]
    fn the_limit_is_what_can_be_read_back() {
        for depth in 120..135 {
            for heart in [Value::Null, Value::Array(Vec::new())] {
                let spec = nested(depth, heart);
                let is_readable = serde_json::from_str::<Value>(&spec.to_string()).is_ok();
                assert_eq!(is_too_deep(&spec), !is_readable, "depth {depth}");
            }
        }
    }
}
