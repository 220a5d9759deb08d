//! What a job wants installed.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::confine;
use crate::error::Error;

const FILE: &str = "requirements.txt";
const PYPROJECT: &str = "pyproject.toml";
const FROZEN: &str = "requirements.frozen.txt";
const WHAT: &str = "requirements file";
/// The package without which a job reports nothing.
const WANDB: &str = "wandb";

/// No list of requirements includes more files than this.
const MOST_FILES: usize = 100;

/// What to install, and what of the source installing it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Requirements {
    /// The file that decided, relative to the project.
    pub file: PathBuf,
    /// What sort of list it is.
    pub kind: RequirementsKind,
    /// The packages, for a list that pip cannot read by itself.
    pub packages: Vec<String>,
    /// The files pip reads: the list and those it includes.
    pub files: Vec<PathBuf>,
    /// The list names parts of the source itself (`-e .`, a wheel), so that installing
    /// comes after the copying and is repeated with every change.
    pub needs_source: bool,
    /// There is nothing in the list: it says that nothing is to be installed.
    pub is_empty: bool,
    /// The list says something of `wandb`.
    #[serde(skip)]
    pub(super) names_wandb: bool,
}

/// What sort of list requirements are, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RequirementsKind {
    /// A `requirements.txt`.
    File,
    /// The `[project]` table of a `pyproject.toml`.
    Pyproject,
    /// A `requirements.frozen.txt`: everything that was installed, dependencies included.
    Frozen,
}

/// The parts of a `pyproject.toml` that matter here (PEP 621).
#[derive(Debug, Deserialize)]
pub(super) struct Pyproject {
    project: Option<Project>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Project {
    #[serde(default)]
    dependencies: Vec<String>,
    requires_python: Option<String>,
}

impl Pyproject {
    pub(super) fn read(root: &Path) -> Result<Option<Self>, Error> {
        let text = confine::find_text(root, Path::new(PYPROJECT), "project file")?;
        let parse = |text: String| {
            toml::from_str(&text).map_err(|error| {
                let line = error
                    .span()
                    .map_or(1, |span| text[..span.start].lines().count().max(1));
                Error::Plan(format!("`{PYPROJECT}` line {line}: {}", error.message()))
            })
        };
        text.map(parse).transpose()
    }

    pub(super) fn requires_python(&self) -> Option<&str> {
        self.project.as_ref()?.requires_python.as_deref()
    }

    /// [`Pyproject::read`] for a source whose requirements stand elsewhere: what is broken
    /// here is a note there.
    pub(super) fn read_if_readable(
        root: &Path,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>, Error> {
        match Self::read(root) {
            Err(error @ Error::Plan(_)) => {
                notes.push(format!("{error}: ignored, as there is a `{FILE}`"));
                Ok(None)
            }
            read => read,
        }
    }

    fn dependencies(&self) -> &[String] {
        self.project
            .as_ref()
            .map_or(&[], |project| &project.dependencies)
    }
}

/// Whether the source has a list that goes before everything else.
pub(super) fn has_file(root: &Path) -> Result<bool, Error> {
    Ok(confine::find(root, Path::new(FILE), WHAT)?.is_some())
}

/// Finds what to install: `requirements.txt`, else the dependencies in `pyproject.toml`,
/// else `requirements.frozen.txt`. A list that is there but empty is an answer too.
pub(super) fn find(
    root: &Path,
    pyproject: Option<&Pyproject>,
) -> Result<Option<Requirements>, Error> {
    if let Some(list) = read_list(root, FILE, RequirementsKind::File)? {
        return Ok(Some(list));
    }
    match pyproject.map_or(&[][..], Pyproject::dependencies) {
        [] => read_list(root, FROZEN, RequirementsKind::Frozen),
        dependencies => from_dependencies(dependencies).map(Some),
    }
}

fn from_dependencies(dependencies: &[String]) -> Result<Requirements, Error> {
    let strange = |text: &&String| text.trim().is_empty() || text.contains(char::is_control);
    if let Some(text) = dependencies.iter().find(strange) {
        return Err(Error::Plan(format!(
            "`{PYPROJECT}` has a dependency {text:?}, which is none"
        )));
    }
    Ok(Requirements {
        file: PYPROJECT.into(),
        kind: RequirementsKind::Pyproject,
        packages: dependencies.to_vec(),
        files: Vec::new(),
        needs_source: dependencies.iter().any(|text| is_local(text)),
        is_empty: false,
        names_wandb: dependencies.iter().any(|text| text.contains(WANDB)),
    })
}

fn read_list(
    root: &Path,
    name: &str,
    kind: RequirementsKind,
) -> Result<Option<Requirements>, Error> {
    if confine::find(root, Path::new(name), WHAT)?.is_none() {
        return Ok(None);
    }
    let mut list = List {
        root,
        files: BTreeSet::new(),
        is_effective: false,
        needs_source: false,
        names_wandb: false,
    };
    list.read(PathBuf::from(name))?;
    let needs_source = list.needs_source || !list.files.iter().all(|file| is_plain(file));
    Ok(Some(Requirements {
        file: name.into(),
        kind,
        packages: Vec::new(),
        files: list.files.into_iter().collect(),
        needs_source,
        is_empty: !list.is_effective,
        names_wandb: list.names_wandb,
    }))
}

/// A list in pip's format with all it includes.
struct List<'a> {
    root: &'a Path,
    files: BTreeSet<PathBuf>,
    is_effective: bool,
    needs_source: bool,
    names_wandb: bool,
}

impl List<'_> {
    fn read(&mut self, file: PathBuf) -> Result<(), Error> {
        let mut waiting = vec![file];
        while let Some(file) = waiting.pop() {
            if self.files.contains(&file) {
                continue;
            }
            if self.files.len() == MOST_FILES {
                return Err(Error::Plan(format!(
                    "`{FILE}` includes over {MOST_FILES} files"
                )));
            }
            let text = confine::read_text(self.root, &file, WHAT)?;
            self.names_wandb |= text.contains(WANDB);
            for line in logical_lines(&text) {
                self.take(&line, &file, &mut waiting)?;
            }
            self.files.insert(file);
        }
        Ok(())
    }

    fn take(&mut self, line: &str, file: &Path, waiting: &mut Vec<PathBuf>) -> Result<(), Error> {
        if let Some(included) = option(line, "-r", "--requirement") {
            // Included by URL: pip fetches it.
            self.is_effective |= included.contains("://");
            waiting.extend(included_path(file, included)?);
        } else if let Some(included) = option(line, "-c", "--constraint") {
            waiting.extend(included_path(file, included)?);
        } else if let Some(place) = option(line, "-e", "--editable") {
            self.is_effective = true;
            self.needs_source |= !place.contains("://");
        } else if let Some(place) = option(line, "-f", "--find-links") {
            self.needs_source |= !place.contains("://");
        } else if !line.starts_with('-') {
            self.is_effective = true;
            self.needs_source |= is_local(line);
        }
        Ok(())
    }
}

/// pip's lines: continued ones joined, comments and blank ones left out.
fn logical_lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\r\n", "").replace("\\\n", "");
    let without_comment = |line: &str| {
        let starts = |(at, _): &(usize, &str)| {
            *at == 0 || line[..*at].ends_with(|c: char| c.is_ascii_whitespace())
        };
        let end = line
            .match_indices('#')
            .find(starts)
            .map_or(line.len(), |(at, _)| at);
        line[..end].trim().to_owned()
    };
    let lines = joined
        .trim_start_matches('\u{feff}')
        .lines()
        .map(without_comment);
    lines.filter(|line| !line.is_empty()).collect()
}

/// The value of an option in one of its four spellings.
fn option<'a>(line: &'a str, short: &str, long: &str) -> Option<&'a str> {
    let value = match line.strip_prefix(long) {
        Some(rest) if rest.starts_with(['=', ' ', '\t']) => &rest[1..],
        Some(_) => return None,
        None => line
            .strip_prefix(short)
            .filter(|_| !line.starts_with("--"))?,
    };
    Some(value.trim())
}

/// A file that `file` includes, relative to the project; `None` for a URL.
fn included_path(file: &Path, included: &str) -> Result<Option<PathBuf>, Error> {
    if included.contains("://") {
        return Ok(None);
    }
    let why = "leads out of the source";
    let refusal = || Error::Path {
        what: WHAT,
        path: included.into(),
        why,
    };
    let mut path = file.parent().unwrap_or(Path::new("")).to_owned();
    for component in Path::new(included).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir if path.pop() => {}
            _ => return Err(refusal()),
        }
    }
    Ok(Some(path))
}

/// Whether a requirement is a path of the source rather than a package or a URL.
fn is_local(requirement: &str) -> bool {
    let place = match requirement.split_once('@') {
        Some((_, place)) if !requirement.starts_with(['.', '/']) => place.trim(),
        _ => requirement,
    };
    if place.starts_with("file:") || place.starts_with('.') {
        return true;
    }
    let place = place.split([';', ' ']).next().unwrap_or_default();
    let archive = [".whl", ".tar.gz", ".zip"]
        .iter()
        .any(|end| place.ends_with(end));
    !place.contains("://") && (archive || place.contains('/'))
}

/// Whether `COPY` takes this path as it is, without patterns or variables in it.
fn is_plain(path: &Path) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    path.to_str().is_some_and(|text| text.chars().all(fine))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Result<Option<Requirements>, Error> {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        for (name, text) in files {
            fs_err::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs_err::write(root.join(name), text).unwrap();
        }
        let pyproject = Pyproject::read(&root)?;
        find(&root, pyproject.as_ref())
    }

    #[test]
    fn the_strongest_list_wins() {
        let file = ("requirements.txt", "numpy\n");
        let pyproject = ("pyproject.toml", "[project]\ndependencies = ['torch>=2']\n");
        let frozen = ("requirements.frozen.txt", "six==1.0\n");
        let kind = |files: &[_]| found(files).unwrap().map(|list| list.kind);
        assert_eq!(
            kind(&[file, pyproject, frozen]),
            Some(RequirementsKind::File)
        );
        assert_eq!(
            kind(&[pyproject, frozen]),
            Some(RequirementsKind::Pyproject)
        );
        assert_eq!(kind(&[frozen]), Some(RequirementsKind::Frozen));
        assert_eq!(kind(&[]), None);
    }

    #[test]
    fn a_list_of_comments_installs_nothing() {
        let text = "# numpy\n\n   # torch\n--index-url https://host/simple\n";
        let frozen = ("requirements.frozen.txt", "six==1.0\n");
        let list = found(&[("requirements.txt", text), frozen])
            .unwrap()
            .unwrap();
        assert_eq!((list.kind, list.is_empty), (RequirementsKind::File, true));
    }

    #[test]
    fn included_files_come_along() {
        let list = found(&[
            (
                "requirements.txt",
                "-r reqs/base.txt\n--constraint=limits.txt\n",
            ),
            (
                "reqs/base.txt",
                "numpy # fast\n-r ../more.txt\n-r base.txt\n",
            ),
            ("more.txt", "six \\\n  ==1.0\n"),
            ("limits.txt", "numpy<3\n"),
        ]);
        let list = list.unwrap().unwrap();
        let files: Vec<_> = list
            .files
            .iter()
            .map(|file| file.to_str().unwrap())
            .collect();
        assert_eq!(
            files,
            [
                "limits.txt",
                "more.txt",
                "reqs/base.txt",
                "requirements.txt"
            ]
        );
        assert!(!list.needs_source);
    }

    #[test]
    fn included_files_stay_inside() {
        for line in ["-r ../other.txt", "-c /etc/passwd", "-r none.txt"] {
            assert!(found(&[("requirements.txt", line)]).is_err(), "{line}");
        }
    }

    #[test]
    fn lists_that_name_the_source_are_known() {
        for (line, local) in [
            ("-e .", true),
            ("--editable=./lib", true),
            ("./vendor/a.whl", true),
            ("a-1.0-py3-none-any.whl", true),
            ("lib @ file:./lib", true),
            ("--find-links=vendor\nsix", true),
            ("six>=1.0; python_version < '4'", false),
            ("a @ https://host/a/b.whl", false),
            ("-e git+https://host/a.git#egg=a", false),
            ("https://host/a.tar.gz", false),
        ] {
            let list = found(&[("requirements.txt", line)]).unwrap().unwrap();
            assert_eq!(list.needs_source, local, "{line}");
        }
    }

    #[test]
    fn a_broken_project_file_is_told_by_its_line() {
        let error = found(&[("pyproject.toml", "[project]\ndependencies = 3\n")]).unwrap_err();
        assert!(
            error.to_string().contains("`pyproject.toml` line 2"),
            "{error}"
        );
    }
}
