//! Which ignore file counts.

use std::path::{Component, Path, PathBuf};

use super::super::IGNORE_FILE;
use crate::confine;
use crate::error::Error;

/// The ignore file in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Ignore {
    /// Its rules.
    pub(in super::super) rules: String,
    /// Where it is, if the context's own options would not find it there.
    pub(in super::super) file: Option<PathBuf>,
}

/// The Dockerfile's own ignore file, else the context's.
pub(super) fn ignore_rules(
    source: &Path,
    context: &Path,
    dockerfile: Option<&Path>,
) -> Result<Ignore, Error> {
    const WHAT: &str = "ignore file";
    let own = dockerfile.map(|path| {
        let mut own = path.as_os_str().to_owned();
        own.push(IGNORE_FILE);
        PathBuf::from(own)
    });
    for path in own.into_iter().chain([PathBuf::from(IGNORE_FILE)]) {
        if let Some(real) = confine::find_below(source, context, &path, WHAT)? {
            let rules = confine::read_text_below(source, context, &path, WHAT)?;
            let is_plain = path.components().all(|part| part != Component::ParentDir);
            let file = Some(real).filter(|real| !is_plain || !real.starts_with(context));
            return Ok(Ignore { rules, file });
        }
    }
    Ok(Ignore::default())
}
