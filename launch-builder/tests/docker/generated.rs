//! Dockerfiles of ours: they build, and what they install is there.

use launch_builder::conformance::Bench as _;
use launch_builder::event::{Event, Events};
use launch_builder::plan::BuildSpec;
use launch_builder::{Builder as _, BuiltImage};

use super::engine::Engine;
use super::project::{listening, project, run};
use super::wheel::wheel;

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
