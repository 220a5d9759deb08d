//! The walk: what a context holds, before any file is opened.

mod found;
mod listing;
mod share;
mod walk;

use std::io;
use std::path::Path;
use std::sync::Arc;

use self::walk::Walk;
use super::cancel::Cancel;
use super::ignore::Rules;
use super::options::{AddedFile, ContextOptions};
use super::root::{Root, split, to_path};
use super::seen::Seen;
use super::stats::Known;
use crate::error::Error;
use crate::event::Events;

/// Entries by path, in the order of the bytes of their paths.
pub(super) type Entries = Vec<(Vec<u8>, Kind)>;

/// What an entry is. Sizes and modes are read from the opened file, when it is read.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Directory,
    /// A file, and what was seen of it on the way if it may be known already.
    File(Option<Seen>),
    Link,
    /// A file that is not in the tree.
    Added(Arc<AddedFile>),
}

/// Walks a tree, of which something may be known from earlier walks.
pub(super) fn scan(
    (root, known): (&Root, &Known),
    rules: &Rules,
    options: &ContextOptions,
    events: &Events,
    cancel: &Cancel,
) -> Result<Entries, Error> {
    let walk = Walk {
        rules,
        events,
        cancel,
        known,
    };
    let walked = walk.run(root, options.threads())?;
    known.save_lists(walked.read, &walked.kept);
    let mut entries = walked.entries;
    // What each thread sorted is merged; directories that came back came more than once.
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.dedup_by(|a, b| a.0 == b.0);
    for (path, file) in &options.files {
        add(&mut entries, path, Arc::clone(file))?;
    }
    Ok(entries)
}

/// Adds a file that is not in the tree, and the directories above it.
fn add(entries: &mut Entries, path: &[u8], file: Arc<AddedFile>) -> Result<(), Error> {
    let refuse = |why| Error::Path {
        what: "added file",
        path: to_path(path).to_owned(),
        why,
    };
    let mut above = split(path).0;
    while !above.is_empty() {
        match place(entries, above) {
            Ok(at) if matches!(entries[at].1, Kind::Directory) => {}
            Ok(_) => return Err(refuse("is below something that is no directory")),
            Err(at) => entries.insert(at, (above.to_vec(), Kind::Directory)),
        }
        above = split(above).0;
    }
    match place(entries, path) {
        Ok(at) if matches!(entries[at].1, Kind::Directory) => {
            return Err(refuse("is a directory of the source"));
        }
        Ok(at) => entries[at].1 = Kind::Added(file),
        Err(at) => entries.insert(at, (path.to_vec(), Kind::Added(file))),
    }
    Ok(())
}

/// Where an entry is, or would be.
fn place(entries: &Entries, path: &[u8]) -> Result<usize, usize> {
    entries.binary_search_by(|(other, _)| other.as_slice().cmp(path))
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
