//! Worker pools as queues write them (the names of the protocol buffers, in snake case) to
//! proto3 JSON, which REST takes.
//!
//! A key that is not known is refused here, with the place and the spelling of the queue; the
//! service would name its own. Empty values are left out: in proto3 they say nothing.

use serde_json::{Map, Value, json};

/// The type of a field (`google.cloud.aiplatform.v1`).
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    /// 64 bits: a text in JSON.
    Long,
    Int,
    Flag,
    Texts,
    /// Texts by name.
    Labels,
    One(&'static Message),
    Many(&'static Message),
}

#[derive(Debug)]
struct Message {
    name: &'static str,
    fields: &'static [(&'static str, Kind)],
}

use Kind::{Flag, Int, Labels, Long, Many, One, Text, Texts};

static POOL: Message = Message {
    name: "a worker pool",
    fields: &[
        ("container_spec", One(&CONTAINER)),
        ("python_package_spec", One(&PACKAGE)),
        ("machine_spec", One(&MACHINE)),
        ("replica_count", Long),
        ("nfs_mounts", Many(&NFS)),
        ("lustre_mounts", Many(&LUSTRE)),
        ("disk_spec", One(&DISK)),
    ],
};

static CONTAINER: Message = Message {
    name: "a container",
    fields: &[
        ("image_uri", Text),
        ("command", Texts),
        ("args", Texts),
        ("env", Many(&VARIABLE)),
    ],
};

static VARIABLE: Message = Message {
    name: "a variable",
    fields: &[("name", Text), ("value", Text)],
};

static PACKAGE: Message = Message {
    name: "a Python package",
    fields: &[
        ("executor_image_uri", Text),
        ("package_uris", Texts),
        ("python_module", Text),
        ("args", Texts),
        ("env", Many(&VARIABLE)),
    ],
};

static MACHINE: Message = Message {
    name: "a machine",
    fields: &[
        ("machine_type", Text),
        ("accelerator_type", Text),
        ("accelerator_count", Int),
        ("gpu_partition_size", Text),
        ("tpu_topology", Text),
        ("multihost_gpu_node_count", Int),
        ("reservation_affinity", One(&RESERVATION)),
    ],
};

static RESERVATION: Message = Message {
    name: "a reservation",
    fields: &[
        ("reservation_affinity_type", Text),
        ("key", Text),
        ("values", Texts),
        ("use_reservation_pool", Flag),
    ],
};

static NFS: Message = Message {
    name: "an NFS mount",
    fields: &[("server", Text), ("path", Text), ("mount_point", Text)],
};

static LUSTRE: Message = Message {
    name: "a Lustre mount",
    fields: &[
        ("instance_ip", Text),
        ("volume_handle", Text),
        ("filesystem", Text),
        ("mount_point", Text),
    ],
};

static DISK: Message = Message {
    name: "a disk",
    fields: &[("boot_disk_type", Text), ("boot_disk_size_gb", Int)],
};

/// A worker pool in proto3 JSON; `path` is where it stands.
pub(super) fn pool(value: &Value, path: &str) -> Result<Value, String> {
    message(&POOL, value, path)
}

/// Labels as a mapping of texts.
pub(super) fn labels(value: &Value, path: &str) -> Result<Map<String, Value>, String> {
    match field(Labels, value, path)? {
        Some(Value::Object(labels)) => Ok(labels),
        _ => Ok(Map::new()),
    }
}

/// `container_spec` as `containerSpec`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.len().min(1));
        name + &head.to_uppercase() + tail
    })
}

fn message(kind: &Message, value: &Value, path: &str) -> Result<Value, String> {
    let Value::Object(map) = value else {
        return Err(format!(
            "`{path}` is {}, so a mapping, not `{value}`",
            kind.name
        ));
    };
    let mut json = Map::new();
    for (key, value) in map.iter().filter(|(_, value)| !value.is_null()) {
        let known = kind.fields.iter().find(|(name, _)| name == key);
        let (name, field_kind) = known.ok_or_else(|| unknown(kind, key, path))?;
        if let Some(value) = field(*field_kind, value, &format!("{path}.{key}"))? {
            json.insert(camel_case(name), value);
        }
    }
    Ok(Value::Object(json))
}

fn unknown(kind: &Message, key: &str, path: &str) -> String {
    let names: Vec<&str> = kind.fields.iter().map(|(name, _)| *name).collect();
    format!(
        "`{path}.{key}`: {} has no such field; it has {}",
        kind.name,
        names.join(", ")
    )
}

/// A field's value, unless it is the empty one.
fn field(kind: Kind, value: &Value, path: &str) -> Result<Option<Value>, String> {
    let wrong = |wanted: &str| Err(format!("`{path}` is {wanted}, not `{value}`"));
    let value = match kind {
        Text => match value.as_str() {
            Some(text) => json!(text),
            None => return wrong("a text"),
        },
        Int | Long => match value.as_i64() {
            Some(0) => return Ok(None),
            Some(number) if matches!(kind, Long) => json!(number.to_string()),
            Some(number) => json!(number),
            None => return wrong("a whole number"),
        },
        Flag => match value.as_bool() {
            Some(true) => json!(true),
            Some(false) => return Ok(None),
            None => return wrong("true or false"),
        },
        Texts
            if value
                .as_array()
                .is_some_and(|list| list.iter().all(Value::is_string)) =>
        {
            value.clone()
        }
        Texts => return wrong("a list of texts"),
        Labels
            if value
                .as_object()
                .is_some_and(|map| map.values().all(Value::is_string)) =>
        {
            return Ok(Some(value.clone()));
        }
        Labels => return wrong("a mapping of texts"),
        One(kind) => message(kind, value, path)?,
        Many(kind) => match value.as_array() {
            Some(items) => {
                let item = |(index, item)| message(kind, item, &format!("{path}[{index}]"));
                Value::Array(
                    items
                        .iter()
                        .enumerate()
                        .map(item)
                        .collect::<Result<_, _>>()?,
                )
            }
            None => return wrong("a list"),
        },
    };
    let empty =
        value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(Vec::is_empty);
    Ok((!empty).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_become_proto_json() {
        let given = json!({
            "machine_spec": {"machine_type": "g2", "accelerator_type": "NVIDIA_L4", "accelerator_count": 2},
            "replica_count": 3, "disk_spec": {"boot_disk_size_gb": 100},
            "container_spec": {"image_uri": "i", "command": [], "env": [{"name": "A", "value": ""}]},
        });
        let wanted = json!({
            "machineSpec": {"machineType": "g2", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 2},
            "replicaCount": "3", "diskSpec": {"bootDiskSizeGb": 100},
            "containerSpec": {"imageUri": "i", "env": [{"name": "A"}]},
        });
        assert_eq!(pool(&given, "p"), Ok(wanted));
    }

    #[test]
    fn what_is_not_known_says_where_it_stands() {
        for (given, word) in [
            (
                json!({"bogus": 1}),
                "`p.bogus`: a worker pool has no such field",
            ),
            (json!({"machineSpec": {}}), "it has container_spec"),
            (
                json!({"replica_count": "1"}),
                "`p.replica_count` is a whole number",
            ),
            (
                json!({"container_spec": {"command": "x"}}),
                "a list of texts",
            ),
            (
                json!({"container_spec": {"env": [{"key": 1}]}}),
                "`p.container_spec.env[0].key`",
            ),
            (json!([]), "`p` is a worker pool, so a mapping"),
        ] {
            let why = pool(&given, "p").unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }
}
