//! A command line of `docker run`, read to the container that would result: how Docker's
//! client (`docker container run`, its `opts` package) and the engine read each option,
//! written a second time and apart from the runner it judges.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The container that `argv` makes, or why Docker makes none.
pub(super) fn container(argv: &[&str]) -> Result<Value, String> {
    let rest = argv
        .strip_prefix(&["docker", "run", "--rm"])
        .ok_or("not `docker run --rm`")?;
    let mut facts = Facts::default();
    let mut words = rest.iter();
    let image = loop {
        let word = words.next().ok_or("no image")?;
        let Some(name) = option(word)? else {
            break *word;
        };
        let value = words.next().ok_or("an option without its value")?;
        facts.set(name, value)?;
    };
    let words: Vec<&str> = words.copied().collect();
    Ok(facts.with(image, &words))
}

/// The long name of an option; `None` for a word that is none.
fn option(word: &str) -> Result<Option<&str>, String> {
    let unknown = || format!("unknown flag: {word}");
    if let Some(name) = word.strip_prefix("--") {
        let known = LONG.contains(&name);
        return if known {
            Ok(Some(name))
        } else {
            Err(unknown())
        };
    }
    match word.strip_prefix('-') {
        None | Some("") => Ok(None),
        Some("e") => Ok(Some("env")),
        Some("m") => Ok(Some("memory")),
        Some("w") => Ok(Some("workdir")),
        Some(_) => Err(unknown()),
    }
}

const LONG: [&str; 22] = [
    "add-host",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "entrypoint",
    "env",
    "gpus",
    "memory",
    "memory-reservation",
    "memory-swap",
    "name",
    "net",
    "network",
    "pids-limit",
    "platform",
    "shm-size",
    "ulimit",
    "volume",
    "workdir",
];

#[derive(Debug, Default)]
struct Facts {
    env: BTreeMap<String, String>,
    entry: Option<String>,
    options: Map<String, Value>,
}

impl Facts {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "env" => {
                let pair = value.split_once('=').filter(|(name, _)| !name.is_empty());
                let (name, value) = pair.ok_or("a variable of the client's environment")?;
                self.env.insert(name.to_owned(), value.to_owned());
            }
            "entrypoint" => self.entry = Some(value.to_owned()).filter(|word| !word.is_empty()),
            "add-host" | "volume" => self.add(name, json!(value)),
            "ulimit" => self.add(name, ulimit(value)?),
            "gpus" => self.add(name, gpus(value)?),
            "net" => self.put("network", json!(value)),
            "memory-swap" if value == "-1" => self.put(name, json!(-1)),
            "memory" | "memory-reservation" | "memory-swap" | "shm-size" => {
                self.put(name, json!(size(value)?));
            }
            "cpus" => self.put(name, json!(nano_cpus(value)?)),
            "cpu-period" | "cpu-quota" | "cpu-shares" | "pids-limit" => {
                let number: i64 = value.parse().map_err(|_| format!("no integer: {value}"))?;
                self.put(name, json!(number));
            }
            "name" => {
                if !value.is_empty() && !is_name(value) {
                    return Err(format!("invalid container name: {value}"));
                }
                self.put(name, json!(value));
            }
            _ => self.put(name, json!(value)),
        }
        Ok(())
    }

    fn put(&mut self, name: &str, value: Value) {
        if value != "" {
            self.options.insert(name.to_owned(), value);
        }
    }

    fn add(&mut self, name: &str, value: Value) {
        let list = self.options.entry(name).or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(value);
        }
    }

    fn with(self, image: &str, words: &[&str]) -> Value {
        let runs = match &self.entry {
            None => json!({"arguments": words}),
            Some(entry) => {
                let argv: Vec<&str> = [entry.as_str()]
                    .into_iter()
                    .chain(words.iter().copied())
                    .collect();
                json!({ "program": argv })
            }
        };
        json!({"image": image, "runs": runs, "env": self.env, "options": self.options})
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    first && text.len() > 1 && bytes.all(rest)
}

/// A number, a unit of one letter, and `b` or `ib` (go-units, `RAMInBytes`).
fn size(text: &str) -> Result<i64, String> {
    let wrong = || format!("invalid size: {text}");
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ');
    let (number, unit) = text.split_at(end.map_or(0, |end| end + 1));
    let number: f64 = number.trim_end_matches(' ').parse().map_err(|_| wrong())?;
    let unit = unit.to_lowercase();
    let power = match unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(&unit)
    {
        "" if unit == "ib" => return Err(wrong()),
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(wrong()),
    };
    if number < 0.0 {
        return Err(wrong());
    }
    #[expect(clippy::cast_possible_truncation, reason = "as go-units does it")]
    Ok((number * 1024_f64.powi(power)) as i64)
}

/// A rational number whose billionths are whole (`opts.ParseCPUs`).
fn nano_cpus(text: &str) -> Result<i64, String> {
    let number: f64 = match text.split_once('/') {
        Some((over, under)) => {
            let part = |text: &str| {
                text.parse::<f64>()
                    .map_err(|_| format!("no number: {text}"))
            };
            part(over)? / part(under)?
        }
        None => text.parse().map_err(|_| format!("no number: {text}"))?,
    };
    let nano = number * 1e9;
    if !nano.is_finite() || nano < 0.0 || (nano - nano.round()).abs() > 1e-3 {
        return Err(format!("value is too precise: {text}"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "it was rounded")]
    Ok(nano.round() as i64)
}

fn ulimit(text: &str) -> Result<Value, String> {
    let wrong = || format!("invalid ulimit argument: {text}");
    let (name, limits) = text.split_once('=').ok_or_else(wrong)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
    let (soft, hard) = (number(soft)?, number(hard)?);
    let known = "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime \
                 sigpending stack";
    let fits = hard == -1 || (soft != -1 && soft <= hard);
    if !fits || !known.split_whitespace().any(|known| known == name) {
        return Err(wrong());
    }
    Ok(json!({"name": name, "soft": soft, "hard": hard}))
}

/// A line of comma-separated values with keys (`opts.GpuOpts`).
fn gpus(text: &str) -> Result<Value, String> {
    let mut request =
        json!({"count": null, "devices": null, "driver": null, "capabilities": ["gpu"]});
    for field in fields(text)? {
        match field.split_once('=') {
            None => request["count"] = json!(count(&field)?),
            Some(("count", value)) => request["count"] = json!(count(value)?),
            Some(("device", value)) => request["devices"] = value.split(',').collect(),
            Some(("driver", value)) => request["driver"] = json!(value),
            Some(("capabilities", value)) => {
                let mut all: Vec<&str> = value.split(',').chain(["gpu"]).collect();
                all.sort_unstable();
                request["capabilities"] = json!(all);
            }
            Some((key, _)) => return Err(format!("unexpected key `{key}`")),
        }
    }
    match (request["count"].is_null(), request["devices"].is_null()) {
        (false, false) => Err("cannot set both Count and DeviceIDs".to_owned()),
        (true, true) => {
            request["count"] = json!(1);
            Ok(request)
        }
        _ => Ok(request),
    }
}

fn count(text: &str) -> Result<i64, String> {
    match text {
        "all" => Ok(-1),
        number => number
            .parse()
            .map_err(|_| format!("count must be an integer: {number}")),
    }
}

/// One record of CSV (RFC 4180).
fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (field, after) = quoted.split_once('"').ok_or("an open quote")?;
                (field, after)
            }
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        if field.contains('"') || (rest.is_empty() && fields.is_empty()) {
            return Err(format!("no comma-separated values: {text}"));
        }
        fields.push(field.to_owned());
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("text after a quote".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_the_container_it_makes() {
        let argv = [
            "docker",
            "run",
            "--rm",
            "-e",
            "A=1",
            "-m",
            "1.5g",
            "--gpus",
            "\"device=0,1\"",
            "--env",
            "A=2",
            "--entrypoint",
            "sh",
            "img",
            "-c",
            "x",
        ];
        let wanted = json!({
            "image": "img", "runs": {"program": ["sh", "-c", "x"]}, "env": {"A": "2"},
            "options": {"memory": 1_610_612_736, "gpus": [{
                "count": null, "devices": ["0", "1"], "driver": null, "capabilities": ["gpu"],
            }]},
        });
        assert_eq!(container(&argv), Ok(wanted));
    }

    #[test]
    fn what_docker_refuses_makes_none() {
        for (name, value) in [
            ("--shm_size", "1g"),
            ("----memory", "1g"),
            ("---e", "A=1"),
            ("-M", "1g"),
            ("--cpu", "1"),
            ("--name", "a b"),
            ("--name", "-v"),
            ("--cpu-shares", "1e+16"),
            ("--memory", "x"),
            ("--gpus", "device=0,1"),
            ("--gpus", "x"),
            ("--ulimit", "no=1"),
            ("--cpus", "two"),
            ("--env", "B"),
            ("--gpus", ""),
        ] {
            let argv = ["docker", "run", "--rm", name, value, "img"];
            assert!(container(&argv).is_err(), "{name} {value}");
        }
    }
}
