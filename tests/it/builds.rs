//! Sources and builds through the whole program.

use std::process::Command;
use std::time::Instant;

use launch_tests::{Agent, Said, has_docker, skip};

/// The one password of the private repositories.
const TOKEN: &str = "s3cret-git";

fn needed(variable: &str) -> Option<String> {
    let value = std::env::var(variable)
        .ok()
        .filter(|value| !value.is_empty());
    if value.is_none() {
        skip(&format!("{variable} is not set"));
    }
    value
}

fn docker(args: &[&str]) -> String {
    let output = Command::new("docker")
        .args(args)
        .output()
        .expect("the docker program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// Builds and runs a source in a container; answers what was said, and the image.
fn launched(agent: &Agent, source: &str, more: &[&str]) -> (Said, String) {
    let spec = "{\"python_version\": \"3.11\"}";
    let args = [
        "launch",
        source,
        "-r",
        "local-container",
        "-c",
        spec,
        "--output",
        "json",
    ];
    let said = agent.say(&[&args[..], more].concat()).expect(0);
    let image = said.json()["image"].as_str().map(str::to_owned);
    (said, image.expect("a container runs an image"))
}

/// Neither the program's words, nor its files, nor the image know the token; and the image
/// has no repository in it.
fn assert_kept(agent: &Agent, said: &Said, image: &str) {
    assert!(!format!("{said:?}").contains(TOKEN), "{said:#?}");
    let shell = [
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "sh",
        image,
        "-c",
    ];
    let listed = docker(
        &[
            &shell[..],
            &["ls -A . && ! grep -rqs s3cret-git . /etc && echo clean"],
        ]
        .concat(),
    );
    assert!(
        listed.contains("main.py") && listed.contains("clean"),
        "{listed}"
    );
    assert!(
        listed.contains("lib") && !listed.contains(".git\n"),
        "{listed}"
    );
    let history = docker(&["history", "--no-trunc", image]) + &docker(&["inspect", image]);
    assert!(!history.contains(TOKEN), "{history}");
    let logs = agent.state().join("logs");
    for log in fs_err::read_dir(logs).into_iter().flatten().flatten() {
        let text = fs_err::read_to_string(log.path()).unwrap_or_default();
        assert!(!text.contains(TOKEN), "{text}");
    }
}

fn row(said: &Said, stage: &str) -> String {
    let rows = said.json()["stages"].clone();
    let rows = rows.as_array().cloned().unwrap_or_default();
    let row = rows.into_iter().find(|row| row["stage"] == stage);
    row.unwrap_or_else(|| panic!("no stage {stage}: {said:#?}"))["result"].to_string()
}

#[test]
fn docker_builds_and_runs_a_private_repository_over_https_with_a_token() {
    let (Some(base), Some(ca)) = (
        needed("LAUNCH_TEST_GIT_HTTPS"),
        needed("LAUNCH_TEST_GIT_CA"),
    ) else {
        return;
    };
    if !has_docker() {
        return;
    }
    let agent = Agent::with_docker().env("GIT_SSL_CAINFO", &ca);
    let url = base.replacen("://", &format!("://launch:{TOKEN}@"), 1) + "/private/sample.git";
    let (said, image) = launched(&agent, &url, &["-g", "v1"]);
    assert!(said.err.contains("sample: main"), "{said:#?}");
    let fetched = row(&said, "fetch");
    assert!(
        fetched.contains("/private/sample.git at "),
        "the commit is recorded: {fetched}"
    );
    assert_kept(&agent, &said, &image);
    // The same commit is the same image, wherever it was fetched to.
    let (again, found) = launched(&agent, &url, &["-g", "v1"]);
    assert_eq!(found, image);
    assert!(row(&again, "build").contains("skipped"), "{again:#?}");
    docker(&["rmi", "-f", &image]);
}

/// Other ways to give the same token: the user's netrc, and a credential helper.
#[test]
fn a_private_repository_opens_with_the_users_own_credentials() {
    let (Some(base), Some(ca)) = (
        needed("LAUNCH_TEST_GIT_HTTPS"),
        needed("LAUNCH_TEST_GIT_CA"),
    ) else {
        return;
    };
    let url = format!("{base}/private/sample.git");
    let home = |agent: &Agent| agent.state().parent().unwrap().to_owned();
    let plan = ["build", url.as_str(), "-g", "feature", "--plan"];
    let agent = || Agent::new().env("GIT_SSL_CAINFO", &ca);
    let closed = agent();
    let refused = closed.say(&plan);
    assert_ne!(refused.code, 0, "{refused:#?}");
    let netrc = agent();
    let entry = format!("machine 127.0.0.1 login launch password {TOKEN}\n");
    fs_err::write(home(&netrc).join(".netrc"), entry).unwrap();
    let planned = netrc.say(&plan).expect(0);
    assert!(planned.out.contains("revision"), "{planned:#?}");
    let helper = agent();
    let store = base.replacen("://", &format!("://launch:{TOKEN}@"), 1);
    fs_err::write(home(&helper).join(".git-credentials"), store).unwrap();
    fs_err::write(
        home(&helper).join(".gitconfig"),
        "[credential]\n\thelper = store\n",
    )
    .unwrap();
    let again = helper.say(&plan).expect(0);
    let tag = |said: &Said| {
        said.out
            .lines()
            .find(|line| line.starts_with("image "))
            .map(str::to_owned)
    };
    assert_eq!(
        tag(&planned),
        tag(&again),
        "one commit, one image, in every directory"
    );
    assert!(!format!("{planned:?}{again:?}").contains(TOKEN));
}

#[test]
fn docker_builds_and_runs_a_private_repository_over_ssh() {
    let parts =
        ["", "_KEY", "_KNOWN_HOSTS"].map(|part| needed(&format!("LAUNCH_TEST_GIT_SSH{part}")));
    let [Some(url), Some(key), Some(hosts)] = parts else {
        return;
    };
    if !has_docker() {
        return;
    }
    let ssh = |hosts: &str| {
        format!("ssh -F /dev/null -i {key} -oIdentitiesOnly=yes -oUserKnownHostsFile={hosts}")
    };
    let agent = Agent::with_docker().env("GIT_SSH_COMMAND", &ssh(&hosts));
    let (said, image) = launched(&agent, &url, &["-g", "feature"]);
    assert!(said.err.contains("sample: feature"), "{said:#?}");
    assert_kept(&agent, &said, &image);
    docker(&["rmi", "-f", &image]);
    let stranger = Agent::with_docker().env("GIT_SSH_COMMAND", &ssh("/dev/null"));
    let _ = stranger
        .say(&["launch", &url])
        .expect(1)
        .complains("Host key verification failed");
}

/// An agent of ours answers by the key alone: no file of it is named to git.
#[test]
fn an_ssh_agent_gives_the_key() {
    let parts =
        ["", "_KEY", "_KNOWN_HOSTS"].map(|part| needed(&format!("LAUNCH_TEST_GIT_SSH{part}")));
    let [Some(url), Some(key), Some(hosts)] = parts else {
        return;
    };
    let agent = Agent::new();
    let socket = agent.dir("ssh").join("agent");
    let mut keeper = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .spawn()
        .unwrap();
    launch_tests::eventually(
        "ssh-agent listens",
        std::time::Duration::from_secs(10),
        || socket.exists().then_some(()),
    );
    let added = Command::new("ssh-add")
        .arg(&key)
        .env("SSH_AUTH_SOCK", &socket)
        .output()
        .unwrap();
    assert!(added.status.success(), "{added:?}");
    let ssh = format!("ssh -F /dev/null -oUserKnownHostsFile={hosts}");
    let agent = agent
        .env("GIT_SSH_COMMAND", &ssh)
        .env("SSH_AUTH_SOCK", socket.to_str().unwrap());
    let said = agent.say(&["build", &url, "--plan"]);
    keeper.kill().unwrap();
    keeper.wait().unwrap();
    assert!(said.expect(0).out.contains("revision"));
}

#[test]
fn a_plan_is_printed_and_nothing_is_built() {
    let agent = Agent::new();
    let project = agent.project("planned", "print(1)\n");
    fs_err::write(agent.dir("planned").join("requirements.txt"), "numpy\n").unwrap();
    let said = agent
        .say(&["build", &project, "--plan", "--build-arg", "A=b"])
        .expect(0);
    for row in [
        "dockerfile   generated",
        "python       3.12 (default)",
        "packages     requirements.txt",
    ] {
        assert!(said.out.lines().any(|line| line == row), "{row}: {said:#?}");
    }
    let value = agent
        .say(&["build", &project, "--plan", "--output", "json"])
        .expect(0)
        .json();
    assert_eq!(value["plan"]["dockerfile"]["origin"], "generated");
    assert!(
        value["plan"]["dockerfile"]["buildkit"]
            .as_str()
            .unwrap()
            .contains("--mount=type=cache")
    );
    let image = value["image"].as_str().unwrap();
    let (_, tag) = image.split_once(':').unwrap();
    assert_eq!(tag.len(), 64, "{image}");
    let other = agent
        .say(&["build", &project, "--plan", "--build-arg", "A=c"])
        .expect(0);
    assert_ne!(
        said.out.lines().last(),
        other.out.lines().last(),
        "arguments make the tag"
    );
}

#[test]
fn what_leads_out_of_a_source_is_refused_with_its_name() {
    let agent = Agent::new();
    let project = agent.project("escaping", "");
    fs_err::write(agent.dir("").join("secret"), "FROM secret\n").unwrap();
    let link = agent.dir("escaping").join("requirements.txt");
    std::os::unix::fs::symlink("../secret", link).unwrap();
    for (more, what) in [
        (
            &["-D", "../secret"][..],
            "Dockerfile `../secret` leads out of the source",
        ),
        (
            &["-D", "/etc/passwd"],
            "Dockerfile `/etc/passwd` is absolute",
        ),
        (
            &["--build-context", ".."],
            "build context `..` leads out of the source",
        ),
        (
            &[],
            "requirements file `requirements.txt` is a link out of the source",
        ),
    ] {
        let said = agent.say(&[&["build", &project, "--plan"], more].concat());
        assert_ne!(said.code, 0, "{said:#?}");
        let said = said.complains(what);
        assert!(!format!("{said:?}").contains("FROM secret"));
    }
}

#[test]
fn docker_mounts_a_secret_for_a_build_and_shows_it_nowhere() {
    if !has_docker() {
        return;
    }
    let agent = Agent::with_docker().env("PLANTED", "planted-value");
    let project = agent.project("secretive", "");
    let text = format!(
        "FROM launch-test/busybox:1\nRUN --mount=type=secret,id=t echo {:?}; cat /run/secrets/t; echo\n",
        Instant::now()
    );
    fs_err::write(agent.dir("secretive").join("D"), text).unwrap();
    let args = ["build", &project, "-D", "D", "--secret", "id=t,env=PLANTED"];
    let said = agent.say(&args).expect(0);
    assert!(
        said.err.contains("***") && !format!("{said:?}").contains("planted-value"),
        "{said:#?}"
    );
    docker(&["rmi", "-f", said.out.trim()]);
}

/// Without a builder the code is mounted, or refused if the agent's file says so.
#[test]
fn docker_runs_mounted_code_where_nothing_builds() {
    if !has_docker() {
        return;
    }
    let agent = Agent::with_docker();
    let main = "import os, idna, sys\nprint('ran', os.getcwd(), idna.__version__, sys.argv[1:])\n";
    let project = agent.project("mounted", main);
    fs_err::write(agent.dir("mounted").join("requirements.txt"), "idna==3.7\n").unwrap();
    let args = [
        "launch",
        &project,
        "-r",
        "local-container",
        "-B",
        "python:3.11-slim",
    ];
    let more = ["--builder", "noop", "--", "a b"];
    let said = agent.say(&[&args[..], &more].concat()).expect(0);
    assert!(said.out.contains("ran /mnt/wandb 3.7 ['a b']"), "{said:#?}");
    assert!(
        said.out.contains("mounted into `python:3.11-slim`"),
        "{said:#?}"
    );

    let file = agent.dir("").join("agent.yaml");
    fs_err::write(&file, "builder: {type: noop, noop-code: refuse}\n").unwrap();
    let file = file.display().to_string();
    let args = [
        "launch",
        &project,
        "-r",
        "local-container",
        "--agent-config",
        &file,
    ];
    let refused = agent.say(&args).expect(1);
    let _ = refused.complains("has to be built, and the builder is `noop`");
}
