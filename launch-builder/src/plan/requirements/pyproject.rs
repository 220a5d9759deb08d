//! A `pyproject.toml`, as far as it matters here.

use std::path::Path;

use serde::Deserialize;

use super::{FILE, PYPROJECT};
use crate::confine;
use crate::error::Error;

/// The parts of a `pyproject.toml` that matter here (PEP 621).
#[derive(Debug, Deserialize)]
pub(in super::super) struct Pyproject {
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
    pub(in super::super) fn read(root: &Path) -> Result<Option<Self>, Error> {
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

    pub(in super::super) fn requires_python(&self) -> Option<&str> {
        self.project.as_ref()?.requires_python.as_deref()
    }

    /// [`Pyproject::read`] for a source whose requirements stand elsewhere: what is broken
    /// here is a note there.
    pub(in super::super) fn read_if_readable(
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

    pub(super) fn dependencies(&self) -> &[String] {
        self.project
            .as_ref()
            .map_or(&[], |project| &project.dependencies)
    }
}
