//! Directories read by several threads, each with a part of the tree.

use super::super::root::Root;
use super::super::stats::Listed;
use super::found::{Found, Part, Walk};
use super::held::Held;
use super::share::{Looking, Shared, Waiting};
use crate::error::Error;

/// What a walk found.
#[derive(Default)]
pub(super) struct Walked {
    /// What directories hold, by their numbers.
    pub(super) held: Vec<Held>,
    pub(super) read: Vec<Listed>,
    pub(super) kept: Vec<Vec<u8>>,
}

impl Walk<'_> {
    /// Reads a tree.
    pub(super) fn run(self, root: &Root, threads: usize) -> Result<Walked, Error> {
        let shared = Shared::new(threads);
        let run = || {
            let _looking = Looking(&shared);
            Walker::new(self, root, &shared).run()
        };
        if threads <= 1 {
            return Ok(Walked::default().with(run()?));
        }
        let parts: Vec<Result<Part, Error>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            let join = |handle: std::thread::ScopedJoinHandle<'_, _>| match handle.join() {
                Ok(part) => part,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            handles.into_iter().map(join).collect()
        });
        let add = |walked: Walked, part: Result<Part, Error>| Ok(walked.with(part?));
        parts.into_iter().try_fold(Walked::default(), add)
    }
}

impl Walked {
    fn with(mut self, part: Part) -> Self {
        for (number, held) in part.held {
            if self.held.len() <= number {
                self.held.resize_with(number + 1, Held::default);
            }
            self.held[number] = held;
        }
        self.read.extend(part.read);
        self.kept.extend(part.kept);
        self
    }
}

/// One thread.
struct Walker<'a> {
    root: Root,
    shared: &'a Shared,
    found: Found<'a>,
}

impl<'a> Walker<'a> {
    fn new(walk: Walk<'a>, root: &Root, shared: &'a Shared) -> Self {
        let found = Found::new(walk, shared);
        let root = root.clone();
        Self {
            root,
            shared,
            found,
        }
    }

    fn run(mut self) -> Result<Part, Error> {
        let mut result = Ok(());
        while let Some(directory) = self.found.waiting.pop().or_else(|| self.shared.take()) {
            // After a failure what is left is only taken away.
            if result.is_ok() {
                result = self.read(&directory);
                self.shared.share(&mut self.found.waiting);
            } else {
                self.found.waiting.clear();
            }
        }
        result.map(|()| self.found.part)
    }

    fn read(&mut self, at: &Waiting) -> Result<(), Error> {
        let Self { root, found, .. } = self;
        found.walk.cancel.check()?;
        found.begin(at);
        if !found.keep(root.top(), at) {
            let read = root
                .directory(&at.path)
                .and_then(|directory| found.read(directory, at));
            read.map_err(|error| root.failed(&at.path, error))?;
        }
        found.end(at);
        Ok(())
    }
}
