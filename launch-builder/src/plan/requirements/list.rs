//! Lists in pip's format.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use super::{FILE, Requirements, RequirementsKind, WANDB, WHAT};
use crate::confine;
use crate::error::Error;

/// No list of requirements includes more files than this.
const MOST_FILES: usize = 100;

/// Reads a list and those it includes, if it is there.
pub(super) fn read(
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
pub(super) fn is_local(requirement: &str) -> bool {
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
