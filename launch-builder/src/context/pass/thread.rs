//! What one thread of a pass does.

use std::fs::File;

use super::super::entries::Kind;
use super::super::read::Reader;
use super::super::recipe::Found;
use super::super::seen::Seen;
use super::super::stats::Learned;
use super::super::tree::Tree;
use super::Pass;
use super::work::{Looking, Work};
use crate::error::Error;

/// Larger files are left for the end and read one by one, the largest first, so that no
/// thread is left with all of them.
const LARGE: u64 = 4 << 20;

/// What one thread read.
#[derive(Default)]
pub(super) struct Part {
    pub(super) found: Vec<(usize, Found)>,
    pub(super) learned: Vec<Learned>,
}

/// One thread.
pub(super) struct Thread<'a> {
    pass: Pass<'a>,
    reader: Reader<'a>,
    tree: Option<Tree>,
    part: Part,
}

impl<'a> Thread<'a> {
    pub(super) fn new(pass: Pass<'a>, tree: Option<&Tree>) -> Self {
        Self {
            pass,
            reader: Reader::new(pass.root, pass.cancel, pass.progress),
            tree: tree.map(Tree::share),
            part: Part::default(),
        }
    }

    pub(super) fn run(mut self, work: &Work) -> Result<Part, Error> {
        let looking = Looking(work);
        let mut result = self.look(work);
        drop(looking);
        while result.is_ok() {
            let Some(index) = work.pop() else { break };
            result = self.large(index);
        }
        if result.is_err() {
            // The others end, too.
            work.stop();
        }
        result.map(|()| self.part)
    }

    /// Reads all but the large files.
    fn look(&mut self, work: &Work) -> Result<(), Error> {
        while let Some(neighbours) = work.take() {
            for index in neighbours {
                self.entry(*index, work)?;
            }
        }
        Ok(())
    }

    fn large(&mut self, index: usize) -> Result<(), Error> {
        let path = self.pass.entries.path(index);
        let (file, seen) = self.reader.open(path)?;
        self.read(index, file, seen)
    }

    fn entry(&mut self, index: usize, work: &Work) -> Result<(), Error> {
        let (path, kind) = (self.pass.entries.path(index), self.pass.entries.kind(index));
        let found = match kind {
            Kind::Directory => Found::Directory,
            Kind::Link => self.link(path)?,
            Kind::Added(file) => self.added(path, &file.content)?,
            Kind::File(_) => return self.file(index, path, work),
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
        let (file, seen) = self.reader.open(path)?;
        if seen.size > LARGE {
            work.leave(seen.size, index);
            return Ok(());
        }
        self.read(index, file, seen)
    }

    fn read(&mut self, index: usize, mut file: File, seen: Seen) -> Result<(), Error> {
        let path = self.pass.entries.path(index);
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
        self.part.found.push((index, seen.file(digest)));
        if after == seen && self.pass.known.is_settled(&seen, began) {
            self.part.learned.push(Learned::new(index, seen, digest));
        }
        Ok(())
    }
}
