//! The Dockerfile of a source that brings none, and what a Dockerfile builds on.
//!
//! The text depends on its [`Recipe`] alone. The steps that change least come first: user,
//! installer, packages, code, command. It is written twice: once with instructions every
//! builder has, and once with the cache mounts of `BuildKit`, which keep downloaded packages
//! from one build to the next. Both make the same image: `BuildKit` reads no ignore file in
//! an archive, so its text drops what was added to the code in a stage of its own.

mod bases;
#[cfg(any(feature = "docker", feature = "kaniko"))]
mod failed;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::Path;

use launch_config::image::ImageRef;

pub(crate) use self::bases::bases;
#[cfg(any(feature = "docker", feature = "kaniko"))]
pub(crate) use self::failed::failed_packages;
use crate::plan::{
    DOCKERFILE_NAME, Dockerfile, DockerfileOrigin, EntryPoint, Python, Requirements,
    RequirementsKind,
};

/// Where the code of a generated image is, and the home of its user.
pub(crate) const WORK_DIR: &str = "/home/launch";

/// Where python lives in an accelerator image: apart from the system's own.
const ENVIRONMENT: &str = "/opt/launch";

/// The installer, of one version: another resolver can choose other packages.
const INSTALLER: &str = "uv==0.13.9";

/// Installs a frozen list, and says what of it cannot be installed.
pub(crate) const INSTALL_FROZEN: &str = include_str!("dockerfile/install_frozen.py");

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

/// Which instructions the builder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frontend {
    /// Those that every builder has.
    Plain,
    /// Cache mounts as well.
    BuildKit,
}

/// Writes it.
pub(crate) fn generate(recipe: &Recipe<'_>) -> Dockerfile {
    Dockerfile {
        text: write(recipe, Frontend::Plain),
        buildkit: Some(write(recipe, Frontend::BuildKit)),
        origin: DockerfileOrigin::Generated,
    }
}

fn write(recipe: &Recipe<'_>, frontend: Frontend) -> String {
    let mut text = String::new();
    let mut code = format!("COPY --chown={}:0 . .", recipe.user_id);
    if frontend == Frontend::BuildKit {
        clean(&mut text, recipe.start);
        code = format!("COPY --from=code --chown={}:0 /code/ ./", recipe.user_id);
    }
    start(&mut text, recipe.start);
    line(&mut text, "ENV PYTHONUNBUFFERED=1 SHELL=/bin/bash");
    user(&mut text, recipe.user_id);
    if let Some(list) = recipe.requirements {
        line(&mut text, &run_installer(frontend));
        if list.needs_source {
            line(&mut text, &code);
        } else {
            copy_lists(&mut text, list);
        }
        line(&mut text, &install(list, frontend));
    }
    if recipe.requirements.is_none_or(|list| !list.needs_source) {
        line(&mut text, &code);
    }
    // Only now: what root's own home caches is mounted there.
    if recipe.user_id != 0 {
        line(&mut text, &format!("ENV HOME={WORK_DIR} USER=launch"));
    }
    line(&mut text, &format!("USER {}:0", recipe.user_id));
    let command = json(&recipe.entry.command);
    line(&mut text, &format!("ENTRYPOINT {command}"));
    text
}

/// A stage with the code alone.
fn clean(text: &mut String, start: Start<'_>) {
    match start {
        Start::Python(python) => line(
            text,
            &format!("FROM python:{}-slim AS code", python.version),
        ),
        Start::Image(image) | Start::Accelerator(image, _) => {
            line(text, &format!("FROM {image} AS code"));
            line(text, "USER 0:0");
        }
    }
    line(text, "COPY . /code/");
    line(text, &format!("RUN rm -f /code/{DOCKERFILE_NAME}*"));
}

/// A user with a home it may write to, of group 0, as clusters that choose the uid want it.
/// No tool of the image is used but its shell: not every base has `useradd`.
fn user(text: &mut String, id: u32) {
    let entry = format!("launch:x:{id}:0::{WORK_DIR}:/bin/bash");
    let known = format!("grep -q '^[^:]*:[^:]*:{id}:' /etc/passwd");
    let made = format!("mkdir -p {WORK_DIR}/.cache && chown -R {id}:0 {WORK_DIR}");
    line(
        text,
        &format!("RUN {{ {known} || echo '{entry}' >> /etc/passwd; }} && {made}"),
    );
    line(text, &format!("WORKDIR {WORK_DIR}"));
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
            line(
                text,
                &format!("ENV VIRTUAL_ENV={ENVIRONMENT} PATH={ENVIRONMENT}/bin:$PATH"),
            );
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

/// How uv is told to install: as root, in an image that is all ours. What the image trusts,
/// uv trusts: behind a proxy that signs anew, its own list fails.
pub(crate) const FLAGS: [&str; 3] = ["--system-certs", "--break-system-packages", "--no-progress"];

/// A shell's command by which pip, of whatever age, installs uv.
pub(crate) fn installer() -> String {
    pip(" --no-cache-dir")
}

fn pip(caching: &str) -> String {
    format!(
        "PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore \
         PIP_DISABLE_PIP_VERSION_CHECK=1 python -m pip install --no-input{caching} {INSTALLER}"
    )
}

fn run_installer(frontend: Frontend) -> String {
    match frontend {
        Frontend::Plain => format!("RUN {}", installer()),
        Frontend::BuildKit => {
            format!("RUN --mount=type=cache,target=/root/.cache/pip {}", pip(""))
        }
    }
}

/// Lets the first python of the image be installed into, be it the system's or an
/// environment's; the requirements are arguments no shell reads: they may contain `>`.
const INSTALL: [&str; 4] = [
    "sh",
    "-c",
    r#"exec python -m uv pip install --python "$(command -v python)" "$@""#,
    "install",
];

fn install(list: &Requirements, frontend: Frontend) -> String {
    let mut words = match list.kind {
        RequirementsKind::Frozen => vec!["python", "-c", INSTALL_FROZEN],
        RequirementsKind::File | RequirementsKind::Pyproject => INSTALL.to_vec(),
    };
    words.extend(FLAGS);
    let mount = match frontend {
        Frontend::Plain => {
            words.push("--no-cache");
            ""
        }
        Frontend::BuildKit => {
            words.push("--link-mode=copy");
            "--mount=type=cache,target=/root/.cache/uv "
        }
    };
    let file = list.file.display().to_string();
    match list.kind {
        RequirementsKind::File => words.extend(["-r", &file]),
        RequirementsKind::Frozen => words.push(&file),
        RequirementsKind::Pyproject => {
            words.push("--");
            words.extend(list.packages.iter().map(String::as_str));
        }
    }
    let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    format!("RUN {mount}{}", json(&words))
}

/// A JSON array on one line, as the exec forms take it.
fn json(words: &[String]) -> String {
    serde_json::to_string(words).expect("a list of texts is JSON")
}
