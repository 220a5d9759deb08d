//! A tree that is read or written without ever following a link in it.
//!
//! Every path is opened one component at a time, each relative to the directory above it and
//! with `O_NOFOLLOW`: whoever swaps a directory for a link while we work gains nothing.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use crate::error::Error;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// So many directories on the way to the one used last stay open.
const OPEN: usize = 32;

/// The root of a tree, and the directories on the way to the one in it that was used last.
#[derive(Debug, Clone)]
pub(super) struct Root {
    path: Arc<Path>,
    top: Arc<OwnedFd>,
    near: Vec<u8>,
    /// Where each ends in `near`.
    open: Vec<(usize, Arc<OwnedFd>)>,
}

impl Root {
    /// Opens a tree; `path` itself may be a link.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self {
            path: path.into(),
            top: Arc::new(top),
            near: Vec::new(),
            open: Vec::new(),
        })
    }

    /// Where the root is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The root itself.
    pub(super) fn top(&self) -> &OwnedFd {
        &self.top
    }

    /// Where an entry is, for people.
    pub(super) fn locate(&self, entry: &[u8]) -> PathBuf {
        self.path.join(to_path(entry))
    }

    /// Why an entry cannot be read. What is no longer there, or no longer what it was when
    /// its directory was read, has changed.
    pub(super) fn failed(&self, entry: &[u8], error: io::Error) -> Error {
        let gone = [
            Errno::LOOP,
            Errno::NOENT,
            Errno::NOTDIR,
            Errno::INVAL,
            Errno::NXIO,
        ];
        match Errno::from_io_error(&error) {
            Some(errno) if gone.contains(&errno) => Error::Changed(self.locate(entry)),
            _ => Error::Read {
                path: self.locate(entry),
                source: error,
            },
        }
    }

    /// The directory at `path`, the root if it is empty.
    pub(super) fn directory(&mut self, path: &[u8]) -> io::Result<&OwnedFd> {
        while let Some((end, _)) = self.open.last() {
            let is_above = path.get(..*end) == Some(&self.near[..*end])
                && matches!(path.get(*end), None | Some(b'/'));
            if is_above {
                break;
            }
            self.open.pop();
        }
        let mut at = self.open.last().map_or(0, |(end, _)| *end);
        self.near.truncate(at);
        while at < path.len() {
            let from = if at == 0 { 0 } else { at + 1 };
            let slash = path[from..].iter().position(|b| *b == b'/');
            at = slash.map_or(path.len(), |slash| from + slash);
            self.descend(&path[from..at], at)?;
            self.near.clear();
            self.near.extend_from_slice(&path[..at]);
        }
        Ok(self
            .open
            .last()
            .map_or(&self.top, |(_, directory)| directory))
    }

    fn descend(&mut self, name: &[u8], end: usize) -> io::Result<()> {
        let above = self
            .open
            .last()
            .map_or(&self.top, |(_, directory)| directory);
        let opened = openat(above, OsStr::from_bytes(name), DIRECTORY, Mode::empty())?;
        if self.open.len() == OPEN {
            self.open.pop();
        }
        self.open.push((end, Arc::new(opened)));
        Ok(())
    }
}

/// The directory of an entry and its name in it.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Bytes of a path as a path.
pub(super) fn to_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
