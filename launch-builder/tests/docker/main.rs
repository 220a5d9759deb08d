//! Builds with a real Docker Engine.

#![cfg(all(feature = "docker", feature = "conformance"))]
#![expect(clippy::unwrap_used, reason = "what a test cannot have ends it")]

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveImageOptionsBuilder};
use launch_builder::conformance::Bench;
use launch_builder::docker::DockerBuilder;
use launch_builder::event::{Event, Events};
use launch_builder::plan::{BuildSpec, Plan, plan};
use launch_builder::source::SourceTree;
use launch_builder::{BuildRequest, Builder, BuiltImage, Delivery, Error, context};
use launch_config::image::ImageRef;
use launch_config::secret::Secret;

struct Engine {
    docker: Docker,
    builder: DockerBuilder,
}

impl Engine {
    fn connect() -> Option<Self> {
        if std::env::var("LAUNCH_TEST_DOCKER").is_ok_and(|value| value == "1") {
            let docker = Docker::connect_with_defaults().unwrap();
            let builder = DockerBuilder::connect().unwrap();
            return Some(Self { docker, builder });
        }
        skip("LAUNCH_TEST_DOCKER is not 1")
    }
}

/// The value of a variable that names a real part.
fn needed(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(value) if !value.is_empty() => Some(value),
        _ => skip(&format!("{variable} is not set")),
    }
}

#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn skip<T>(why: &str) -> Option<T> {
    assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "{why}");
    println!("skipped: {why}");
    None
}

impl Engine {
    /// The same engine, asked for its old builder.
    fn classic() -> Option<Self> {
        let engine = Self::connect()?;
        let builder = engine.builder.without_buildkit();
        Some(Self { builder, ..engine })
    }
}

#[async_trait]
impl Bench for Engine {
    fn builder(&self) -> &dyn Builder {
        &self.builder
    }

    fn base(&self) -> ImageRef {
        "launch-test/busybox:1".parse().unwrap()
    }

    fn is_local(&self) -> bool {
        true
    }

    async fn holds(&self, image: &ImageRef) -> bool {
        self.docker.inspect_image(&image.to_string()).await.is_ok()
    }

    async fn forget(&self, image: &ImageRef) {
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        let _ = self
            .docker
            .remove_image(&image.to_string(), Some(options), None)
            .await;
    }
}

macro_rules! conforms {
    ($engine:ident: $($name:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if let Some(engine) = super::Engine::$engine() {
                launch_builder::conformance::$name(&engine).await;
            }
        }
    )*};
}

mod buildkit {
    conforms!(connect:
        same_plan_same_image,
        another_file_another_image,
        a_failing_build_shows_its_end,
        a_changed_context_is_refused,
        a_dropped_build_leaves_nothing,
        a_layout_is_what_it_says,
    );
}

mod classic {
    conforms!(classic:
        same_plan_same_image,
        another_file_another_image,
        a_failing_build_shows_its_end,
        a_changed_context_is_refused,
        a_dropped_build_leaves_nothing,
        a_layout_is_what_it_says,
    );
}

struct Project {
    directory: tempfile::TempDir,
    plan: Plan,
    image: ImageRef,
}

fn project(name: &str, files: &[(&str, &[u8])], spec: &BuildSpec) -> Project {
    let directory = tempfile::tempdir().unwrap();
    let unique = directory.path().display().to_string();
    for (path, bytes) in files.iter().chain([&("unique.txt", unique.as_bytes())]) {
        let path = directory.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }
    let plan = plan(&SourceTree::open(directory.path()).unwrap(), spec).unwrap();
    let hashed = context::hash(&plan.context, &plan.context_options(), &Events::silent()).unwrap();
    let image = name
        .parse::<ImageRef>()
        .unwrap()
        .with_tag(&plan.tag(hashed.digest))
        .unwrap();
    Project {
        directory,
        plan,
        image,
    }
}

impl Project {
    fn request(&self) -> BuildRequest {
        BuildRequest::new(self.plan.clone(), self.image.clone())
    }
}

/// Runs an image to its end; answers its log.
fn run(image: &ImageRef) -> String {
    let output = std::process::Command::new("docker")
        .args(["run", "--rm", "--network", "none", &image.to_string()])
        .output()
        .unwrap();
    let (stdout, stderr) = (&output.stdout, &output.stderr);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(stderr)
    );
    String::from_utf8_lossy(stdout).into_owned()
}

/// A wheel is a zip archive; this one is stored, and holds one module.
fn wheel() -> Vec<u8> {
    let files: [(&str, &str); 4] = [
        ("launch_probe.py", "WORD = 'installed'\n"),
        (
            "launch_probe-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: launch_probe\nVersion: 1.0\n",
        ),
        (
            "launch_probe-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
        (
            "launch_probe-1.0.dist-info/RECORD",
            "launch_probe.py,,\nlaunch_probe-1.0.dist-info/METADATA,,\n\
             launch_probe-1.0.dist-info/WHEEL,,\nlaunch_probe-1.0.dist-info/RECORD,,\n",
        ),
    ];
    let (mut zip, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let mut crc = flate2::Crc::new();
        crc.update(text.as_bytes());
        let mut common = Vec::new();
        // Version 2.0, no flags, stored, 1980-01-01.
        common.extend([20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0]);
        common.extend(crc.sum().to_le_bytes());
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        common.extend(length.iter().chain(&length));
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        let offset = u32::try_from(zip.len()).unwrap().to_le_bytes();
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset);
        directory.extend(name.as_bytes());
        zip.extend(b"PK\x03\x04");
        zip.extend(&common);
        write!(zip, "{name}{text}").unwrap();
    }
    let (start, size) = (zip.len(), directory.len());
    zip.extend(directory);
    zip.extend(b"PK\x05\x06\0\0\0\0\x04\0\x04\0");
    zip.extend(u32::try_from(size).unwrap().to_le_bytes());
    zip.extend(u32::try_from(start).unwrap().to_le_bytes());
    zip.extend([0, 0]);
    zip
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generated_dockerfile_builds_and_runs() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let script = b"import launch_probe, os, getpass, pathlib, sys\n\
        pathlib.Path('output.txt').write_text('x')\n\
        pathlib.Path.home().joinpath('.cache', 'x').mkdir()\n\
        print(launch_probe.WORD, os.getuid(), getpass.getuser(), sys.argv[1:])\n\
        print(sorted(os.listdir('.')), os.stat('train.py').st_uid)\n";
    let files: [(&str, &[u8]); 5] = [
        ("train.py", script),
        (
            "requirements.txt",
            b"./vendor/launch_probe-1.0-py3-none-any.whl\n",
        ),
        ("vendor/launch_probe-1.0-py3-none-any.whl", &wheel()),
        (".dockerignore", b"ignored.log\n"),
        ("ignored.log", b"x"),
    ];
    let spec = BuildSpec::new()
        .with_python_version("3.11")
        .with_entry_point(["train.py", "--name", "a b $HOME"]);
    let project = project("launch-test/generated", &files, &spec);
    let built = engine
        .builder
        .build(project.request(), &Events::silent())
        .await
        .unwrap();
    assert!(matches!(built, BuiltImage::Local { reused: false, .. }));
    let log = run(&project.image);
    engine.forget(&project.image).await;
    assert!(
        log.contains("installed 1000 launch ['--name', 'a b $HOME']"),
        "{log}"
    );
    let listed =
        "['.cache', 'output.txt', 'requirements.txt', 'train.py', 'unique.txt', 'vendor'] 1000";
    assert!(log.contains(listed), "{log}");
}

/// The lines of a log, as they come.
fn listening() -> (Events, Arc<Mutex<Vec<Event>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&said);
    (
        Events::new(move |event| sink.lock().unwrap().push(event)),
        said,
    )
}

/// The packages come from the index the image is told of, so this needs one.
#[tokio::test(flavor = "multi_thread")]
async fn what_of_a_frozen_list_cannot_be_installed_is_a_warning() {
    for engine in [Engine::connect(), Engine::classic()] {
        let Some(engine) = engine else { return };
        // A step that the engine has from an earlier build says nothing: ours is a new one.
        let missing = format!("launch-there-is-no-such-package=={}.9", std::process::id());
        let frozen = format!("idna==3.7\n{missing}\nsix==1.16.0 # old\n");
        let files: [(&str, &[u8]); 2] = [
            (
                "train.py",
                b"import idna, six; print(idna.__version__, six.__version__)\n",
            ),
            ("requirements.frozen.txt", frozen.as_bytes()),
        ];
        let spec = BuildSpec::new().with_python_version("3.11");
        let project = project("launch-test/frozen", &files, &spec);
        let (events, said) = listening();
        let built = engine.builder.build(project.request(), &events).await;
        let said: Vec<Event> = said.lock().unwrap().clone();
        built.unwrap_or_else(|error| panic!("{error:?} {said:?}"));
        assert_eq!(run(&project.image), "3.7 1.16.0\n");
        engine.forget(&project.image).await;
        let warning = format!("could not be installed, and is left out: `{missing}`");
        assert!(said.contains(&Event::Warning(warning)), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_an_index_of_its_own_asks_that_index() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    // Nothing answers there, and the failure says who was asked.
    let list = b"--index-url http://127.0.0.1:9/simple\nidna\n";
    let files: [(&str, &[u8]); 2] = [("train.py", b""), ("requirements.txt", list)];
    let spec = BuildSpec::new().with_python_version("3.11");
    let project = project("launch-test/index", &files, &spec);
    let (events, said) = listening();
    let error = engine
        .builder
        .build(project.request(), &events)
        .await
        .unwrap_err();
    let text = format!("{error:?} {:?}", said.lock().unwrap());
    assert!(text.contains("127.0.0.1:9"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_mount_lasts_from_one_image_to_the_next() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let id = std::process::id();
    let text = format!(
        "FROM launch-test/busybox:1\nCOPY unique.txt /\n\
         RUN --mount=type=cache,target=/c,id=launch-{id} touch /c/$(date +%N%s); ls /c | wc -l > /n\n\
         CMD cat /n\n"
    );
    for expected in ["1\n", "2\n"] {
        let spec = BuildSpec::new().with_dockerfile("D");
        let project = project("launch-test/mounts", &[("D", text.as_bytes())], &spec);
        engine
            .builder
            .build(project.request(), &Events::silent())
            .await
            .unwrap();
        let counted = run(&project.image);
        engine.forget(&project.image).await;
        assert_eq!(counted, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_mounted_and_nowhere_else() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let text = b"FROM launch-test/busybox:1\nCOPY unique.txt /\n\
        RUN --mount=type=secret,id=token echo \"it is $(cat /run/secrets/token)!\"; \
        wc -c < /run/secrets/token > /n\nCMD cat /n; ls /run/secrets/* 2>&1; true\n";
    let spec = BuildSpec::new().with_dockerfile("D");
    let project = project("launch-test/secret", &[("D", text)], &spec);
    let request = || {
        project
            .request()
            .with_secret("token", Secret::new("planted-s3cret"))
    };
    let (events, said) = listening();
    engine.builder.build(request(), &events).await.unwrap();
    let shown = run(&project.image);
    assert!(
        shown.starts_with("14\n") && !shown.contains("planted"),
        "{shown}"
    );
    let history = engine
        .docker
        .image_history(&project.image.to_string())
        .await
        .unwrap();
    engine.forget(&project.image).await;
    let said = said.lock().unwrap().clone();
    assert!(
        said.contains(&Event::Log("it is ***!".to_owned())),
        "{said:?}"
    );
    assert!(!format!("{said:?} {history:?}").contains("planted"));

    let classic = engine.builder.clone().without_buildkit();
    let error = classic
        .build(request(), &Events::silent())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("secret `token` needs BuildKit"),
        "{error}"
    );
}

/// The registry wants a login, which BuildKit asks us for while it builds.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_base_image_is_pulled_with_its_login() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let Some(host) = needed("LAUNCH_TEST_REGISTRY_BASIC") else {
        return;
    };
    let (user, password, host) = ("launch", "s3cret-basic", host.as_str());
    let base = format!("{host}/launch-test/base-{}:1", std::process::id());
    let config = tempfile::tempdir().unwrap();
    let docker = |args: &[&str]| {
        let mut command = std::process::Command::new("docker");
        let output = command
            .env("DOCKER_CONFIG", config.path())
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?} {output:?}");
    };
    docker(&["login", "-u", user, "-p", password, host]);
    docker(&["tag", "launch-test/busybox:1", &base]);
    docker(&["push", "-q", &base]);
    docker(&["rmi", &base]);
    let text = format!("FROM {base}\nCOPY unique.txt /\n");
    let spec = BuildSpec::new().with_dockerfile("D");
    let project = project("launch-test/private", &[("D", text.as_bytes())], &spec);
    let refused = engine
        .builder
        .build(project.request(), &Events::silent())
        .await;
    assert!(refused.is_err(), "{refused:?}");
    let login = engine
        .builder
        .clone()
        .with_login(host, user, Secret::new(password));
    login
        .build(project.request(), &Events::silent())
        .await
        .unwrap();
    engine.forget(&project.image).await;
    engine.forget(&base.parse().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn build_arguments_and_labels_reach_the_image() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let text = b"ARG BASE\nFROM $BASE\nARG WORD=none\nENV WORD=$WORD\nCMD echo $WORD\n";
    let spec = BuildSpec::new()
        .with_dockerfile("docker/Dockerfile")
        .with_build_arg("BASE", "launch-test/busybox:1")
        .with_build_arg("WORD", "given word");
    let project = project(
        "launch-test/arguments",
        &[("docker/Dockerfile", text)],
        &spec,
    );
    assert_eq!(project.plan.bases[0].reference, "launch-test/busybox:1");
    engine
        .builder
        .build(project.request(), &Events::silent())
        .await
        .unwrap();
    let inspected = engine
        .docker
        .inspect_image(&project.image.to_string())
        .await
        .unwrap();
    let labels: HashMap<_, _> = inspected.config.unwrap().labels.unwrap();
    assert_eq!(
        labels.get("dev.launch.builder").map(String::as_str),
        Some("docker")
    );
    assert_eq!(run(&project.image), "given word\n");
    engine.forget(&project.image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerfile_that_means_nothing_is_told() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    for (text, said) in [
        ("FRM x\n", "unknown instruction"),
        ("FROM launch-test/busybox:1\nCOPY none.txt /\n", "none.txt"),
        (
            "FROM launch-test/there-is-no-such-image:1\n",
            "launch-test/there-is-no-such-image",
        ),
    ] {
        let spec = BuildSpec::new().with_dockerfile("D");
        let project = project("launch-test/broken", &[("D", text.as_bytes())], &spec);
        let error = engine
            .builder
            .build(project.request(), &Events::silent())
            .await
            .unwrap_err();
        let Error::Build {
            said: sentence,
            log_tail,
            ..
        } = &error
        else {
            panic!("{error:?}")
        };
        assert!(
            format!("{sentence} {log_tail:?}").contains(said),
            "{text}: {error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_build_leaves_no_container() {
    if let Some(engine) = Engine::classic() {
        drop_a_build(&engine, "97").await;
    }
}

/// BuildKit's steps are no containers the engine lists; they are processes here if the
/// engine is on this machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_build_of_buildkit_leaves_no_step() {
    if let Some(engine) = Engine::connect() {
        drop_a_build(&engine, "9753").await;
    }
}

async fn drop_a_build(engine: &Engine, seconds: &str) {
    let text = format!(
        "FROM launch-test/busybox:1\nCOPY unique.txt /\n\
         RUN echo up-$((40+2)); sleep {seconds}\n"
    );
    let spec = BuildSpec::new().with_dockerfile("D");
    let project = project("launch-test/dropped", &[("D", text.as_bytes())], &spec);
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let events = Events::new(move |event| {
        let _ = sender.send(event);
    });
    let up = async {
        while let Some(event) = receiver.recv().await {
            if matches!(event, Event::Log(line) if line == "up-42") {
                return;
            }
        }
    };
    tokio::select! {
        result = engine.builder.build(project.request(), &events) => panic!("{result:?}"),
        () = up => {}
    }
    assert!(project.directory.path().is_dir());
    let step = format!("sleep {seconds}");
    for _ in 0..100 {
        if !has_container(engine, &step).await && !has_process(&step) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the step of a dropped build stays");
}

async fn has_container(engine: &Engine, step: &str) -> bool {
    let options = ListContainersOptionsBuilder::default().all(true).build();
    let containers = engine.docker.list_containers(Some(options)).await.unwrap();
    let mut commands = containers.iter().filter_map(|c| c.command.as_deref());
    commands.any(|command| command.contains(step))
}

fn has_process(step: &str) -> bool {
    let processes = fs_err::read_dir("/proc").unwrap().flatten();
    let command = |path: std::path::PathBuf| fs_err::read(path.join("cmdline")).ok();
    processes
        .filter_map(|process| command(process.path()))
        .any(|words| String::from_utf8_lossy(&words).replace('\0', " ").trim() == step)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_context_streams() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    let text =
        b"FROM launch-test/busybox:1\nCOPY . /job\nRUN [ $(stat -c %s /job/big) = 67108864 ]\n";
    let spec = BuildSpec::new().with_dockerfile("D");
    let directory_project = project("launch-test/large", &[("D", text)], &spec);
    let big = fs_err::File::create(directory_project.directory.path().join("big")).unwrap();
    big.set_len(64 << 20).unwrap();
    let lines = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&lines);
    let events = Events::new(move |event| {
        if matches!(event, Event::Log(_)) {
            *counted.lock().unwrap() += 1;
        }
    });
    engine
        .builder
        .build(directory_project.request(), &events)
        .await
        .unwrap();
    engine.forget(&directory_project.image).await;
    assert!(*lines.lock().unwrap() >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_export_leaves_nothing_beside_its_target() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    // Random bytes: their compression takes longer than the test waits.
    let text = b"FROM launch-test/busybox:1\nRUN head -c 50000000 /dev/urandom > /big\n";
    let project = project(
        "launch-test/export",
        &[("D", text)],
        &BuildSpec::new().with_dockerfile("D"),
    );
    engine
        .builder
        .build(project.request(), &Events::silent())
        .await
        .unwrap();
    let parent = tempfile::tempdir().unwrap();
    let count = || fs_err::read_dir(parent.path()).unwrap().count();
    let delivery = Delivery::Layout(parent.path().join("layout"));
    let request = project.request().with_delivery(delivery);
    let begun = async {
        while count() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let events = Events::silent();
    tokio::select! {
        result = engine.builder.build(request, &events) => panic!("{result:?}"),
        () = begun => {}
    }
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    while count() > 0 && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    engine.forget(&project.image).await;
    assert_eq!(count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_checked_and_asked_for_bases() {
    let Some(engine) = Engine::connect() else {
        return;
    };
    engine.builder.check().await.unwrap();
    let digest = async |image: &str| {
        engine
            .builder
            .base_digest(&image.parse().unwrap())
            .await
            .unwrap()
    };
    assert!(digest("launch-test/busybox:1").await.is_some());
    assert_eq!(digest("127.0.0.1:9/none/none:1").await, None);
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unavailable() {
    let docker = Docker::connect_with_http("http://127.0.0.1:9", 5, bollard::API_DEFAULT_VERSION);
    let builder = DockerBuilder::with(docker.unwrap());
    let error = builder.check().await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unavailable {
                builder: "docker",
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_retryable());
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let docker = Docker::connect_with_http(&url, 60, bollard::API_DEFAULT_VERSION).unwrap();
    let error = DockerBuilder::with(docker).check().await.unwrap_err();
    assert!(
        error.to_string().contains("did not answer within 5 s"),
        "{error}"
    );
}
