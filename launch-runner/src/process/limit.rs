//! `resource_args.local-process`: `ulimit`, spelled as for `docker run`.

use serde_json::Value;

/// Limits by name: the flag of `ulimit` in every shell, and how many bytes (or pieces) one
/// unit of it is.
const KNOWN: [(&str, &str, u64); 7] = [
    ("as", "v", 1024),
    ("core", "c", 512),
    ("cpu", "t", 1),
    ("data", "d", 1024),
    ("fsize", "f", 512),
    ("nofile", "n", 1),
    ("stack", "s", 1024),
];

/// The shell commands that set the limits; empty if there are none. Bytes that are no whole
/// number of units are rounded down.
pub(super) fn script(args: &Value) -> Result<String, String> {
    let map = match args {
        Value::Null => return Ok(String::new()),
        Value::Object(map) => map,
        other => return Err(format!("resource arguments are a map, not `{other}`")),
    };
    let mut commands = Vec::new();
    for (key, value) in map {
        if key != "ulimit" {
            return Err(format!(
                "resource argument `{key}`: a local process has no such; it takes `ulimit`"
            ));
        }
        let limits = match value {
            Value::Array(limits) => limits.iter().collect(),
            one => vec![one],
        };
        for limit in limits {
            let text = limit.as_str().unwrap_or_default();
            commands.push(command(text).ok_or_else(|| wrong(limit))?);
        }
    }
    Ok(commands.join(" && "))
}

/// `name=number`; soft and hard limit are the same.
fn command(text: &str) -> Option<String> {
    let (name, number) = text.trim().split_once('=')?;
    let (_, flag, unit) = KNOWN.iter().find(|(known, ..)| *known == name)?;
    if number == "-1" {
        return Some(format!("ulimit -{flag} unlimited"));
    }
    let number: u64 = number.parse().ok()?;
    Some(format!("ulimit -{flag} {}", number / unit))
}

fn wrong(limit: &Value) -> String {
    let names: Vec<&str> = KNOWN.iter().map(|(name, ..)| *name).collect();
    format!(
        "resource argument `ulimit`: `{limit}` is no limit such as \"nofile=1024\"; there are {}",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_become_commands_of_every_shell() {
        let args = json!({"ulimit": ["nofile=64", "fsize=1048576", "core=0", "cpu=-1"]});
        let wanted = "ulimit -n 64 && ulimit -f 2048 && ulimit -c 0 && ulimit -t unlimited";
        assert_eq!(script(&args).unwrap(), wanted);
        assert_eq!(script(&json!({"ulimit": "cpu=5"})).unwrap(), "ulimit -t 5");
        assert_eq!(script(&json!({})).unwrap(), "");
    }

    #[test]
    fn nothing_but_numbers_reaches_the_shell() {
        for bad in [
            json!({"ulimit": "nofile=1; rm -rf /"}),
            json!({"ulimit": ["nofile"]}),
            json!({"ulimit": [7]}),
            json!({"ulimit": "locks=1"}),
            json!({"memory": "1g"}),
            json!([1]),
        ] {
            assert!(script(&bad).is_err(), "{bad}");
        }
    }
}
