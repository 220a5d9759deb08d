//! A tree that is read or written without ever following a link in it.
//!
//! Every path is opened one component at a time, each relative to the directory above it and
//! with `O_NOFOLLOW`: whoever swaps a directory for a link while we work gains nothing.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use crate::error::Error;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// The root of a tree, and the directory in it that was used last.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    top: OwnedFd,
    near: Vec<u8>,
    near_directory: Option<OwnedFd>,
}

impl Root {
    /// Opens a tree; `path` itself may be a link.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self {
            path: path.to_owned(),
            top,
            near: Vec::new(),
            near_directory: None,
        })
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
        if path.is_empty() {
            return Ok(&self.top);
        }
        if self.near != path || self.near_directory.is_none() {
            let opened = self.descend(path)?;
            self.near_directory = Some(opened);
            self.near = path.to_vec();
        }
        Ok(self
            .near_directory
            .as_ref()
            .expect("it was opened just now"))
    }

    fn descend(&mut self, path: &[u8]) -> io::Result<OwnedFd> {
        let below = path
            .strip_prefix(self.near.as_slice())
            .and_then(|p| p.strip_prefix(b"/"));
        let (mut directory, rest) = match (below, self.near_directory.take()) {
            (Some(rest), Some(near)) => (Some(near), rest),
            _ => (None, path),
        };
        for component in rest.split(|b| *b == b'/') {
            let above = directory.as_ref().unwrap_or(&self.top);
            directory = Some(openat(
                above,
                OsStr::from_bytes(component),
                DIRECTORY,
                Mode::empty(),
            )?);
        }
        directory.ok_or_else(|| io::ErrorKind::InvalidInput.into())
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
