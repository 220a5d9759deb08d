//! One pass over a context for its digest: every file is read once, by whichever thread is
//! free, and the records are put together at the end.

mod thread;
mod work;

use self::thread::{Part, Thread};
use self::work::Work;
use super::cancel::Cancel;
use super::entries::{Entries, Kind};
use super::progress::Progress;
use super::recipe::Found;
use super::root::Root;
use super::stats::{Known, Learned};
use super::tree::Tree;
use crate::error::Error;

/// What a pass works on.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) root: &'a Root,
    pub(super) entries: &'a Entries,
    pub(super) cancel: &'a Cancel,
    pub(super) progress: &'a Progress<'a>,
    pub(super) known: &'a Known,
    pub(super) threads: usize,
}

/// What every entry is, in their order, and what was not known of them.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) found: Vec<Found>,
    pub(super) learned: Vec<Learned>,
}

impl Outcome {
    /// Files and links, and bytes of the files.
    pub(super) fn totals(&self) -> (u64, u64) {
        let is_file = |found: &&Found| !matches!(found, Found::Directory);
        let size = |found: &Found| match found {
            Found::File { size, .. } => *size,
            Found::Directory | Found::Link(_) => 0,
        };
        let files = self.found.iter().filter(is_file).count() as u64;
        (files, self.found.iter().map(size).sum())
    }
}

impl Pass<'_> {
    /// Reads every entry, and copies each to `tree` if there is one.
    pub(super) fn run(self, tree: Option<&Tree>) -> Result<Outcome, Error> {
        if let Some(tree) = tree {
            self.make_directories(&mut tree.share())?;
        }
        let found = match tree {
            Some(_) => vec![None; self.entries.len()],
            None => self.known(),
        };
        let left: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
        let threads = self.threads.min(left.len().div_ceil(2)).max(1);
        let work = Work::new(left, threads);
        let run = || Thread::new(self, tree).run(&work);
        let parts: Vec<Result<Part, Error>> = if threads == 1 {
            vec![run()]
        } else {
            std::thread::scope(|scope| {
                let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                let join = |handle: std::thread::ScopedJoinHandle<'_, _>| match handle.join() {
                    Ok(part) => part,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                handles.into_iter().map(join).collect()
            })
        };
        put_together(found, parts)
    }

    /// What need not be read.
    fn known(self) -> Vec<Option<Found>> {
        let mut near = 0;
        let mut known = |path: &[u8], kind: &Kind| match kind {
            Kind::Directory => Some(Found::Directory),
            Kind::File(Some(seen)) => {
                let digest = self.known.digest(path, seen, &mut near)?;
                let found = seen.file(digest);
                self.progress.found(&found);
                Some(found)
            }
            Kind::File(None) | Kind::Link | Kind::Added(_) => None,
        };
        let entries = self.entries.iter();
        entries.map(|(path, kind)| known(path, kind)).collect()
    }

    /// Before anything is put into them.
    fn make_directories(self, tree: &mut Tree) -> Result<(), Error> {
        for (path, kind) in self.entries.iter() {
            if matches!(kind, Kind::Directory) {
                self.cancel.check()?;
                tree.directory(path)?;
            }
        }
        Ok(())
    }
}

fn put_together(
    mut found: Vec<Option<Found>>,
    parts: Vec<Result<Part, Error>>,
) -> Result<Outcome, Error> {
    let mut learned = Vec::new();
    for part in parts {
        let part = part?;
        for (index, entry) in part.found {
            found[index] = Some(entry);
        }
        learned.extend(part.learned);
    }
    learned.sort_unstable_by_key(|learned| learned.index);
    let whole = |entry: Option<Found>| entry.expect("every entry was taken by a thread");
    Ok(Outcome {
        found: found.into_iter().map(whole).collect(),
        learned,
    })
}
