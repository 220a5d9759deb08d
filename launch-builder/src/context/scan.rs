//! The walk: what a context holds, before any file is opened.

mod found;
mod held;
mod listing;
mod share;
mod walk;

use std::io;
use std::path::Path;

use self::found::Walk;
use super::cancel::Cancel;
use super::entries::Entries;
use super::ignore::Rules;
use super::options::ContextOptions;
use super::root::Root;
use super::stats::Known;
use crate::error::Error;
use crate::event::Events;

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
    held::in_order(walked.held).with_added(&options.files)
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
