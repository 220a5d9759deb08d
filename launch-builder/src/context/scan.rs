//! The walk: what a context holds, before any file is opened.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType};

use super::cancel::Cancel;
use super::ignore::{Inherited, Rules, Verdict};
use super::options::{AddedFile, ContextOptions};
use super::root::{Root, split, to_path};
use crate::error::Error;
use crate::event::{Event, Events};

/// Entries by path, in the order of the bytes of their paths.
pub(super) type Entries = Vec<(Vec<u8>, Kind)>;

/// Entries while they come in any order.
type Walked = BTreeMap<Vec<u8>, Kind>;

/// What an entry is. Sizes and modes are read from the opened file, when it is read.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Directory,
    File,
    Link,
    /// A file that is not in the tree.
    Added(Arc<AddedFile>),
}

/// Walks a tree.
pub(super) fn scan(
    root: &mut Root,
    rules: &Rules,
    options: &ContextOptions,
    events: &Events,
    cancel: &Cancel,
) -> Result<Entries, Error> {
    let mut scan = Scan {
        rules,
        events,
        entries: Walked::new(),
        waiting: Vec::new(),
    };
    let mut verdict = Verdict::default();
    scan.waiting.push(Waiting {
        path: Vec::new(),
        inherited: Inherited::default(),
        is_out: false,
    });
    while let Some(directory) = scan.waiting.pop() {
        cancel.check()?;
        scan.read(root, &directory, &mut verdict)
            .map_err(|error| root.failed(&directory.path, error))?;
    }
    for (path, file) in &options.files {
        scan.entries.add(path, Arc::clone(file))?;
    }
    Ok(scan.entries.into_iter().collect())
}

/// A directory to look into.
struct Waiting {
    path: Vec<u8>,
    inherited: Inherited,
    is_out: bool,
}

struct Scan<'a> {
    rules: &'a Rules,
    events: &'a Events,
    entries: Walked,
    waiting: Vec<Waiting>,
}

impl Scan<'_> {
    fn read(&mut self, root: &mut Root, at: &Waiting, verdict: &mut Verdict) -> io::Result<()> {
        let directory = root.directory(&at.path)?;
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let path = join(&at.path, name.to_bytes());
            let is_out = self.rules.leave_out(&path, &at.inherited, verdict);
            let mut file_type = entry.file_type();
            // Some file systems do not say.
            if file_type == FileType::Unknown {
                let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                file_type = FileType::from_raw_mode(stat.st_mode);
            }
            self.take(path, file_type, at, is_out, verdict);
        }
        Ok(())
    }

    fn take(
        &mut self,
        path: Vec<u8>,
        file_type: FileType,
        above: &Waiting,
        is_out: bool,
        verdict: &Verdict,
    ) {
        if file_type == FileType::Directory && (!is_out || self.rules.reach_below(&path)) {
            let inherited = verdict.inherited();
            self.waiting.push(Waiting {
                path: path.clone(),
                inherited,
                is_out,
            });
        }
        if is_out {
            return;
        }
        let kind = match file_type {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            other => {
                let shown = to_path(&path).display();
                return self
                    .events
                    .say(Event::Skipped(format!("{shown} ({})", name_of(other))));
            }
        };
        if above.is_out {
            self.entries.add_directories(&above.path);
        }
        self.entries.insert(path, kind);
    }
}

fn name_of(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Socket => "a socket",
        FileType::Fifo => "a fifo",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "of an unknown type",
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        name.to_vec()
    } else {
        [directory, name].join(&b'/')
    }
}

trait Additions {
    /// Adds a file that is not in the tree, and the directories above it.
    fn add(&mut self, path: &[u8], file: Arc<AddedFile>) -> Result<(), Error>;

    /// Adds a directory and those above it.
    fn add_directories(&mut self, path: &[u8]);
}

impl Additions for Walked {
    fn add(&mut self, path: &[u8], file: Arc<AddedFile>) -> Result<(), Error> {
        let refuse = |why| Error::Path {
            what: "added file",
            path: to_path(path).to_owned(),
            why,
        };
        let directory = split(path).0;
        self.add_directories(directory);
        let mut above = directory;
        while !above.is_empty() {
            if !matches!(self.get(above), Some(Kind::Directory)) {
                return Err(refuse("is below something that is no directory"));
            }
            above = split(above).0;
        }
        match self.insert(path.to_vec(), Kind::Added(file)) {
            Some(Kind::Directory) => Err(refuse("is a directory of the source")),
            _ => Ok(()),
        }
    }

    fn add_directories(&mut self, path: &[u8]) {
        let mut path = path;
        while !path.is_empty() {
            self.entry(path.to_vec()).or_insert(Kind::Directory);
            path = split(path).0;
        }
    }
}

/// Opens the root of a tree.
pub(super) fn open_root(path: &Path) -> Result<Root, Error> {
    Root::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::NotFound => {
            Error::NotADirectory(path.to_owned())
        }
        _ => Error::Read {
            path: path.to_owned(),
            source,
        },
    })
}
