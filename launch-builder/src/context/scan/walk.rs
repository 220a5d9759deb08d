//! Directories read by several threads, each with a part of the tree.

use super::super::cancel::Cancel;
use super::super::ignore::Rules;
use super::super::root::Root;
use super::super::stats::{Known, Listed};
use super::Entries;
use super::found::{Found, Waiting};
use super::share::{Looking, Shared};
use crate::error::Error;
use crate::event::Events;

/// What a walk is made with.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) rules: &'a Rules,
    pub(super) events: &'a Events,
    pub(super) cancel: &'a Cancel,
    /// From earlier walks. If there is a place for it, files are looked at on the way.
    pub(super) known: &'a Known,
}

/// What a walk found.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) entries: Entries,
    /// Names of directories that were read.
    pub(super) read: Vec<Listed>,
    /// Directories whose names were known.
    pub(super) kept: Vec<Vec<u8>>,
}

impl Walk<'_> {
    /// Reads a tree; every entry comes once, and directories above one that came back as
    /// often as something did.
    pub(super) fn run(self, root: &Root, threads: usize) -> Result<Walked, Error> {
        let shared = Shared::new(threads);
        let run = || {
            let _looking = Looking(&shared);
            Walker::new(self, root).run(&shared)
        };
        if threads <= 1 {
            return run();
        }
        let parts: Vec<Result<Walked, Error>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            let join = |handle: std::thread::ScopedJoinHandle<'_, _>| match handle.join() {
                Ok(part) => part,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            handles.into_iter().map(join).collect()
        });
        let mut walked = Walked::default();
        for part in parts {
            let mut part = part?;
            walked.entries.append(&mut part.entries);
            walked.read.append(&mut part.read);
            walked.kept.append(&mut part.kept);
        }
        Ok(walked)
    }
}

/// One thread.
struct Walker<'a> {
    root: Root,
    found: Found<'a>,
}

impl<'a> Walker<'a> {
    fn new(walk: Walk<'a>, root: &Root) -> Self {
        let found = Found::new(walk);
        let root = root.clone();
        Self { root, found }
    }

    fn run(mut self, shared: &Shared) -> Result<Walked, Error> {
        let mut result = Ok(());
        while let Some(directory) = self.found.waiting.pop().or_else(|| shared.take()) {
            // After a failure what is left is only taken away.
            if result.is_ok() {
                result = self.read(&directory);
                shared.share(&mut self.found.waiting);
            } else {
                self.found.waiting.clear();
            }
        }
        result?;
        // Most of the order is made here, by each thread for its part.
        self.found.walked.entries.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(self.found.walked)
    }

    fn read(&mut self, at: &Waiting) -> Result<(), Error> {
        let Self { root, found } = self;
        found.walk.cancel.check()?;
        if found.keep(root.top(), at) {
            return Ok(());
        }
        let read = root
            .directory(&at.path)
            .and_then(|directory| found.read(directory, at));
        read.map_err(|error| root.failed(&at.path, error))
    }
}
