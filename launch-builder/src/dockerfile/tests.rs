//! What is generated, line by line.

use crate::plan::{BuildSpec, Dockerfile, plan};
use crate::source::SourceTree;

fn generated(files: &[(&str, &str)], spec: &BuildSpec) -> Dockerfile {
    let project = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = project.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    plan(&SourceTree::open(project.path()).unwrap(), spec)
        .unwrap()
        .dockerfile
}

fn text(files: &[(&str, &str)], spec: &BuildSpec) -> String {
    generated(files, spec).text
}

const SCRIPT: (&str, &str) = ("train.py", "");

#[test]
fn a_script_alone() {
    insta::assert_snapshot!(text(&[SCRIPT], &BuildSpec::new()), @r#"
    FROM python:3.12-slim
    ENV PYTHONUNBUFFERED=1 SHELL=/bin/bash
    RUN { grep -q '^[^:]*:[^:]*:1000:' /etc/passwd || echo 'launch:x:1000:0::/home/launch:/bin/bash' >> /etc/passwd; } && mkdir -p /home/launch/.cache && chown -R 1000:0 /home/launch
    WORKDIR /home/launch
    COPY --chown=1000:0 . .
    ENV HOME=/home/launch USER=launch
    USER 1000:0
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
    ENV PYTHONUNBUFFERED=1 SHELL=/bin/bash
    RUN { grep -q '^[^:]*:[^:]*:1000:' /etc/passwd || echo 'launch:x:1000:0::/home/launch:/bin/bash' >> /etc/passwd; } && mkdir -p /home/launch/.cache && chown -R 1000:0 /home/launch
    WORKDIR /home/launch
    RUN PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 python -m pip install --no-input --no-cache-dir uv==0.13.9
    COPY ["reqs/base.txt","./reqs/"]
    COPY ["requirements.txt","./"]
    RUN ["sh","-c","exec python -m uv pip install --python \"$(command -v python)\" \"$@\"","install","--system-certs","--break-system-packages","--no-progress","--no-cache","-r","requirements.txt"]
    COPY --chown=1000:0 . .
    ENV HOME=/home/launch USER=launch
    USER 1000:0
    ENTRYPOINT ["python","-u","train.py"]
    "#);
}

#[test]
fn buildkit_keeps_what_uv_downloads_where_uv_looks() {
    let files = [SCRIPT, ("requirements.txt", "-e .\n")];
    let dockerfile = generated(&files, &BuildSpec::new());
    insta::assert_snapshot!(dockerfile.buildkit.unwrap(), @r#"
    FROM python:3.12-slim AS code
    COPY . /code/
    RUN rm -f /code/.launch.Dockerfile*
    FROM python:3.12-slim
    ENV PYTHONUNBUFFERED=1 SHELL=/bin/bash
    RUN { grep -q '^[^:]*:[^:]*:1000:' /etc/passwd || echo 'launch:x:1000:0::/home/launch:/bin/bash' >> /etc/passwd; } && mkdir -p /home/launch/.cache && chown -R 1000:0 /home/launch
    WORKDIR /home/launch
    RUN --mount=type=cache,target=/root/.cache/pip PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore PIP_DISABLE_PIP_VERSION_CHECK=1 python -m pip install --no-input uv==0.13.9
    COPY --from=code --chown=1000:0 /code/ ./
    RUN --mount=type=cache,target=/root/.cache/uv ["sh","-c","exec python -m uv pip install --python \"$(command -v python)\" \"$@\"","install","--system-certs","--break-system-packages","--no-progress","--link-mode=copy","-r","requirements.txt"]
    ENV HOME=/home/launch USER=launch
    USER 1000:0
    ENTRYPOINT ["python","-u","train.py"]
    "#);
}

#[test]
fn dependencies_of_a_project_are_not_read_by_a_shell() {
    let project = "[project]\nrequires-python = '>=3.11'\n\
                   dependencies = ['numpy>=2', 'torch; sys_platform == \"linux\"']\n";
    let text = text(&[SCRIPT, ("pyproject.toml", project)], &BuildSpec::new());
    assert!(text.starts_with("FROM python:3.11-slim\n"), "{text}");
    let end = r#""--no-cache","--","numpy>=2","torch; sys_platform == \"linux\""]"#;
    assert!(text.lines().any(|line| line.ends_with(end)), "{text}");
}

#[test]
fn an_accelerator_image_gets_a_python() {
    let image = "nvidia/cuda:12.4.1-runtime-ubuntu22.04".parse().unwrap();
    let spec = BuildSpec::new()
        .with_accelerator_base_image(image)
        .with_python_version("3.11")
        .with_user_id(0)
        .with_entry_point(["train.py", "--name", "a \"b\" $HOME"]);
    insta::assert_snapshot!(text(&[SCRIPT], &spec), @r#"
    FROM nvidia/cuda:12.4.1-runtime-ubuntu22.04
    USER 0:0
    RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3.11 python3.11-venv ca-certificates && rm -rf /var/lib/apt/lists/*
    RUN python3.11 -m venv /opt/launch
    ENV VIRTUAL_ENV=/opt/launch PATH=/opt/launch/bin:$PATH
    ENV PYTHONUNBUFFERED=1 SHELL=/bin/bash
    RUN { grep -q '^[^:]*:[^:]*:0:' /etc/passwd || echo 'launch:x:0:0::/home/launch:/bin/bash' >> /etc/passwd; } && mkdir -p /home/launch/.cache && chown -R 0:0 /home/launch
    WORKDIR /home/launch
    COPY --chown=0:0 . .
    USER 0:0
    ENTRYPOINT ["python","-u","train.py","--name","a \"b\" $HOME"]
    "#);
}

#[test]
fn a_frozen_list_is_installed_by_a_script_in_one_line() {
    let files = [SCRIPT, ("requirements.frozen.txt", "six==1.16.0\n")];
    let text = text(&files, &BuildSpec::new());
    let line = text
        .lines()
        .find(|line| line.contains("launch-failed-packages"))
        .unwrap();
    let words: Vec<String> = serde_json::from_str(line.strip_prefix("RUN ").unwrap()).unwrap();
    assert_eq!(words[..2], ["python", "-c"]);
    assert_eq!(words[2], super::INSTALL_FROZEN);
    assert_eq!(words.last().unwrap(), "requirements.frozen.txt");
    assert!(
        !super::INSTALL_FROZEN.contains("<<"),
        "that begins a here-document"
    );
}

#[test]
fn another_base_brings_its_own_python() {
    let spec = BuildSpec::new()
        .with_base_image("localhost:5000/team/torch:2".parse().unwrap())
        .with_entry_point(["run.sh"]);
    let text = text(&[("run.sh", "")], &spec);
    assert!(
        text.starts_with("FROM localhost:5000/team/torch:2\nUSER 0:0\nENV "),
        "{text}"
    );
    assert!(
        text.ends_with("USER 1000:0\nENTRYPOINT [\"bash\",\"run.sh\"]\n"),
        "{text}"
    );
}

#[test]
fn an_empty_list_needs_no_installer() {
    let files = [SCRIPT, ("requirements.txt", "# nothing\n")];
    assert_eq!(
        text(&files, &BuildSpec::new()),
        text(&[SCRIPT], &BuildSpec::new())
    );
}
