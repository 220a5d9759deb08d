//! A tree on disk, written without following a link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, fchmod, mkdirat, openat, symlinkat};
use rustix::io::Errno;

use super::root::{Root, split, to_path};
use super::scan::open_root;
use crate::error::Error;

/// A directory that entries are written to.
pub(super) struct Tree {
    root: Root,
}

/// A file that is being written.
pub(super) struct Copy(File);

impl Tree {
    /// Writes below `directory`, which has to be there.
    pub(super) fn new(directory: &Path) -> Result<Self, Error> {
        Ok(Self {
            root: open_root(directory)?,
        })
    }

    /// The same tree, for another thread.
    pub(super) fn share(&self) -> Self {
        Self {
            root: self.root.clone(),
        }
    }

    /// Adds a directory; one that is there stays.
    fn make(&mut self, path: &[u8]) -> io::Result<()> {
        let (above, name) = split(path);
        match mkdirat(
            self.root.directory(above)?,
            OsStr::from_bytes(name),
            Mode::RWXU,
        ) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        // The umask took part in the making, and does not here.
        Ok(fchmod(
            self.root.directory(path)?,
            Mode::from_raw_mode(0o755),
        )?)
    }

    /// Adds the directories above an entry, where an archive does not name them.
    pub(super) fn make_above(&mut self, path: &[u8]) -> Result<(), Error> {
        let above = split(path).0;
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match self.root.directory(above).err() {
            Some(error) if missing(&error) => {
                self.make_above(above)?;
                self.make(above).map_err(|error| refusal(above, error))
            }
            Some(error) => Err(refusal(path, error)),
            None => Ok(()),
        }
    }

    fn create(&mut self, path: &[u8]) -> io::Result<File> {
        let (above, name) = split(path);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let above = self.root.directory(above)?;
        Ok(openat(
            above,
            OsStr::from_bytes(name),
            flags | OFlags::CLOEXEC,
            mode,
        )?
        .into())
    }
}

impl Tree {
    /// Adds a directory, which may be there.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<(), Error> {
        self.make(path).map_err(|error| refusal(path, error))
    }

    /// Adds a link.
    pub(super) fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Error> {
        let (above, name) = split(path);
        let above = self
            .root
            .directory(above)
            .map_err(|error| refusal(path, error))?;
        symlinkat(OsStr::from_bytes(target), above, OsStr::from_bytes(name))
            .map_err(|errno| refusal(path, errno.into()))
    }

    /// Adds a file, to be written.
    pub(super) fn open(&mut self, path: &[u8]) -> Result<Copy, Error> {
        let file = self.create(path).map_err(|error| refusal(path, error))?;
        Ok(Copy(file))
    }
}

impl Copy {
    /// Appends content.
    pub(super) fn data(&mut self, bytes: &[u8]) -> Result<&mut Self, Error> {
        self.0.write_all(bytes)?;
        Ok(self)
    }

    /// The file is whole.
    pub(super) fn close(&mut self, executable: bool) -> Result<(), Error> {
        let mode = if executable { 0o755 } else { 0o644 };
        Ok(fchmod(&self.0, Mode::from_raw_mode(mode)).map_err(io::Error::from)?)
    }
}

/// What a failure to write an entry says about the archive, if it does.
fn refusal(path: &[u8], error: io::Error) -> Error {
    let entry = to_path(path).display().to_string();
    match Errno::from_io_error(&error) {
        Some(Errno::LOOP | Errno::NOTDIR) => Error::Archive {
            entry,
            why: "is below something that is no directory",
        },
        Some(Errno::EXIST) => Error::Archive {
            entry,
            why: "is there already",
        },
        _ => Error::Write {
            path: to_path(path).to_owned(),
            source: error,
        },
    }
}
