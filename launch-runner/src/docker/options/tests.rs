//! Options of queues, and of administrators who opened more.

use bollard::models::HostConfig;
use serde_json::{Value, json};

use super::*;

fn read(args: &Value) -> ContainerOptions {
    ContainerOptions::of(args).unwrap()
}

fn host(args: &Value) -> HostConfig {
    read(args).host
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
    let empty = json!({"workdir": "", "platform": "", "name": "", "cpuset-cpus": ""});
    assert_eq!(read(&empty), ContainerOptions::default());
}

#[test]
fn names_may_be_spelled_as_on_a_command_line() {
    let args = json!({"--shm_size": "64m", " M ": "1G", "W": "/srv", "Platform": "linux/arm64"});
    let options = read(&args);
    assert_eq!(options.host.shm_size, Some(64 << 20));
    assert_eq!(options.host.memory, Some(1 << 30));
    assert_eq!(options.body.working_dir.as_deref(), Some("/srv"));
    assert_eq!(options.platform.as_deref(), Some("linux/arm64"));
}

#[test]
fn variables_and_ulimits_come_alone_or_in_lists() {
    let args = json!({"env": ["A=1", "B= x=y "], "e": "C=", "ulimit": ["nofile=10:20", "core=0"]});
    let options = read(&args);
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
fn everything_else_is_refused_with_what_there_is() {
    for name in [
        "cpu",
        "command",
        "rm",
        "builder",
        "detach",
        "entrypoint",
        "label",
    ] {
        let why = why(&json!({ name: "x" }));
        assert!(
            why.contains(&format!("`{name}`")) && why.contains("memory-swap"),
            "{why}"
        );
    }
    assert!(why(&json!({"cpuz": 1})).contains("did you mean `cpus`?"));
    assert!(why(&json!({"memory": true})).contains("string or a number"));
    assert!(why(&json!({"memory": ["1g"]})).contains("not a list"));
    assert!(why(&json!({"ulimit": []})).contains("empty"));
    assert!(why(&json!({"privileged": "yes"})).contains("a switch"));
    assert!(why(&json!([1])).contains("a map"));
}

#[test]
fn a_container_may_have_a_name() {
    assert_eq!(
        read(&json!({"name": "trainer_1.a-b"})).name.as_deref(),
        Some("trainer_1.a-b")
    );
    for name in ["a b", "-v", "a", "é", ".a"] {
        assert!(
            why(&json!({ "name": name })).contains("no name of a container"),
            "{name}"
        );
    }
}

#[test]
fn every_option_an_administrator_can_open_is_understood() {
    use launch_config::policy::DockerGrants;
    let values = json!({
        "add-host": "a:1.2.3.4", "blkio-weight": 10, "cgroupns": "private", "device": "/dev/null",
        "expose": 80, "ip": "1.2.3.4", "ip6": "::1", "mount": "type=tmpfs,target=/x",
        "oom-score-adj": -5, "publish": "80", "stop-timeout": 5, "storage-opt": "size=1g",
        "sysctl": "a.b=1", "volume": "/x", "network": "n"
    });
    let switches = [
        "init",
        "no-healthcheck",
        "oom-kill-disable",
        "privileged",
        "publish-all",
        "read-only",
    ];
    for name in DockerGrants::openable() {
        let value = match values.get(name) {
            Some(value) => value.clone(),
            None if switches.contains(&name) => json!(true),
            None => json!("x"),
        };
        let options = ContainerOptions::of(&json!({ name: value }));
        let options = options.unwrap_or_else(|why| panic!("{why}"));
        assert_ne!(
            options,
            ContainerOptions::default(),
            "`{name}` changes nothing"
        );
    }
}

#[test]
fn what_an_administrator_can_open_is_done() {
    let args = json!({
        "-v": ["cache:/root/.cache", "/data:/data:ro", "/own"], "u": "1:2", "h": "trainer",
        "cap-add": "SYS_PTRACE", "device": ["/dev/fuse", "/dev/a:/dev/b:r", "nvidia.com/gpu=0"],
        "mount": "type=bind,src=/a,dst=/b,readonly", "tmpfs": "/run:size=1m", "read_only": true,
        "security-opt": ["no-new-privileges", "seccomp=unconfined"], "sysctl": "net.core.somaxconn=9",
        "p": "127.0.0.1:8080:80", "no-healthcheck": "true", "add-host": "a=::1"
    });
    let ContainerOptions { body, host, .. } = read(&args);
    let binds = ["cache:/root/.cache", "/data:/data:ro"].map(str::to_owned);
    assert_eq!(host.binds, Some(binds.into()));
    assert_eq!(body.volumes, Some(vec!["/own".to_owned()]));
    assert_eq!(
        (body.user.as_deref(), body.hostname.as_deref()),
        (Some("1:2"), Some("trainer"))
    );
    let devices = host.devices.unwrap();
    assert_eq!(devices[0].path_in_container.as_deref(), Some("/dev/fuse"));
    assert_eq!(devices[1].cgroup_permissions.as_deref(), Some("r"));
    assert_eq!(
        host.device_requests.unwrap()[0].driver.as_deref(),
        Some("cdi")
    );
    let mount = &host.mounts.unwrap()[0];
    assert_eq!(
        (mount.target.as_deref(), mount.read_only),
        (Some("/b"), Some(true))
    );
    assert_eq!(host.tmpfs.unwrap()["/run"], "size=1m");
    assert_eq!(host.extra_hosts.unwrap(), ["a:::1"]);
    assert_eq!(body.exposed_ports.unwrap(), ["80/tcp"]);
    assert_eq!(body.healthcheck.unwrap().test.unwrap(), ["NONE"]);
    for (name, value) in [
        ("volume", "cache"),
        ("volume", "a:b"),
        ("volume", ""),
        ("device", "x:y:z:w"),
        ("mount", "type=bind,target=/x"),
        ("mount", "target=/x,colour=red"),
        ("cgroupns", "x"),
        ("security-opt", "seccomp=/etc/passwd"),
        ("sysctl", "x"),
        ("add-host", "x"),
    ] {
        why(&json!({ name: value }));
    }
}

#[test]
fn networks_are_joined_with_what_is_said_about_them() {
    let options = read(&json!({"net": "team", "network-alias": ["a", "b"], "ip": "10.0.0.9"}));
    assert_eq!(options.host.network_mode.as_deref(), Some("team"));
    let endpoint = &options.endpoints["team"];
    assert_eq!(
        endpoint.aliases.as_deref(),
        Some(&["a".to_owned(), "b".to_owned()][..])
    );
    let several = read(&json!({"network": ["one", "name=two,alias=x"]}));
    assert_eq!(several.host.network_mode.as_deref(), Some("one"));
    assert_eq!(several.endpoints.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert!(read(&json!({"network": "host"})).endpoints.is_empty());
    assert!(why(&json!({"network": "alias=x"})).contains("no `name`"));
}

#[test]
fn the_agents_variables_are_not_forwarded_nor_values_shown() {
    let message = why(&json!({"env": ["planted-secret"]}));
    assert!(
        message.contains("NAME=VALUE") && !message.contains("planted"),
        "{message}"
    );
    let options = read(&json!({"env": "KEY=planted"}));
    assert!(!format!("{options:?}").contains("planted"));
}
