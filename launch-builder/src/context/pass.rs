//! One pass over a context for its digest: every file is read once, by whichever thread is
//! free, and the records are put together at the end.

use std::collections::BinaryHeap;
use std::fs::File;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use launch_config::image::Digest;

use super::cancel::Cancel;
use super::progress::Progress;
use super::read::Reader;
use super::recipe::Found;
use super::root::Root;
use super::scan::{Entries, Kind};
use super::seen::Seen;
use super::stats::{Known, Learned};
use super::tree::Tree;
use crate::error::Error;

/// So many neighbours are taken at a time: they are in the same directory, mostly.
const RUN: usize = 32;

/// Larger files are left for the end and read one by one, the largest first, so that no
/// thread is left with all of them.
const LARGE: u64 = 4 << 20;

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

/// What every entry is, in their order.
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

/// Entries still to be read.
struct Work {
    next: AtomicUsize,
    large: Mutex<Large>,
    more: Condvar,
}

/// Large files by their size, and how many threads may still find one.
struct Large {
    files: BinaryHeap<(u64, usize)>,
    looking: usize,
}

impl Work {
    fn large(&self) -> MutexGuard<'_, Large> {
        self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The largest file that is left, when the thread that asks has found the last one of its
    /// own.
    fn pop(&self) -> Option<usize> {
        let mut large = self.large();
        loop {
            if let Some((_, index)) = large.files.pop() {
                return Some(index);
            }
            if large.looking == 0 {
                return None;
            }
            large = self
                .more
                .wait(large)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A thread that looks for large files; in the end it does no more, even if it panics.
struct Looking<'a>(&'a Work);

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.large().looking -= 1;
        self.0.more.notify_all();
    }
}

impl Pass<'_> {
    /// Reads every entry, and copies each to `tree` if there is one.
    pub(super) fn run(self, tree: Option<&Tree>) -> Result<Outcome, Error> {
        if let Some(tree) = tree {
            self.make_directories(&mut tree.share())?;
        }
        let threads = self.threads.min(self.entries.len().div_ceil(2)).max(1);
        let work = Work {
            next: AtomicUsize::new(0),
            large: Mutex::new(Large {
                files: BinaryHeap::new(),
                looking: threads,
            }),
            more: Condvar::new(),
        };
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
        self.put_together(parts)
    }

    /// Before anything is put into them.
    fn make_directories(self, tree: &mut Tree) -> Result<(), Error> {
        for (path, kind) in self.entries {
            if matches!(kind, Kind::Directory) {
                self.cancel.check()?;
                tree.directory(path)?;
            }
        }
        Ok(())
    }

    fn put_together(self, parts: Vec<Result<Part, Error>>) -> Result<Outcome, Error> {
        let mut found: Vec<Option<Found>> = vec![None; self.entries.len()];
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
}

/// What one thread read.
#[derive(Default)]
struct Part {
    found: Vec<(usize, Found)>,
    learned: Vec<Learned>,
}

struct Thread<'a> {
    pass: Pass<'a>,
    reader: Reader<'a>,
    tree: Option<Tree>,
    part: Part,
    /// Where the next file is in what is known.
    near: usize,
}

impl<'a> Thread<'a> {
    fn new(pass: Pass<'a>, tree: Option<&Tree>) -> Self {
        Self {
            pass,
            reader: Reader::new(pass.root, pass.cancel, pass.progress),
            tree: tree.map(Tree::share),
            part: Part::default(),
            near: 0,
        }
    }

    fn run(mut self, work: &Work) -> Result<Part, Error> {
        let looking = Looking(work);
        let mut result = self.look(work);
        drop(looking);
        while result.is_ok() {
            let Some(index) = work.pop() else { break };
            result = self.large(index);
        }
        if result.is_err() {
            // The others end, too.
            work.next.store(self.pass.entries.len(), Ordering::Relaxed);
            work.large().files.clear();
        }
        result.map(|()| self.part)
    }

    /// Reads all but the large files.
    fn look(&mut self, work: &Work) -> Result<(), Error> {
        let count = self.pass.entries.len();
        let step = (count / (self.pass.threads * 16)).clamp(1, RUN);
        loop {
            let from = work.next.fetch_add(step, Ordering::Relaxed);
            if from >= count {
                return Ok(());
            }
            for index in from..(from + step).min(count) {
                self.entry(index, work)?;
            }
        }
    }

    fn large(&mut self, index: usize) -> Result<(), Error> {
        let path = self.pass.entries[index].0.as_slice();
        let (file, seen) = self.reader.open(path)?;
        self.read(index, file, seen)
    }

    fn entry(&mut self, index: usize, work: &Work) -> Result<(), Error> {
        let (path, kind) = &self.pass.entries[index];
        let found = match kind {
            Kind::Directory => Found::Directory,
            Kind::Link => self.link(path)?,
            Kind::Added(file) => self.added(path, &file.content)?,
            Kind::File => return self.file(index, path, work),
        };
        self.part.found.push((index, found));
        Ok(())
    }

    fn link(&mut self, path: &[u8]) -> Result<Found, Error> {
        let target = self.reader.link(path)?;
        if let Some(tree) = &mut self.tree {
            tree.link(path, &target)?;
        }
        self.pass.progress.file();
        Ok(Found::Link(target))
    }

    fn added(&mut self, path: &[u8], content: &[u8]) -> Result<Found, Error> {
        if let Some(tree) = &mut self.tree {
            tree.open(path)?.data(content)?.close(false)?;
        }
        let found = Found::added(content);
        self.pass.progress.found(&found);
        Ok(found)
    }

    fn file(&mut self, index: usize, path: &[u8], work: &Work) -> Result<(), Error> {
        if self.tree.is_none() && self.pass.known.is_of_use() {
            let seen = self.reader.look(path)?;
            if let Some(digest) = self.pass.known.digest(path, &seen, &mut self.near) {
                self.pass.progress.found(&seen.file(digest));
                self.keep(index, &seen, digest);
                self.part.learned.push(Learned::new(index, seen, digest));
                return Ok(());
            }
        }
        let (file, seen) = self.reader.open(path)?;
        if seen.size > LARGE {
            work.large().files.push((seen.size, index));
            work.more.notify_one();
            return Ok(());
        }
        self.read(index, file, seen)
    }

    fn read(&mut self, index: usize, mut file: File, seen: Seen) -> Result<(), Error> {
        let path = self.pass.entries[index].0.as_slice();
        let began = self.pass.known.now();
        let mut copy = match &mut self.tree {
            Some(tree) => Some(tree.open(path)?),
            None => None,
        };
        let digest = self
            .reader
            .hash(path, &mut file, seen.size, |bytes| match &mut copy {
                Some(copy) => copy.data(bytes).map(drop),
                None => Ok(()),
            })?;
        if let Some(mut copy) = copy {
            copy.close(seen.executable)?;
        }
        let after = self.reader.check(path, &file, &seen)?;
        self.reader.done();
        self.keep(index, &seen, digest);
        if after == seen && self.pass.known.is_settled(&seen, began) {
            self.part.learned.push(Learned::new(index, seen, digest));
        }
        Ok(())
    }

    fn keep(&mut self, index: usize, seen: &Seen, digest: Digest) {
        self.part.found.push((index, seen.file(digest)));
    }
}
