//! Every generated Dockerfile against rules of the kind hadolint has; each names its own.

use launch_builder::plan::{BuildSpec, plan};
use launch_builder::source::SourceTree;

type Rule = (&'static str, fn(&[&str]) -> bool);

/// Hadolint's number, and whether the instructions are as it wants them.
const RULES: &[Rule] = &[
    ("DL3000 absolute working directories", |lines| {
        of(lines, "WORKDIR").all(|rest| rest.starts_with('/'))
    }),
    ("DL3002 the last user is not root", |lines| {
        of(lines, "USER")
            .last()
            .is_some_and(|user| !user.starts_with('0') && user != "root")
    }),
    ("DL3003 no `cd`", |lines| {
        of(lines, "RUN").all(|run| !run.contains("cd /"))
    }),
    (
        "DL3006 and DL3007 bases have a tag, and not `latest`",
        |lines| of(lines, "FROM").all(|image| image.contains(':') && !image.ends_with(":latest")),
    ),
    (
        "DL3008, DL3014 and DL3015 apt-get asks nothing and recommends nothing",
        |lines| {
            let installs = |run: &&str| run.contains("apt-get install");
            of(lines, "RUN")
                .filter(installs)
                .all(|run| run.contains(" -y ") && run.contains("--no-install-recommends"))
        },
    ),
    ("DL3009 no lists of apt stay", |lines| {
        let updates = |run: &&str| run.contains("apt-get update");
        of(lines, "RUN")
            .filter(updates)
            .all(|run| run.contains("rm -rf /var/lib/apt/lists/*"))
    }),
    ("DL3013 pip installs versions", |lines| {
        let installs = |run: &&str| run.contains("-m pip install");
        of(lines, "RUN")
            .filter(installs)
            .all(|run| run.contains("=="))
    }),
    ("DL3020 COPY, not ADD", |lines| {
        of(lines, "ADD").count() == 0
    }),
    ("DL3025 commands in JSON", |lines| {
        of(lines, "ENTRYPOINT").count() == 1
            && of(lines, "ENTRYPOINT")
                .all(|words| serde_json::from_str::<Vec<String>>(words).is_ok())
    }),
    ("DL3027 no `apt`", |lines| {
        of(lines, "RUN").all(|run| !run.starts_with("apt "))
    }),
    (
        "DL3042 and its like: no cache of a package manager stays",
        |lines| {
            let installs =
                |run: &&str| run.contains("pip install") || run.contains("launch-failed-packages");
            of(lines, "RUN").filter(installs).all(|run| {
                run.contains("--no-cache")
                    || run.contains("--mount=type=cache,target=/root/.cache/")
            })
        },
    ),
    (
        "DL3044 no variable of the same ENV is used in it",
        |lines| {
            of(lines, "ENV").all(|env| {
                let names = env.split(' ').filter_map(|word| word.split_once('='));
                let mut others = names.clone();
                others.all(|(_, value)| {
                    names
                        .clone()
                        .all(|(name, _)| name == "PATH" || !value.contains(&format!("${name}")))
                })
            })
        },
    ),
    ("DL3045 relative copies have a working directory", |lines| {
        let lines = last_stage(lines);
        let first = |word: &str| lines.iter().position(|line| line.starts_with(word));
        first("COPY") > first("WORKDIR")
    }),
    ("DL3059 what is copied last is the code", |lines| {
        let is_code = |line: &&str| line.ends_with(" . .") || line.contains("--from=code ");
        let code = lines.iter().position(is_code).unwrap_or(0);
        lines[code + 1..]
            .iter()
            .all(|line| !line.starts_with("COPY"))
    }),
    (
        "DL4000 and DL4003: no MAINTAINER, no CMD beside the ENTRYPOINT",
        |lines| of(lines, "MAINTAINER").count() == 0 && of(lines, "CMD").count() == 0,
    ),
    ("SC: one instruction a line, and nothing else", |lines| {
        const KNOWN: [&str; 7] = [
            "FROM",
            "ENV",
            "RUN",
            "WORKDIR",
            "COPY",
            "USER",
            "ENTRYPOINT",
        ];
        lines.iter().all(|line| {
            KNOWN
                .iter()
                .any(|word| line.starts_with(&format!("{word} ")))
        })
    }),
];

/// What is in the image; what is before it is not.
fn last_stage<'a, 'b>(lines: &'a [&'b str]) -> &'a [&'b str] {
    let start = lines.iter().rposition(|line| line.starts_with("FROM "));
    &lines[start.unwrap_or(0)..]
}

fn of<'a>(lines: &'a [&'a str], word: &'a str) -> impl Iterator<Item = &'a str> {
    lines
        .iter()
        .filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '))
}

fn broken(text: &str) -> Vec<&'static str> {
    let lines: Vec<&str> = text.lines().collect();
    let broken = RULES.iter().filter(|(_, holds)| !holds(&lines));
    broken.map(|(name, _)| *name).collect()
}

/// Every way to list packages, every start, every command: both texts of each.
#[test]
fn no_generated_dockerfile_breaks_a_rule() {
    let lists: [&[(&str, &str)]; 6] = [
        &[],
        &[(
            "requirements.txt",
            "--index-url https://host/simple\nnumpy>=2\n",
        )],
        &[
            ("requirements.txt", "-r more.txt\n-e .\n"),
            ("more.txt", "six\n"),
        ],
        &[("requirements.txt", "# nothing\n")],
        &[(
            "requirements.frozen.txt",
            "torch==2.1.0+cu121\nwandb==0.1.dev1\n",
        )],
        &[(
            "pyproject.toml",
            "[project]\ndependencies = [\"a>1; python_version > '3'\"]\n",
        )],
    ];
    let image = |text: &str| text.parse().unwrap();
    let starts = [
        BuildSpec::new(),
        BuildSpec::new().with_python_version("3.9.1"),
        BuildSpec::new().with_base_image(image("host:5000/team/torch:2")),
        BuildSpec::new().with_accelerator_base_image(image("nvidia/cuda:12.4.1-runtime")),
    ];
    let commands: [&[&str]; 4] = [
        &[],
        &["train.py"],
        &["bash", "-c", "cd /x && ls"],
        &["a b", "\n"],
    ];
    let mut count = 0;
    for files in lists {
        let project = tempfile::tempdir().unwrap();
        for (name, text) in files.iter().chain([&("train.py", "")]) {
            fs_err::write(project.path().join(name), text).unwrap();
        }
        let tree = SourceTree::open(project.path()).unwrap();
        for (start, command) in starts.iter().flat_map(|start| commands.map(|c| (start, c))) {
            let spec = start.clone().with_entry_point(command.iter().copied());
            let dockerfile = plan(&tree, &spec).unwrap().dockerfile;
            for text in [Some(dockerfile.text), dockerfile.buildkit]
                .into_iter()
                .flatten()
            {
                assert_eq!(broken(&text), Vec::<&str>::new(), "{text}");
                count += 1;
            }
        }
    }
    assert_eq!(count, 16 * 6 * 2, "two texts each");
}

/// Rules that hold for everything would say nothing.
#[test]
fn every_rule_can_be_broken() {
    let bad = "FROM python\nMAINTAINER x\nCOPY a b\nWORKDIR here\nRUN cd /x\nRUN apt install x\n\
               RUN apt-get update && apt-get install x\nRUN python -m pip install uv\nADD x y\n\
               ENV A=1 B=$A\nCOPY . .\nCOPY c d\nCMD x\nENTRYPOINT python\nUSER root\n";
    let names: Vec<_> = RULES.iter().map(|(name, _)| *name).collect();
    assert_eq!(broken(bad), names);
    assert!(broken("FROM x:latest\n").len() > 1);
}
