//! Which python a job wants.

use std::path::Path;

use serde::Serialize;

use super::requirements::Pyproject;
use crate::confine;
use crate::error::Error;

/// The python of a source that asks for none.
const DEFAULT: &str = "3.12";

/// A version of python and who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Python {
    /// `3.12`: the patch release is the base image's.
    pub version: String,
    /// Who asked for it.
    pub origin: PythonOrigin,
}

/// Who asked for a version of python, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PythonOrigin {
    /// The build spec.
    Spec,
    /// The source's `.python-version`.
    VersionFile,
    /// The lower bound of `requires-python` in the source's `pyproject.toml`.
    Pyproject,
    /// Nobody.
    Default,
}

/// Decides; says in `notes` what it could not read.
pub(super) fn choose(
    root: &Path,
    asked: Option<&str>,
    pyproject: Option<&Pyproject>,
    notes: &mut Vec<String>,
) -> Result<Python, Error> {
    if let Some(asked) = asked {
        let version = minor(asked).ok_or_else(|| {
            Error::Plan(format!(
                "python version {asked:?} is not of the form `3.12` or `3.12.1`"
            ))
        })?;
        return Ok(Python {
            version,
            origin: PythonOrigin::Spec,
        });
    }
    if let Some(version) = version_file(root, notes)? {
        return Ok(Python {
            version,
            origin: PythonOrigin::VersionFile,
        });
    }
    if let Some(version) = pyproject
        .and_then(Pyproject::requires_python)
        .and_then(lower_bound)
    {
        return Ok(Python {
            version,
            origin: PythonOrigin::Pyproject,
        });
    }
    Ok(Python {
        version: DEFAULT.to_owned(),
        origin: PythonOrigin::Default,
    })
}

/// The first version in `.python-version`; pyenv allows several and comments.
fn version_file(root: &Path, notes: &mut Vec<String>) -> Result<Option<String>, Error> {
    let name = ".python-version";
    let Some(text) = confine::find_text(root, Path::new(name), "python version file")? else {
        return Ok(None);
    };
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    let Some(line) = lines.into_iter().find(|line| !line.is_empty()) else {
        return Ok(None);
    };
    let version = minor(line.strip_prefix("cpython-").unwrap_or(line));
    if version.is_none() {
        notes.push(format!(
            "`{name}` says `{line}`, which is not a version of python: ignored"
        ));
    }
    Ok(version)
}

/// `3.11.4` and `3.11.0rc1` → `3.11`. Only digits and dots come out, whatever goes in.
fn minor(text: &str) -> Option<String> {
    let mut parts = text.trim().splitn(3, '.');
    let number = |part: &&str| {
        (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let major = parts.next().filter(number)?;
    let Some(minor) = parts.next() else {
        return Some(major.to_owned());
    };
    let minor = number(&minor).then_some(minor)?;
    let is_release = |rest: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || "+-_.".contains(c);
        rest.starts_with(|c: char| c.is_ascii_digit()) && rest.chars().all(fine)
    };
    parts
        .next()
        .is_none_or(is_release)
        .then(|| format!("{major}.{minor}"))
}

/// The highest lower bound of a version specifier (PEP 440), as `major.minor`. A bound that
/// only says "python 3" says nothing.
fn lower_bound(specifier: &str) -> Option<String> {
    let bounds = specifier.split(',').filter_map(|clause| {
        let clause = clause.trim();
        let bound = [">=", "~=", "===", "==", ">"]
            .iter()
            .find_map(|o| clause.strip_prefix(o))?;
        let version = minor(bound.trim().trim_end_matches(".*"))?;
        let (major, minor) = version.split_once('.')?;
        Some((major.parse::<u16>().ok()?, minor.parse::<u16>().ok()?))
    });
    bounds
        .max()
        .filter(|(_, minor)| *minor > 0)
        .map(|(major, minor)| format!("{major}.{minor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(files: &[(&str, &str)], asked: Option<&str>) -> (String, PythonOrigin, usize) {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        for (name, text) in files {
            fs_err::write(root.join(name), text).unwrap();
        }
        let mut notes = Vec::new();
        let pyproject = Pyproject::read(&root).unwrap();
        let python = choose(&root, asked, pyproject.as_ref(), &mut notes).unwrap();
        (python.version, python.origin, notes.len())
    }

    #[test]
    fn the_strongest_wish_wins() {
        let version = (".python-version", "# ours\n3.10.2\n3.9\n");
        let pyproject = (
            "pyproject.toml",
            "[project]\nrequires-python = '>=3.11,<4'\n",
        );
        let pick = |files: &[_], asked| {
            let (version, origin, _) = chosen(files, asked);
            (version, origin)
        };
        let both = [version, pyproject];
        assert_eq!(
            pick(&both, Some("3.13.1")),
            ("3.13".to_owned(), PythonOrigin::Spec)
        );
        assert_eq!(
            pick(&both, None),
            ("3.10".to_owned(), PythonOrigin::VersionFile)
        );
        assert_eq!(
            pick(&[pyproject], None),
            ("3.11".to_owned(), PythonOrigin::Pyproject)
        );
        assert_eq!(pick(&[], None), ("3.12".to_owned(), PythonOrigin::Default));
    }

    #[test]
    fn a_version_file_for_another_interpreter_is_noted() {
        let (version, _, notes) = chosen(&[(".python-version", "pypy3.9-7.3\n")], None);
        assert_eq!((version.as_str(), notes), (DEFAULT, 1));
    }

    #[test]
    fn bounds_of_a_specifier() {
        for (specifier, bound) in [
            (">=3.9", Some("3.9")),
            ("<3.13,>=3.8.1", Some("3.8")),
            ("~=3.10", Some("3.10")),
            ("==3.11.*", Some("3.11")),
            (">=3.9,>=3.11", Some("3.11")),
            (">=3", None),
            (">=3.0", None),
            ("<4", None),
            ("!=3.9", None),
            ("", None),
        ] {
            assert_eq!(lower_bound(specifier).as_deref(), bound, "{specifier}");
        }
    }

    #[test]
    fn nothing_but_digits_reaches_a_dockerfile() {
        for text in [
            "3.12\nRUN x",
            "3.x",
            "3..1",
            "latest",
            "",
            "3.12.x",
            "3.12-alpine",
            "3.12.1\nRUN x",
            "3.12.",
        ] {
            assert_eq!(minor(text), None, "{text}");
        }
        for text in [" 3.12.0\n", "3.12", "3.12.0rc1", "3.12.1+local-1"] {
            assert_eq!(minor(text).as_deref(), Some("3.12"), "{text}");
        }
    }
}
