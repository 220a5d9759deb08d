//! The Dockerfile of a source that brings none, and what a Dockerfile builds on.
//!
//! The text depends on its [`Recipe`] alone and needs no frontend but the classic one. The
//! steps that change least come first: user, packages, code, command.

mod bases;

use std::fmt::Write as _;
use std::path::Path;

use launch_config::image::ImageRef;

pub(crate) use self::bases::bases;
use crate::plan::{EntryPoint, Python, Requirements, RequirementsKind};

/// Where the code of a generated image is, and the home of its user.
pub(crate) const WORK_DIR: &str = "/home/launch";

/// Where python lives in an accelerator image: apart from the system's own.
const ENVIRONMENT: &str = "/opt/launch";

/// What a generated Dockerfile starts from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a> {
    /// The official image of a version of python.
    Python(&'a Python),
    /// An image that has python and pip.
    Image(&'a ImageRef),
    /// A Debian-like image that python is installed into.
    Accelerator(&'a ImageRef, &'a Python),
}

/// All that a generated Dockerfile depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipe<'a> {
    pub(crate) start: Start<'a>,
    pub(crate) requirements: Option<&'a Requirements>,
    pub(crate) user_id: u32,
    pub(crate) entry: &'a EntryPoint,
}

/// Writes it.
pub(crate) fn generate(recipe: &Recipe<'_>) -> String {
    let mut text = String::new();
    start(&mut text, recipe.start);
    let id = recipe.user_id;
    // pip runs as root here, in an image that is all ours; it need not warn of either.
    line(
        &mut text,
        "ENV PYTHONUNBUFFERED=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
         PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1",
    );
    line(
        &mut text,
        &format!("RUN mkdir -p {WORK_DIR} && chown {id}:{id} {WORK_DIR}"),
    );
    line(&mut text, &format!("WORKDIR {WORK_DIR}"));
    let code = format!("COPY --chown={id}:{id} . .");
    match recipe.requirements {
        Some(list) if list.needs_source => {
            line(&mut text, &code);
            line(&mut text, &install(list));
        }
        Some(list) => {
            copy_lists(&mut text, list);
            line(&mut text, &install(list));
            line(&mut text, &code);
        }
        None => line(&mut text, &code),
    }
    // The user has no entry in `/etc/passwd`: what would be looked up there is said here.
    line(&mut text, &format!("ENV HOME={WORK_DIR} USER=launch"));
    line(&mut text, &format!("USER {id}:{id}"));
    line(
        &mut text,
        &format!("ENTRYPOINT {}", json(&recipe.entry.command)),
    );
    text
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes all text");
}

fn start(text: &mut String, start: Start<'_>) {
    match start {
        Start::Python(python) => line(text, &format!("FROM python:{}-slim", python.version)),
        Start::Image(image) => {
            line(text, &format!("FROM {image}"));
            line(text, "USER 0:0");
        }
        Start::Accelerator(image, python) => {
            let version = &python.version;
            line(text, &format!("FROM {image}"));
            line(text, "USER 0:0");
            let packages = format!("python{version} python{version}-venv ca-certificates");
            line(
                text,
                &format!(
                    "RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
                     --no-install-recommends {packages} && rm -rf /var/lib/apt/lists/*"
                ),
            );
            line(text, &format!("RUN python{version} -m venv {ENVIRONMENT}"));
            line(text, &format!("ENV PATH={ENVIRONMENT}/bin:$PATH"));
        }
    }
}

/// The lists alone, so that a change of code does not install anew.
fn copy_lists(text: &mut String, list: &Requirements) {
    for file in &list.files {
        let directory = file.parent().filter(|parent| *parent != Path::new(""));
        let target = directory.map_or("./".to_owned(), |parent| format!("./{}/", parent.display()));
        line(
            text,
            &format!("COPY {}", json(&[file.display().to_string(), target])),
        );
    }
}

/// In the form that no shell reads: a requirement may contain `>` and `'`.
fn install(list: &Requirements) -> String {
    let words = ["python", "-m", "pip", "install", "--no-cache-dir"];
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let file = list.file.display().to_string();
    match list.kind {
        RequirementsKind::File => words.extend(["-r".to_owned(), file]),
        // What was frozen is complete; resolving it again could only fail.
        RequirementsKind::Frozen => {
            words.extend(["--no-deps".to_owned(), "-r".to_owned(), file]);
        }
        RequirementsKind::Pyproject => {
            words.push("--".to_owned());
            words.extend(list.packages.iter().cloned());
        }
    }
    format!("RUN {}", json(&words))
}

/// A JSON array on one line, as the exec forms take it.
fn json(words: &[String]) -> String {
    serde_json::to_string(words).expect("a list of texts is JSON")
}

#[cfg(test)]
mod tests {
    use crate::plan::{BuildSpec, plan};
    use crate::source::SourceTree;

    fn text(files: &[(&str, &str)], spec: &BuildSpec) -> String {
        let project = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = project.path().join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, text).unwrap();
        }
        plan(&SourceTree::open(project.path()).unwrap(), spec)
            .unwrap()
            .dockerfile
            .text
    }

    const SCRIPT: (&str, &str) = ("train.py", "");

    #[test]
    fn a_script_alone() {
        insta::assert_snapshot!(text(&[SCRIPT], &BuildSpec::new()), @r#"
        FROM python:3.12-slim
        ENV PYTHONUNBUFFERED=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1
        RUN mkdir -p /home/launch && chown 1000:1000 /home/launch
        WORKDIR /home/launch
        COPY --chown=1000:1000 . .
        ENV HOME=/home/launch USER=launch
        USER 1000:1000
        ENTRYPOINT ["python","-u","train.py"]
        "#);
    }

    #[test]
    fn requirements_come_before_the_code() {
        let files = [
            SCRIPT,
            ("requirements.txt", "-r reqs/base.txt\n"),
            ("reqs/base.txt", "numpy\n"),
        ];
        insta::assert_snapshot!(text(&files, &BuildSpec::new()), @r#"
        FROM python:3.12-slim
        ENV PYTHONUNBUFFERED=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1
        RUN mkdir -p /home/launch && chown 1000:1000 /home/launch
        WORKDIR /home/launch
        COPY ["reqs/base.txt","./reqs/"]
        COPY ["requirements.txt","./"]
        RUN ["python","-m","pip","install","--no-cache-dir","-r","requirements.txt"]
        COPY --chown=1000:1000 . .
        ENV HOME=/home/launch USER=launch
        USER 1000:1000
        ENTRYPOINT ["python","-u","train.py"]
        "#);
    }

    #[test]
    fn requirements_that_are_the_code_come_after_it() {
        let files = [SCRIPT, ("requirements.txt", "-e .\n")];
        insta::assert_snapshot!(text(&files, &BuildSpec::new()), @r#"
        FROM python:3.12-slim
        ENV PYTHONUNBUFFERED=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1
        RUN mkdir -p /home/launch && chown 1000:1000 /home/launch
        WORKDIR /home/launch
        COPY --chown=1000:1000 . .
        RUN ["python","-m","pip","install","--no-cache-dir","-r","requirements.txt"]
        ENV HOME=/home/launch USER=launch
        USER 1000:1000
        ENTRYPOINT ["python","-u","train.py"]
        "#);
    }

    #[test]
    fn dependencies_of_a_project_are_not_read_by_a_shell() {
        let project = "[project]\nrequires-python = '>=3.11'\n\
                       dependencies = ['numpy>=2', 'torch; sys_platform == \"linux\"']\n";
        let files = [SCRIPT, ("pyproject.toml", project)];
        insta::assert_snapshot!(text(&files, &BuildSpec::new()), @r#"
        FROM python:3.11-slim
        ENV PYTHONUNBUFFERED=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1
        RUN mkdir -p /home/launch && chown 1000:1000 /home/launch
        WORKDIR /home/launch
        RUN ["python","-m","pip","install","--no-cache-dir","--","numpy>=2","torch; sys_platform == \"linux\""]
        COPY --chown=1000:1000 . .
        ENV HOME=/home/launch USER=launch
        USER 1000:1000
        ENTRYPOINT ["python","-u","train.py"]
        "#);
    }

    #[test]
    fn an_accelerator_image_gets_a_python() {
        let image = "nvidia/cuda:12.4.1-runtime-ubuntu22.04".parse().unwrap();
        let spec = BuildSpec::new()
            .with_accelerator_base_image(image)
            .with_python_version("3.11")
            .with_user_id(0)
            .with_entry_point(["train.py", "--name", "a \"b\" $HOME"]);
        let files = [SCRIPT, ("requirements.frozen.txt", "six==1.16.0\n")];
        insta::assert_snapshot!(text(&files, &spec), @r#"
        FROM nvidia/cuda:12.4.1-runtime-ubuntu22.04
        USER 0:0
        RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3.11 python3.11-venv ca-certificates && rm -rf /var/lib/apt/lists/*
        RUN python3.11 -m venv /opt/launch
        ENV PATH=/opt/launch/bin:$PATH
        ENV PYTHONUNBUFFERED=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1
        RUN mkdir -p /home/launch && chown 0:0 /home/launch
        WORKDIR /home/launch
        COPY ["requirements.frozen.txt","./"]
        RUN ["python","-m","pip","install","--no-cache-dir","--no-deps","-r","requirements.frozen.txt"]
        COPY --chown=0:0 . .
        ENV HOME=/home/launch USER=launch
        USER 0:0
        ENTRYPOINT ["python","-u","train.py","--name","a \"b\" $HOME"]
        "#);
    }

    #[test]
    fn another_base_brings_its_own_python() {
        let spec = BuildSpec::new()
            .with_base_image("localhost:5000/team/torch:2".parse().unwrap())
            .with_entry_point(["run.sh"]);
        insta::assert_snapshot!(text(&[("run.sh", "")], &spec), @r#"
        FROM localhost:5000/team/torch:2
        USER 0:0
        ENV PYTHONUNBUFFERED=1 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_BREAK_SYSTEM_PACKAGES=1
        RUN mkdir -p /home/launch && chown 1000:1000 /home/launch
        WORKDIR /home/launch
        COPY --chown=1000:1000 . .
        ENV HOME=/home/launch USER=launch
        USER 1000:1000
        ENTRYPOINT ["bash","run.sh"]
        "#);
    }
}
