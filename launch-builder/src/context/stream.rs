//! The one pass over a context: every file is read once, hashed, and handed on.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

use launch_config::image::Digest;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use sha2::{Digest as _, Sha256};

use super::cancel::Cancel;
use super::recipe::{Recipe, sha256};
use super::root::{Root, split};
use super::scan::{Entries, Kind};
use super::{ContextDigest, Rules};
use crate::error::Error;
use crate::event::{Event, Events};

/// Files are read in pieces of this many bytes.
const CHUNK: usize = 128 * 1024;

/// Progress is told every so many entries or bytes.
const TELL_ENTRIES: u64 = 512;
const TELL_BYTES: u64 = 16 << 20;

/// Where the entries of a context go. They come in the order of their paths, each file as
/// [`Sink::open`], then all its bytes through [`Sink::data`], then [`Sink::close`].
pub(super) trait Sink {
    fn directory(&mut self, path: &[u8]) -> Result<(), Error>;
    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Error>;
    fn open(&mut self, path: &[u8], executable: bool, size: u64) -> Result<(), Error>;
    fn data(&mut self, bytes: &[u8]) -> Result<(), Error>;
    fn close(&mut self) -> Result<(), Error>;
}

/// For hashing alone.
impl Sink for () {
    fn directory(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn link(&mut self, _: &[u8], _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn open(&mut self, _: &[u8], _: bool, _: u64) -> Result<(), Error> {
        Ok(())
    }

    fn data(&mut self, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

/// Reads every entry once, into the digest and into `sink`.
pub(super) fn stream(
    root: &mut Root,
    (rules, entries): (&Rules, &Entries),
    sink: &mut impl Sink,
    events: &Events,
    cancel: &Cancel,
) -> Result<ContextDigest, Error> {
    let mut stream = Stream {
        root,
        sink,
        cancel,
        recipe: Recipe::new(rules.digest()),
        buffer: vec![0; CHUNK],
        progress: Progress {
            events,
            files: 0,
            bytes: 0,
            told: (0, 0),
        },
    };
    for (path, kind) in entries {
        stream.entry(path, kind)?;
        stream.progress.tell(false);
    }
    stream.progress.tell(true);
    let Stream {
        recipe, progress, ..
    } = stream;
    Ok(ContextDigest {
        digest: recipe.finish(),
        files: progress.files,
        bytes: progress.bytes,
    })
}

struct Stream<'a, S> {
    root: &'a mut Root,
    sink: &'a mut S,
    cancel: &'a Cancel,
    recipe: Recipe,
    buffer: Vec<u8>,
    progress: Progress<'a>,
}

impl<S: Sink> Stream<'_, S> {
    fn entry(&mut self, path: &[u8], kind: &Kind) -> Result<(), Error> {
        self.cancel.check()?;
        match kind {
            Kind::Directory => {
                self.recipe.directory(path);
                return self.sink.directory(path);
            }
            Kind::Link => self.link(path)?,
            Kind::File => self.file(path)?,
            Kind::Added(file) => self.added(path, &file.content)?,
        }
        self.progress.files += 1;
        Ok(())
    }

    fn link(&mut self, path: &[u8]) -> Result<(), Error> {
        let (directory, name) = split(path);
        let target = match self.root.directory(directory) {
            Ok(directory) => readlinkat(directory, OsStr::from_bytes(name), Vec::new()),
            Err(error) => return Err(self.failed(path, error)),
        };
        let target = target.map_err(|errno| self.failed(path, errno.into()))?;
        self.recipe.link(path, target.to_bytes());
        self.sink.link(path, target.to_bytes())
    }

    fn added(&mut self, path: &[u8], content: &[u8]) -> Result<(), Error> {
        let size = content.len() as u64;
        self.sink.open(path, false, size)?;
        self.sink.data(content)?;
        self.sink.close()?;
        self.progress.bytes += size;
        self.recipe.file(path, false, size, sha256(content));
        Ok(())
    }

    fn file(&mut self, path: &[u8]) -> Result<(), Error> {
        let mut file = self.open(path).map_err(|error| self.failed(path, error))?;
        let before = fstat(&file).map_err(|errno| self.failed(path, errno.into()))?;
        if FileType::from_raw_mode(before.st_mode) != FileType::RegularFile {
            return Err(self.changed(path));
        }
        let size = u64::try_from(before.st_size).map_err(|_| self.changed(path))?;
        let executable = before.st_mode & 0o100 != 0;
        self.sink.open(path, executable, size)?;
        let content = self.content(path, &mut file, size)?;
        self.sink.close()?;
        let after = fstat(&file).map_err(|errno| self.failed(path, errno.into()))?;
        if !is_same(&before, &after) {
            return Err(self.changed(path));
        }
        self.recipe.file(path, executable, size, content);
        Ok(())
    }

    /// Reads exactly `size` bytes.
    fn content(&mut self, path: &[u8], file: &mut File, size: u64) -> Result<Digest, Error> {
        let mut hash = Sha256::new();
        let mut left = size;
        while left > 0 {
            self.cancel.check()?;
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let count = match file.read(&mut self.buffer[..most]) {
                Ok(0) => return Err(self.changed(path)),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed(path, error)),
            };
            let bytes = &self.buffer[..count];
            hash.update(bytes);
            self.sink.data(bytes)?;
            left -= count as u64;
            self.progress.bytes += count as u64;
            self.progress.tell(false);
        }
        Ok(Digest::from_sha256(hash.finalize().into()))
    }

    /// Opens what the walk saw as a regular file. `O_NONBLOCK` is for what may have become
    /// a fifo since.
    fn open(&mut self, path: &[u8]) -> io::Result<File> {
        let (directory, name) = split(path);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let directory = self.root.directory(directory)?.as_fd();
        let file = openat(
            directory,
            OsStr::from_bytes(name),
            flags | OFlags::NOCTTY,
            Mode::empty(),
        );
        Ok(File::from(file?))
    }

    fn changed(&self, path: &[u8]) -> Error {
        Error::Changed(self.root.locate(path))
    }

    fn failed(&self, path: &[u8], error: io::Error) -> Error {
        self.root.failed(path, error)
    }
}

fn is_same(before: &Stat, after: &Stat) -> bool {
    before.st_size == after.st_size
        && before.st_mtime == after.st_mtime
        && before.st_mtime_nsec == after.st_mtime_nsec
        && before.st_mode == after.st_mode
}

struct Progress<'a> {
    events: &'a Events,
    files: u64,
    bytes: u64,
    told: (u64, u64),
}

impl Progress<'_> {
    fn tell(&mut self, is_last: bool) {
        let due =
            self.files - self.told.0 >= TELL_ENTRIES || self.bytes - self.told.1 >= TELL_BYTES;
        if due || is_last {
            self.told = (self.files, self.bytes);
            self.events.say(Event::Context {
                files: self.files,
                bytes: self.bytes,
            });
        }
    }
}
