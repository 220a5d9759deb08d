//! Files of a tree, read once and checked afterwards.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use launch_config::image::Digest;
use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, readlinkat, statat};
use sha2::{Digest as _, Sha256};

use super::cancel::Cancel;
use super::progress::Progress;
use super::root::{Root, split};
use super::seen::Seen;
use crate::error::Error;

/// Files are read in pieces of this many bytes.
const CHUNK: usize = 128 * 1024;

/// Reads files of a tree; each thread has one.
pub(super) struct Reader<'a> {
    root: Root,
    buffer: Vec<u8>,
    cancel: &'a Cancel,
    progress: &'a Progress<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(root: &Root, cancel: &'a Cancel, progress: &'a Progress<'a>) -> Self {
        Self {
            root: root.clone(),
            buffer: Vec::new(),
            cancel,
            progress,
        }
    }

    /// What the file system says of a file, which has to be one still.
    pub(super) fn look(&mut self, path: &[u8]) -> Result<Seen, Error> {
        self.cancel.check()?;
        let (directory, name) = split(path);
        let stat = self.root.directory(directory).and_then(|directory| {
            let name = OsStr::from_bytes(name);
            Ok(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?)
        });
        let stat = stat.map_err(|error| self.failed(path, error))?;
        Seen::new(&stat).ok_or_else(|| self.changed(path))
    }

    /// The target of a link.
    pub(super) fn link(&mut self, path: &[u8]) -> Result<Vec<u8>, Error> {
        let (directory, name) = split(path);
        let target = self
            .root
            .directory(directory)
            .and_then(|directory| Ok(readlinkat(directory, OsStr::from_bytes(name), Vec::new())?));
        let target = target.map_err(|error| self.failed(path, error))?;
        Ok(target.into_bytes())
    }

    /// Opens what the walk saw as a regular file.
    pub(super) fn open(&mut self, path: &[u8]) -> Result<(File, Seen), Error> {
        let file = self.open_unseen(path)?;
        let seen = self.seen(path, &file)?;
        Ok((file, seen))
    }

    /// The same for a file that was looked at, and that is checked when it was read.
    /// `O_NONBLOCK` is for what may have become a fifo since.
    pub(super) fn open_unseen(&mut self, path: &[u8]) -> Result<File, Error> {
        self.cancel.check()?;
        let (directory, name) = split(path);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = self.root.directory(directory).and_then(|directory| {
            let name = OsStr::from_bytes(name);
            let flags = flags | OFlags::NOCTTY;
            Ok(openat(directory, name, flags, Mode::empty())?)
        });
        Ok(file.map_err(|error| self.failed(path, error))?.into())
    }

    /// Hashes the content of an open file, and hands it on.
    pub(super) fn hash(
        &mut self,
        path: &[u8],
        file: &mut File,
        size: u64,
        mut to: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<Digest, Error> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(CHUNK, 0);
        let mut hash = Sha256::new();
        let mut left = size;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            self.fill(path, file, &mut buffer[..most])?;
            hash.update(&buffer[..most]);
            to(&buffer[..most])?;
            left -= most as u64;
        }
        self.buffer = buffer;
        Ok(Digest::from_sha256(hash.finalize().into()))
    }

    /// Reads exactly as many bytes as there is room for.
    pub(super) fn fill(&self, path: &[u8], file: &mut File, to: &mut [u8]) -> Result<(), Error> {
        self.cancel.check()?;
        let mut at = 0;
        while at < to.len() {
            match file.read(&mut to[at..]) {
                Ok(0) => return Err(self.changed(path)),
                Ok(count) => at += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A fifo that nobody has written to.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(self.changed(path));
                }
                Err(error) => return Err(self.failed(path, error)),
            }
        }
        self.progress.bytes(to.len() as u64);
        Ok(())
    }

    /// Makes sure that a file that was read is what it was `before`; answers what is seen of
    /// it now.
    pub(super) fn check(&self, path: &[u8], file: &File, before: &Seen) -> Result<Seen, Error> {
        let after = self.seen(path, file)?;
        if !before.is_same_content(&after) {
            return Err(self.changed(path));
        }
        Ok(after)
    }

    /// A file is done.
    pub(super) fn done(&self) {
        self.progress.file();
    }

    fn seen(&self, path: &[u8], file: &File) -> Result<Seen, Error> {
        let stat = fstat(file).map_err(|errno| self.failed(path, errno.into()))?;
        Seen::new(&stat).ok_or_else(|| self.changed(path))
    }

    pub(super) fn changed(&self, path: &[u8]) -> Error {
        Error::Changed(self.root.locate(path))
    }

    pub(super) fn failed(&self, path: &[u8], error: io::Error) -> Error {
        self.root.failed(path, error)
    }
}
