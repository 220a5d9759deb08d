//! What a request means to the engine, and what the engine says of a container.

use std::collections::{BTreeMap, HashMap};

use bollard::Docker;
use bollard::errors::Error as EngineError;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerState, ContainerStateStatusEnum,
    EndpointSettings, HostConfigLogConfig, NetworkingConfig,
};
use bollard::query_parameters::InspectContainerOptions;
use launch_config::id::RunKey;
use launch_config::secret::Secret;
use launch_config::spec::CODE_MOUNT;

use super::failure::{absent_is_none, answered};
use super::image::is_init;
use super::options::{ContainerOptions, reach_local_server};
use super::server::{Host, SERVER, is_local_server, server_as_seen};
use crate::run::{CodeMount, CodeSource, RunEnd, RunRequest, Workload, run_name};

/// The label with the job's id.
pub const JOB_LABEL: &str = "launch.job";
/// The label with the number of the attempt.
pub const ATTEMPT_LABEL: &str = "launch.attempt";
/// The label with the name of the agent.
pub const OWNER_LABEL: &str = "launch.owner";

/// The labels of everything that belongs to a run.
pub(super) fn labels_of(key: &RunKey, owner: &str) -> HashMap<String, String> {
    HashMap::from([
        (JOB_LABEL.to_owned(), key.job.to_string()),
        (ATTEMPT_LABEL.to_owned(), key.attempt.to_string()),
        (OWNER_LABEL.to_owned(), owner.to_owned()),
    ])
}

/// The run that labels name, if they name one.
pub(super) fn key_of(labels: &HashMap<String, String>) -> Option<RunKey> {
    let job = labels.get(JOB_LABEL)?.parse().ok()?;
    Some(RunKey::new(job, labels.get(ATTEMPT_LABEL)?.parse().ok()?))
}

/// A container as it is asked for.
#[derive(Debug)]
pub(super) struct Container {
    /// Its name: the run's, unless the queue gives one.
    pub(super) name: String,
    pub(super) platform: Option<String>,
    /// All of it that does not depend on its image.
    pub(super) body: ContainerCreateBody,
}

impl Container {
    /// The container for a request. Pure.
    pub(super) fn of(request: &RunRequest, host: Host) -> Result<Self, String> {
        let image = match &request.workload {
            Workload::Image { image, .. } => image,
            Workload::Tree(tree) => {
                let tree = tree.display();
                return Err(format!(
                    "`{tree}` is a directory; a container needs an image"
                ));
            }
        };
        let mut options = ContainerOptions::of(&request.resource_args)?;
        let mut env = request.env.clone();
        reach(&mut options, &mut env, host);
        mount_code(&mut options, request.code.as_ref())?;
        let ContainerOptions {
            body,
            mut host,
            endpoints,
            env: given,
            platform,
            name,
        } = options;
        // The outcome must be there after the end, also for somebody who comes later.
        host.auto_remove = Some(false);
        host.log_config = Some(log_config());
        env.extend(given);
        let body = ContainerCreateBody {
            image: Some(image.to_string()),
            entrypoint: non_empty(&request.command),
            cmd: non_empty(&request.args),
            env: Some(environment(&env)),
            labels: Some(request.labels.clone().into_iter().collect()),
            networking_config: networking(endpoints),
            host_config: Some(host),
            ..body
        };
        let name = name.unwrap_or_else(|| run_name(&request.key));
        Ok(Self {
            name,
            platform,
            body,
        })
    }

    /// Adds what depends on its image, and whose it is.
    pub(super) fn for_run(
        mut self,
        key: &RunKey,
        owner: &str,
        image_has_init: bool,
    ) -> ContainerCreateBody {
        let brings_init = match &self.body.entrypoint {
            Some(command) => is_init(command),
            None => image_has_init,
        };
        // Process 1 ignores signals it has no handler for: without an init, most programs
        // would not hear that they should end. A second init would only be in the way.
        let host = self.body.host_config.get_or_insert_default();
        host.init = host.init.or(Some(!brings_init));
        let labels = self.body.labels.get_or_insert_default();
        labels.extend(labels_of(key, owner));
        self.body
    }
}

/// A server on this machine is not the container's `localhost`: it gets the network of its
/// host, and where that is a virtual machine, the name under which it sees us.
fn reach(options: &mut ContainerOptions, env: &mut BTreeMap<String, Secret>, host: Host) {
    let Some(server) = env.get(SERVER).map(Secret::expose) else {
        return;
    };
    let is_local = is_local_server(server);
    if let Some(seen) = server_as_seen(server, host) {
        env.insert(SERVER.to_owned(), Secret::new(seen));
    }
    if is_local {
        reach_local_server(options, host == Host::Linux);
    }
}

fn mount_code(options: &mut ContainerOptions, code: Option<&CodeMount>) -> Result<(), String> {
    let Some(code) = code else { return Ok(()) };
    let CodeSource::Directory(directory) = &code.source else {
        return Err("a container gets its code from a directory of this machine".to_owned());
    };
    let source = directory.to_str().filter(|path| !path.contains(':'));
    let source = source.ok_or_else(|| {
        let path = directory.display();
        format!("`{path}` cannot be mounted: its path holds a colon, or is no text")
    })?;
    let binds = options.host.binds.get_or_insert_default();
    binds.push(format!("{source}:{CODE_MOUNT}"));
    options.body.working_dir = Some(code.working_dir.path());
    Ok(())
}

fn networking(endpoints: BTreeMap<String, EndpointSettings>) -> Option<NetworkingConfig> {
    (!endpoints.is_empty()).then(|| NetworkingConfig {
        endpoints_config: Some(endpoints.into_iter().collect()),
    })
}

/// Logs that can be read back, whatever the engine's default is. `json-file` replaces
/// bytes that are not UTF-8; `local` would keep them, but loses the newline of lines above
/// 16 KiB (Engine 20.10), which progress bars write. One file as large as it takes: what a
/// rotation drops would be missing from the run's output.
fn log_config() -> HostConfigLogConfig {
    let config = [("max-size", "1t"), ("max-file", "1")];
    HostConfigLogConfig {
        typ: Some("json-file".to_owned()),
        config: Some(
            config
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        ),
    }
}

fn non_empty(words: &[String]) -> Option<Vec<String>> {
    (!words.is_empty()).then(|| words.to_vec())
}

fn environment(variables: &BTreeMap<String, Secret>) -> Vec<String> {
    variables
        .iter()
        .map(|(name, value)| format!("{name}={}", value.expose()))
        .collect()
}

/// Where a container stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stand {
    /// Made, not started.
    Created,
    /// Alive, or nearly.
    Running {
        /// Frozen; it must be thawed before it can hear a signal.
        paused: bool,
    },
    /// Its program ended so.
    Ended(RunEnd),
}

/// Asks the engine for a container by name.
pub(super) async fn inspect(
    docker: &Docker,
    name: &str,
) -> Result<Option<ContainerInspectResponse>, EngineError> {
    absent_is_none(answered(docker.inspect_container(name, None::<InspectContainerOptions>)).await)
}

/// What the engine says of a container's state.
pub(super) fn stand(container: &ContainerInspectResponse) -> Stand {
    use ContainerStateStatusEnum as Engine;
    let state = container.state.clone().unwrap_or_default();
    match state.status {
        Some(Engine::CREATED) => Stand::Created,
        Some(Engine::EXITED | Engine::DEAD | Engine::REMOVING) => {
            Stand::Ended(end(&state, container))
        }
        Some(Engine::PAUSED) => Stand::Running { paused: true },
        _ => Stand::Running {
            paused: state.paused.unwrap_or_default(),
        },
    }
}

fn end(state: &ContainerState, container: &ContainerInspectResponse) -> RunEnd {
    let code = state
        .exit_code
        .and_then(|code| i32::try_from(code).ok())
        .unwrap_or(255);
    let mut end = RunEnd::of_exit_code(code);
    if state.oom_killed == Some(true) && code != 0 {
        let limit = container
            .host_config
            .as_ref()
            .and_then(|host| host.memory)
            .unwrap_or(0);
        let limit = if limit > 0 {
            format!(" (its limit is {} MiB)", limit >> 20)
        } else {
            String::new()
        };
        end.message = format!("the program ran out of memory{limit}; {}", end.message);
    }
    if let Some(error) = state
        .error
        .as_deref()
        .filter(|error| !error.trim().is_empty())
    {
        end.message = format!("{}; the engine says: {}", end.message, error.trim());
    }
    end
}

#[cfg(test)]
mod tests {
    use launch_config::outcome::Reason;
    use serde_json::json;

    use super::*;
    fn request() -> RunRequest {
        let image = Workload::Image {
            image: "train:1".parse().unwrap(),
            pull: None,
        };
        RunRequest::new(RunKey::new("Job=".parse().unwrap(), 2), image)
    }

    fn body_of(request: &RunRequest, has_init: bool) -> ContainerCreateBody {
        let container = Container::of(request, Host::Linux).unwrap();
        container.for_run(&request.key, "agent-1", has_init)
    }

    #[test]
    fn an_empty_command_keeps_the_entry_point_of_the_image() {
        let body = body_of(&request().with_args(["--lr", "1"]), false);
        assert_eq!(
            (body.entrypoint, body.cmd),
            (None, Some(vec!["--lr".into(), "1".into()]))
        );
        let body = body_of(&request().with_command(["python", "t.py"]), false);
        assert_eq!((body.entrypoint.unwrap().len(), body.cmd), (2, None));
    }

    #[test]
    fn variables_of_the_queue_win() {
        let request = request()
            .with_env("A", "run")
            .with_env("B", "run")
            .with_resource_args(json!({"env": ["A=queue"]}));
        let mut env = body_of(&request, false).env.unwrap();
        env.sort();
        assert_eq!(env, ["A=queue", "B=run"]);
    }

    #[test]
    fn our_labels_win_and_read_back() {
        let request = request()
            .with_label(JOB_LABEL, "forged")
            .with_label("team", "red");
        let labels = body_of(&request, false).labels.unwrap();
        assert_eq!(key_of(&labels), Some(request.key));
        assert_eq!(
            (labels["team"].as_str(), labels[OWNER_LABEL].as_str()),
            ("red", "agent-1")
        );
    }

    #[test]
    fn one_init_is_enough() {
        let init = |request: &RunRequest, image| body_of(request, image).host_config.unwrap().init;
        assert_eq!(init(&request(), false), Some(true));
        assert_eq!(init(&request(), true), Some(false));
        assert_eq!(init(&request().with_command(["sh"]), true), Some(true));
        assert_eq!(
            init(&request().with_command(["/usr/bin/tini", "--"]), false),
            Some(false)
        );
    }

    #[test]
    fn a_given_init_is_not_overruled() {
        let request = request().with_resource_args(json!({"init": false}));
        assert_eq!(
            body_of(&request, false).host_config.unwrap().init,
            Some(false)
        );
    }

    #[test]
    fn a_server_on_this_machine_is_reached() {
        let args = json!({"env": "WANDB_BASE_URL=http://mine", "network": "team"});
        let request = request()
            .with_env(SERVER, "http://localhost:8080")
            .with_resource_args(args);
        let body = body_of(&request, false);
        let host = body.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("host"));
        assert_eq!(
            host.extra_hosts.unwrap(),
            ["host.docker.internal:host-gateway"]
        );
        assert_eq!(body.env.unwrap(), ["WANDB_BASE_URL=http://mine"]);
        let mac = Container::of(&request, Host::Mac).unwrap().body;
        assert_eq!(mac.host_config.unwrap().extra_hosts, None);
    }

    #[test]
    fn code_is_mounted_and_its_directory_counts() {
        let directory = |path: &str| CodeMount::new(CodeSource::Directory(path.into()));
        let code = directory("/srv/code").with_working_dir("sub".parse().unwrap());
        let request = request()
            .with_code(code)
            .with_resource_args(json!({"workdir": "/mine"}));
        let body = body_of(&request, false);
        assert_eq!(body.working_dir.as_deref(), Some("/mnt/wandb/sub"));
        assert_eq!(
            body.host_config.unwrap().binds.unwrap(),
            ["/srv/code:/mnt/wandb"]
        );
        let odd = request.with_code(directory("/a:b"));
        assert!(
            Container::of(&odd, Host::Linux)
                .unwrap_err()
                .contains("colon")
        );
    }

    #[test]
    fn running_out_of_memory_is_said() {
        let container = serde_json::from_value(json!({
            "State": {"Status": "exited", "ExitCode": 137, "OOMKilled": true, "Error": ""},
            "HostConfig": {"Memory": 64 << 20}
        }));
        let Stand::Ended(end) = stand(&container.unwrap()) else {
            panic!("it has ended")
        };
        assert_eq!(end.reason, Reason::Failed { code: 137 });
        assert!(
            end.message.contains("out of memory (its limit is 64 MiB)"),
            "{}",
            end.message
        );
    }
}
