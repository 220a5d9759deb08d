//! What a context is made with.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::ignore::{self, Rules};
use super::order::threads_here;
use crate::confine;
use crate::error::Error;

/// The file with the rules, at the root of a context.
const IGNORE_FILE: &str = ".dockerignore";

/// How a context is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Format {
    /// Plain tar (ustar, with pax headers where a name or a size needs one).
    Tar,
    /// The same, through gzip.
    #[default]
    TarGz,
    /// The same, through Zstandard: faster than gzip and smaller. BuildKit, kaniko and
    /// containerd read it; an engine from before 2018 does not.
    TarZst,
}

impl Format {
    /// The level that is meant if none is said, and the highest one.
    fn levels(self) -> (u32, u32) {
        match self {
            Self::Tar => (0, 0),
            Self::TarGz => (6, 9),
            Self::TarZst => (3, 19),
        }
    }
}

/// A format with its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Compression {
    pub(super) format: Format,
    pub(super) level: u32,
}

/// What a context is made with: rules, added files, the form of the archive.
///
/// The form has no part in the digest; rules and added files have.
///
/// ```
/// use launch_builder::context::{ContextOptions, Format};
///
/// let options = ContextOptions::new()
///     .with_dockerfile("docker/Dockerfile")
///     .with_format(Format::TarGz)
///     .with_level(1);
/// ```
#[derive(Debug, Clone)]
pub struct ContextOptions {
    ignore: IgnoreFile,
    pub(super) files: BTreeMap<Vec<u8>, Arc<AddedFile>>,
    format: Format,
    level: Option<u32>,
    pub(super) archive_digest: bool,
    threads: Option<NonZeroUsize>,
    pub(super) cache: Option<PathBuf>,
}

/// A file of the context that is not in the tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AddedFile {
    pub(super) content: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
enum IgnoreFile {
    #[default]
    AtRoot,
    OfDockerfile(PathBuf),
    Named(PathBuf),
    None,
}

impl Default for ContextOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl ContextOptions {
    /// The rules of `.dockerignore` if there is one, and gzip at its usual level.
    pub fn new() -> Self {
        let (files, format) = (BTreeMap::new(), Format::default());
        Self {
            ignore: IgnoreFile::default(),
            files,
            format,
            level: None,
            archive_digest: false,
            threads: None,
            cache: None,
        }
    }

    /// Reads the rules from `<path>.dockerignore` if there is one, else from
    /// `.dockerignore`; both within the source.
    #[must_use]
    pub fn with_dockerfile(mut self, path: impl Into<PathBuf>) -> Self {
        self.ignore = IgnoreFile::OfDockerfile(path.into());
        self
    }

    /// Reads the rules from this file, which may be anywhere and has to be there.
    #[must_use]
    pub fn with_ignore_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ignore = IgnoreFile::Named(path.into());
        self
    }

    /// Reads no rules: only `.git` is left out.
    #[must_use]
    pub fn without_ignore_file(mut self) -> Self {
        self.ignore = IgnoreFile::None;
        self
    }

    /// Adds a file that is not in the tree, or puts it in the place of one that is; no rule
    /// leaves it out. A generated Dockerfile comes in this way.
    ///
    /// # Errors
    /// [`Error::Path`] if `path` is not a relative path without `..`.
    pub fn with_file(
        mut self,
        path: impl AsRef<Path>,
        content: impl Into<Vec<u8>>,
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        let mut parts = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(part) => parts.push(part.as_bytes()),
                Component::CurDir => {}
                _ => return Err(refuse(path, "leads out of the source")),
            }
        }
        if parts.is_empty() || path.as_os_str().as_bytes().contains(&0) {
            return Err(refuse(path, "is not the name of a file"));
        }
        self.files.insert(
            parts.join(&b'/'),
            Arc::new(AddedFile {
                content: content.into(),
            }),
        );
        Ok(self)
    }

    /// Archives in this format.
    #[must_use]
    pub fn with_format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Compresses at this level: gzip from 0 (stored) by way of 1 (fast) to 9, 6 unless told;
    /// Zstandard from 1 to 19, 3 unless told. A higher one is the highest.
    #[must_use]
    pub fn with_level(mut self, level: u32) -> Self {
        self.level = Some(level);
        self
    }

    /// Remembers in this directory what was read and compressed, so that an unchanged file or
    /// directory is not read again and a piece of an archive whose files are unchanged is not compressed
    /// again. The answers are the same as without. The directory is made if it is not there;
    /// whoever can write to it is trusted with the content of archives. At most 2 GiB of it
    /// are kept, what was used last; it may be removed at any time.
    ///
    /// The module's documentation says when a file counts as unchanged.
    #[must_use]
    pub fn with_cache(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cache = Some(directory.into());
        self
    }

    /// Works on so many threads; as many as there are processors, up to 8, unless told. The
    /// bytes are the same for any number. Each takes about 4 MiB while it packs.
    #[must_use]
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Hashes the archive too, as it is written.
    #[must_use]
    pub fn with_archive_digest(mut self) -> Self {
        self.archive_digest = true;
        self
    }

    /// How many threads are to work.
    pub(super) fn threads(&self) -> usize {
        self.threads.map_or_else(threads_here, NonZeroUsize::get)
    }

    /// The format, with its level.
    pub(super) fn compression(&self) -> Compression {
        let (usual, most) = self.format.levels();
        let level = self.level.unwrap_or(usual).min(most);
        let format = self.format;
        Compression { format, level }
    }

    /// The rules in force for a tree.
    pub(super) fn rules(&self, root: &Path) -> Result<Rules, Error> {
        if let IgnoreFile::Named(file) = &self.ignore {
            return Rules::parse(&ignore::read(file)?, file);
        }
        for name in self.ignore_files() {
            // A link may not bring lines of other files into our messages.
            let root = fs_err::canonicalize(root)?;
            if let Some(file) = confine::find(&root, &name, "ignore file")? {
                return Rules::parse(&ignore::read(&file)?, &name);
            }
        }
        Ok(Rules::default())
    }

    fn ignore_files(&self) -> Vec<PathBuf> {
        match &self.ignore {
            IgnoreFile::AtRoot => vec![IGNORE_FILE.into()],
            IgnoreFile::OfDockerfile(dockerfile) => {
                let mut own = dockerfile.clone().into_os_string();
                own.push(IGNORE_FILE);
                vec![own.into(), IGNORE_FILE.into()]
            }
            IgnoreFile::Named(_) | IgnoreFile::None => Vec::new(),
        }
    }
}

fn refuse(path: &Path, why: &'static str) -> Error {
    Error::Path {
        what: "added file",
        path: path.to_owned(),
        why,
    }
}
