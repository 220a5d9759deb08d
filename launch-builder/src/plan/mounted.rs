//! Code without an image of its own: a base image, and the code mounted into it.

use launch_config::image::ImageRef;
use launch_config::spec::CODE_MOUNT;
use serde::Serialize;

use super::requirements::{self, Pyproject};
use super::{BuildSpec, EntryPoint, Requirements, RequirementsKind, decide};
use crate::dockerfile;
use crate::error::Error;
use crate::source::SourceTree;

/// How code runs where nothing builds images: by the command, with the source at
/// [`CODE_MOUNT`], where W&B's agent has it too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Mounted {
    /// The base image; it has python with pip.
    pub image: ImageRef,
    /// Installs what the source lists, then becomes the program.
    pub command: Vec<String>,
    /// What is installed at every start.
    pub requirements: Option<Requirements>,
    /// What runs then.
    pub entry_point: EntryPoint,
}

/// Decides how a source runs in `image` with its code mounted. Reads the disk, and nothing
/// else.
///
/// ```
/// use launch_builder::plan::{BuildSpec, mounted};
/// use launch_builder::source::SourceTree;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let project = tempfile::tempdir()?;
/// fs_err::write(project.path().join("train.py"), "")?;
/// let tree = SourceTree::open(project.path())?;
/// let mounted = mounted(&tree, &BuildSpec::new(), "python:3.12-slim".parse()?)?;
/// assert_eq!(mounted.command, ["python", "-u", "train.py"]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`plan`](super::plan()); [`Error::Plan`] also if the source needs a Dockerfile, which
/// only a builder can use.
pub fn mounted(tree: &SourceTree, spec: &BuildSpec, image: ImageRef) -> Result<Mounted, Error> {
    spec.check()?;
    if let Some(path) = &spec.dockerfile {
        let path = path.display();
        return Err(Error::NothingToBuildWith(format!("Dockerfile {path}")));
    }
    let entry_point = decide::command(tree, spec)?;
    let root = tree.root();
    let pyproject = if requirements::has_file(root)? {
        None
    } else {
        Pyproject::read(root)?
    };
    let requirements = requirements::find(root, pyproject.as_ref())?;
    let installed = requirements.as_ref().filter(|list| !list.is_empty);
    let mut command = installed.map_or_else(Vec::new, install);
    command.extend(entry_point.command.iter().cloned());
    Ok(Mounted {
        image,
        command,
        requirements,
        entry_point,
    })
}

/// A shell that installs, and then is the program: its arguments are the list, what reads
/// a frozen one, and the program.
fn install(list: &Requirements) -> Vec<String> {
    let installer = dockerfile::installer();
    let flags = dockerfile::FLAGS.join(" ");
    let (read, count) = match list.kind {
        RequirementsKind::Frozen => (format!("python -c \"$2\" {flags} --no-cache \"$1\""), 2),
        RequirementsKind::File | RequirementsKind::Pyproject => {
            let python = "--python \"$(command -v python)\"";
            let read = format!("python -m uv pip install {python} {flags} --no-cache -r \"$1\"");
            (read, 1)
        }
    };
    let script = format!("{installer} && {read} && shift {count} && exec \"$@\"");
    let list = format!("{CODE_MOUNT}/{}", list.file.display());
    let mut words = vec![
        "sh".to_owned(),
        "-c".to_owned(),
        script,
        "launch".to_owned(),
        list,
    ];
    if count == 2 {
        words.push(dockerfile::INSTALL_FROZEN.to_owned());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let project = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs_err::write(project.path().join(name), text).unwrap();
        }
        project
    }

    fn of(files: &[(&str, &str)], spec: &BuildSpec) -> Result<Mounted, Error> {
        let project = project(files);
        mounted(
            &SourceTree::open(project.path()).unwrap(),
            spec,
            "b:1".parse().unwrap(),
        )
    }

    #[test]
    fn packages_are_installed_before_the_program() {
        let spec = BuildSpec::new().with_entry_point(["python", "a b.py", "$HOME"]);
        let files = [("a b.py", ""), ("requirements.txt", "six\n")];
        let command = of(&files, &spec).unwrap().command;
        assert_eq!(command[..2], ["sh", "-c"]);
        assert!(
            command[2].ends_with("-r \"$1\" && shift 1 && exec \"$@\""),
            "{}",
            command[2]
        );
        assert_eq!(
            command[3..],
            [
                "launch",
                "/mnt/wandb/requirements.txt",
                "python",
                "a b.py",
                "$HOME"
            ]
        );
        let frozen = [("a b.py", ""), ("requirements.frozen.txt", "six==1\n")];
        let command = of(&frozen, &spec).unwrap().command;
        assert_eq!(command[5], dockerfile::INSTALL_FROZEN);
        assert_eq!(command[6], "python");
    }

    #[test]
    fn a_dockerfile_needs_a_builder() {
        let spec = BuildSpec::new().with_dockerfile("D");
        let error = of(&[("main.py", ""), ("D", "FROM x\n")], &spec).unwrap_err();
        assert!(matches!(error, Error::NothingToBuildWith(_)), "{error}");
    }

    #[test]
    fn what_leads_out_is_refused_here_too() {
        let spec = BuildSpec::new().with_entry_point(["python", "../x.py"]);
        assert!(matches!(of(&[], &spec), Err(Error::Path { .. })));
    }
}
