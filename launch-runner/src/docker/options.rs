//! `resource_args.local-container`: options of `docker run`, as far as a queue may set them.
//!
//! The list is that of the agent these queues were written for (0.28.1 and later). A name
//! may be spelled as there: with leading dashes, `_` for `-`, any case. Values mean what
//! they mean to `docker run`; a list is taken for `env` and `ulimit` only.
//!
//! `volume` (here with lists, too) and `network` reach out of the container. The policy of
//! the agent refuses them unless its administrator opened them; see `launch_config::policy`.

use std::collections::BTreeMap;

use bollard::models::HostConfig;
use launch_config::secret::Secret;
use serde_json::Value;

use super::value;

/// The options a queue may set, by their long names.
const ALLOWED: [&str; 16] = [
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "env",
    "gpus",
    "memory",
    "memory-reservation",
    "memory-swap",
    "pids-limit",
    "platform",
    "shm-size",
    "ulimit",
    "workdir",
];

/// What the options of a queue ask of the engine.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ContainerOptions {
    /// Limits and devices.
    pub(super) host: HostConfig,
    /// Variables; they win over those of the run.
    pub(super) env: BTreeMap<String, Secret>,
    /// `linux/amd64` and the like.
    pub(super) platform: Option<String>,
    /// The working directory.
    pub(super) workdir: Option<String>,
}

impl ContainerOptions {
    /// Reads the options; the error says which is wrong and what would be taken.
    pub(super) fn of(args: &Value) -> Result<Self, String> {
        let mut options = Self::default();
        let map = match args {
            Value::Null => return Ok(options),
            Value::Object(map) => map,
            other => return Err(format!("resource arguments are a map, not `{other}`")),
        };
        for (raw, value) in map {
            options
                .set(raw, value)
                .map_err(|why| format!("resource argument `{raw}`: {why}"))?;
        }
        Ok(options)
    }

    fn set(&mut self, raw: &str, value: &Value) -> Result<(), String> {
        let name = normalised(raw);
        if let "e" | "env" = name.as_str() {
            return scalars(value)?
                .iter()
                .try_for_each(|text| self.set_variable(text));
        }
        if name == "ulimit" {
            for text in scalars(value)? {
                self.host
                    .ulimits
                    .get_or_insert_default()
                    .push(value::ulimit(&text)?);
            }
            return Ok(());
        }
        if let "v" | "volume" = name.as_str() {
            return scalars(value)?
                .into_iter()
                .try_for_each(|text| self.bind(text));
        }
        let text = scalar(value)?;
        match name.as_str() {
            "net" | "network" => self.host.network_mode = Some(text),
            "platform" => self.platform = Some(text),
            "w" | "workdir" => self.workdir = Some(text),
            "gpus" => self.host.device_requests = Some(vec![value::gpus(&text)?]),
            _ => return self.set_limit(&name, &text),
        }
        Ok(())
    }

    fn set_limit(&mut self, name: &str, text: &str) -> Result<(), String> {
        let host = &mut self.host;
        match name {
            "cpus" => host.nano_cpus = Some(value::nano_cpus(text)?),
            "cpu-shares" => host.cpu_shares = Some(value::integer(text)?),
            "cpu-period" => host.cpu_period = Some(value::integer(text)?),
            "cpu-quota" => host.cpu_quota = Some(value::integer(text)?),
            "cpuset-cpus" => host.cpuset_cpus = Some(text.to_owned()),
            "cpuset-mems" => host.cpuset_mems = Some(text.to_owned()),
            "m" | "memory" => host.memory = Some(value::bytes(text)?),
            "memory-reservation" => host.memory_reservation = Some(value::bytes(text)?),
            "memory-swap" if text == "-1" => host.memory_swap = Some(-1),
            "memory-swap" => host.memory_swap = Some(value::bytes(text)?),
            "shm-size" => host.shm_size = Some(value::bytes(text)?),
            "pids-limit" => host.pids_limit = Some(value::integer(text)?),
            "name" => return Err("containers are named after their run".to_owned()),
            other => return Err(not_allowed(other)),
        }
        Ok(())
    }

    /// A mount as `SOURCE:TARGET[:OPTIONS]`. The engine would take a target alone for a new
    /// volume that nothing removes.
    fn bind(&mut self, text: String) -> Result<(), String> {
        let target = text.split(':').nth(1);
        if !target.is_some_and(|target| target.starts_with('/')) {
            return Err(format!("`{text}` is not written SOURCE:/TARGET"));
        }
        self.host.binds.get_or_insert_default().push(text);
        Ok(())
    }

    fn set_variable(&mut self, text: &str) -> Result<(), String> {
        // Neither message shows the text: what is not a name may be a secret.
        let Some((name, value)) = text.split_once('=') else {
            return Err(
                "a variable is written NAME=VALUE; the agent's own environment is not \
                        given to jobs"
                    .to_owned(),
            );
        };
        if name.is_empty() {
            return Err("a variable has no name".to_owned());
        }
        self.env.insert(name.to_owned(), Secret::new(value));
        Ok(())
    }
}

fn normalised(raw: &str) -> String {
    raw.trim()
        .trim_start_matches('-')
        .replace('_', "-")
        .to_lowercase()
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Array(_) => Err("only `env` and `ulimit` take a list".to_owned()),
        _ => Err("its value is a string or a number".to_owned()),
    }
}

/// One value or a list of them; of variables, blanks are part of the value.
fn scalars(value: &Value) -> Result<Vec<String>, String> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err("its values are strings or numbers".to_owned()),
    };
    match value {
        Value::Array(list) if list.is_empty() => Err("its list is empty".to_owned()),
        Value::Array(list) => list.iter().map(one).collect(),
        value => one(value).map(|text| vec![text]),
    }
}

fn not_allowed(name: &str) -> String {
    let nearest = ALLOWED
        .iter()
        .map(|allowed| (distance(name, allowed), allowed))
        .min()
        .filter(|(distance, _)| *distance <= 2)
        .map(|(_, allowed)| format!("; did you mean `{allowed}`?"))
        .unwrap_or_default();
    format!(
        "not allowed{nearest} (allowed: {}; short: e, m, w)",
        ALLOWED.join(", ")
    )
}

/// How many characters must be inserted, removed or replaced.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn host(args: &Value) -> HostConfig {
        ContainerOptions::of(args).unwrap().host
    }

    fn why(args: &Value) -> String {
        ContainerOptions::of(args).unwrap_err()
    }

    #[test]
    fn limits_are_those_of_docker_run() {
        let args = json!({
            "cpus": "1.5", "cpu-shares": 512, "cpuset-cpus": "0-1", "memory": "512m",
            "memory-swap": -1, "shm-size": "1g", "pids-limit": 100, "memory-reservation": 1000
        });
        let wanted = HostConfig {
            nano_cpus: Some(1_500_000_000),
            cpu_shares: Some(512),
            cpuset_cpus: Some("0-1".into()),
            memory: Some(512 << 20),
            memory_swap: Some(-1),
            shm_size: Some(1 << 30),
            pids_limit: Some(100),
            memory_reservation: Some(1000),
            ..HostConfig::default()
        };
        assert_eq!(host(&args), wanted);
        assert_eq!(host(&Value::Null), HostConfig::default());
    }

    #[test]
    fn names_may_be_spelled_as_on_a_command_line() {
        let args =
            json!({"--shm_size": "64m", " M ": "1G", "W": "/srv", "Platform": "linux/arm64"});
        let options = ContainerOptions::of(&args).unwrap();
        assert_eq!(options.host.shm_size, Some(64 << 20));
        assert_eq!(options.host.memory, Some(1 << 30));
        assert_eq!(options.workdir.as_deref(), Some("/srv"));
        assert_eq!(options.platform.as_deref(), Some("linux/arm64"));
    }

    #[test]
    fn variables_and_ulimits_come_alone_or_in_lists() {
        let args =
            json!({"env": ["A=1", "B= x=y "], "e": "C=", "ulimit": ["nofile=10:20", "core=0"]});
        let options = ContainerOptions::of(&args).unwrap();
        let variable = |name: &str| options.env[name].expose().to_owned();
        assert_eq!(
            (variable("A"), variable("B"), variable("C")),
            ("1".into(), " x=y ".into(), String::new())
        );
        let limits = options.host.ulimits.unwrap();
        assert_eq!(
            (limits[0].soft, limits[0].hard, limits[1].hard),
            (Some(10), Some(20), Some(0))
        );
    }

    #[test]
    fn everything_else_is_refused_with_what_is_allowed() {
        for name in [
            "privileged",
            "mount",
            "cpu",
            "command",
            "rm",
            "builder",
            "pid",
        ] {
            let why = why(&json!({ name: "x" }));
            assert!(
                why.contains(&format!("`{name}`")) && why.contains("memory-swap"),
                "{why}"
            );
        }
        assert!(why(&json!({"cpuz": 1})).contains("did you mean `cpus`?"));
        assert!(why(&json!({"name": "x"})).contains("named after their run"));
        assert!(why(&json!({"memory": true})).contains("string or a number"));
        assert!(why(&json!({"memory": ["1g"]})).contains("take a list"));
        assert!(why(&json!({"ulimit": []})).contains("empty"));
        assert!(why(&json!([1])).contains("a map"));
    }

    #[test]
    fn what_an_administrator_can_open_is_done() {
        let args = json!({"-v": ["cache:/root/.cache", "/data:/data:ro"], "net": "team"});
        let host = host(&args);
        let binds = ["cache:/root/.cache", "/data:/data:ro"].map(str::to_owned);
        assert_eq!(host.binds, Some(binds.into()));
        assert_eq!(host.network_mode.as_deref(), Some("team"));
        for volume in ["/data", "cache", "a:b", ""] {
            let why = why(&json!({ "volume": volume }));
            assert!(why.contains("SOURCE:/TARGET"), "{why}");
        }
    }

    #[test]
    fn the_agents_variables_are_not_forwarded_nor_values_shown() {
        let message = why(&json!({"env": ["planted-secret"]}));
        assert!(
            message.contains("NAME=VALUE") && !message.contains("planted"),
            "{message}"
        );
        let options = ContainerOptions::of(&json!({"env": "KEY=planted"})).unwrap();
        assert!(!format!("{options:?}").contains("planted"));
    }
}
