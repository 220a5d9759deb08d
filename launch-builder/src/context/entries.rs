//! What a context holds: entries in the order of the bytes of their paths.
//!
//! Paths lie one behind the other in one place: there may be a million of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::options::AddedFile;
use super::root::{split, to_path};
use super::seen::Seen;
use crate::error::Error;

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

/// Entries in the order of the bytes of their paths.
#[derive(Debug, Default)]
pub(super) struct Entries {
    paths: Vec<u8>,
    /// Where each path ends.
    ends: Vec<usize>,
    kinds: Vec<Kind>,
}

impl Entries {
    /// Room for so many.
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            paths: Vec::new(),
            ends: Vec::with_capacity(count),
            kinds: Vec::with_capacity(count),
        }
    }

    /// Adds an entry, whose path is behind those of all others.
    pub(super) fn push(&mut self, path: &[u8], kind: Kind) {
        self.paths.extend_from_slice(path);
        self.ends.push(self.paths.len());
        self.kinds.push(kind);
    }

    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    pub(super) fn path(&self, index: usize) -> &[u8] {
        let from = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.paths[from..self.ends[index]]
    }

    pub(super) fn kind(&self, index: usize) -> &Kind {
        &self.kinds[index]
    }

    pub(super) fn get(&self, index: usize) -> Option<(&[u8], &Kind)> {
        let kind = self.kinds.get(index)?;
        Some((self.path(index), kind))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &Kind)> {
        let paths = (0..self.len()).map(|index| self.path(index));
        paths.zip(&self.kinds)
    }

    /// How many of them are files of the tree.
    pub(super) fn files(&self) -> usize {
        let is_file = |kind: &&Kind| matches!(kind, Kind::File(_));
        self.kinds.iter().filter(is_file).count()
    }

    /// With files that are not in the tree, and the directories above them.
    pub(super) fn with_added(
        self,
        files: &BTreeMap<Vec<u8>, Arc<AddedFile>>,
    ) -> Result<Self, Error> {
        if files.is_empty() {
            return Ok(self);
        }
        let mut added = BTreeMap::new();
        for (path, file) in files {
            self.add(&mut added, path, file)?;
        }
        Ok(self.merge(added))
    }

    /// What a path is already.
    fn find(&self, path: &[u8]) -> Option<&Kind> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.path(middle).cmp(path) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return self.kinds.get(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    fn add(
        &self,
        added: &mut BTreeMap<Vec<u8>, Kind>,
        path: &[u8],
        file: &Arc<AddedFile>,
    ) -> Result<(), Error> {
        let refuse = |why| Error::Path {
            what: "added file",
            path: to_path(path).to_owned(),
            why,
        };
        let mut above = split(path).0;
        while !above.is_empty() {
            match added.get(above).or_else(|| self.find(above)) {
                Some(Kind::Directory) => {}
                Some(_) => return Err(refuse("is below something that is no directory")),
                None => drop(added.insert(above.to_vec(), Kind::Directory)),
            }
            above = split(above).0;
        }
        if let Some(Kind::Directory) = added.get(path).or_else(|| self.find(path)) {
            return Err(refuse("is a directory of the source"));
        }
        added.insert(path.to_vec(), Kind::Added(Arc::clone(file)));
        Ok(())
    }

    /// With others, which take the places of those with the same paths.
    fn merge(self, others: BTreeMap<Vec<u8>, Kind>) -> Self {
        let mut merged = Self::with_capacity(self.len() + others.len());
        let mut others = others.into_iter().peekable();
        for (path, kind) in self.iter() {
            while let Some((other, kind)) = others.next_if(|(other, _)| other.as_slice() < path) {
                merged.push(&other, kind);
            }
            match others.next_if(|(other, _)| other == path) {
                Some((other, kind)) => merged.push(&other, kind),
                None => merged.push(path, kind.clone()),
            }
        }
        for (other, kind) in others {
            merged.push(&other, kind);
        }
        merged
    }
}
