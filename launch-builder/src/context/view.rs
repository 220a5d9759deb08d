//! A context: walked, and then read in one pass.

use std::io::Write;
use std::path::Path;

use launch_config::image::Digest;

use super::archive::{self, Archive};
use super::blocks::Blocks;
use super::cancel::Cancel;
use super::entries::Entries;
use super::ignore::Rules;
use super::options::ContextOptions;
use super::pass::{Outcome, Pass};
use super::progress::Progress;
use super::recipe::Recipe;
use super::root::Root;
use super::scan;
use super::stats::Known;
use super::tree::Tree;
use crate::error::Error;
use crate::event::Events;

/// A directory seen through its ignore rules, walked and not yet read.
///
/// The walk holds the names of the entries and nothing of their content; memory does not
/// grow with the size of files. All methods block.
#[derive(Debug)]
pub struct Context {
    root: Root,
    rules: Rules,
    known: Known,
    entries: Entries,
    options: ContextOptions,
    cancel: Cancel,
}

/// What a context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextDigest {
    /// The digest of the recipe.
    pub digest: Digest,
    /// Files and links, without directories.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// A packed context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packed {
    /// The digest of the recipe, not of the archive.
    pub digest: Digest,
    /// Files and links, without directories.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// The digest of the archive, if [`ContextOptions::with_archive_digest`] asked for it.
    pub archive_digest: Option<Digest>,
}

impl Context {
    /// Reads the rules and walks the tree.
    ///
    /// # Errors
    /// [`Error::NotADirectory`], [`Error::Ignore`] for a rule that is no pattern,
    /// [`Error::Path`] for an ignore file outside the source, [`Error::Read`].
    pub fn scan(root: &Path, options: &ContextOptions, events: &Events) -> Result<Self, Error> {
        Self::scan_until(root, options, events, Cancel::default())
    }

    pub(super) fn scan_until(
        path: &Path,
        options: &ContextOptions,
        events: &Events,
        cancel: Cancel,
    ) -> Result<Self, Error> {
        let root = scan::open_root(path)?;
        let rules = options.rules(path)?;
        let cache = options.cache.as_deref();
        let walk = |known: &Known| scan::scan((&root, known), &rules, options, events, &cancel);
        let (known, entries) = match cache {
            Some(cache) => Known::load(cache, &root, walk),
            None => (Known::default(), walk(&Known::default())),
        };
        let entries = entries?;
        Ok(Self {
            root,
            rules,
            known,
            entries,
            options: options.clone(),
            cancel,
        })
    }

    /// Its entries, directories included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is left of the tree.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// Reads every file and answers the digest.
    ///
    /// # Errors
    /// [`Error::Changed`] for a file that changes meanwhile, [`Error::Read`].
    pub fn hash(self, events: &Events) -> Result<ContextDigest, Error> {
        Ok(self.run(events, |pass, _| Ok((pass.run(None)?, ())))?.0)
    }

    /// Reads every file into an archive, and answers its digest with the writer.
    ///
    /// # Errors
    /// As [`Context::hash`]; [`Error::Io`] if the writer fails. What is written is no archive
    /// then.
    pub fn pack<W: Write>(self, writer: W, events: &Events) -> Result<(Packed, W), Error> {
        let mut writer = writer;
        let (compression, is_hashed) = (self.options.compression(), self.options.archive_digest);
        let (context, written) = self.run(events, |pass, blocks| {
            let archive = Archive {
                compression,
                blocks,
                is_hashed,
            };
            archive::pack(pass, archive, &mut writer)
        })?;
        let packed = Packed {
            digest: context.digest,
            files: context.files,
            bytes: context.bytes,
            archive_bytes: written.bytes,
            archive_digest: written.digest,
        };
        Ok((packed, writer))
    }

    /// Copies the context into a directory that is there, with the modes of the recipe.
    ///
    /// # Errors
    /// As [`Context::hash`]; [`Error::NotADirectory`], [`Error::Write`], and
    /// [`Error::Archive`] for an entry that is there already.
    pub fn copy(self, directory: &Path, events: &Events) -> Result<ContextDigest, Error> {
        let tree = Tree::new(directory)?;
        Ok(self
            .run(events, |pass, _| Ok((pass.run(Some(&tree))?, ())))?
            .0)
    }

    /// One pass: `read` reads, the rest is the same for all.
    fn run<T>(
        self,
        events: &Events,
        read: impl FnOnce(Pass<'_>, Option<&Blocks>) -> Result<(Outcome, T), Error>,
    ) -> Result<(ContextDigest, T), Error> {
        let blocks = self.options.cache.as_deref().map(Blocks::new);
        let progress = Progress::new(events);
        let pass = Pass {
            root: &self.root,
            entries: &self.entries,
            cancel: &self.cancel,
            progress: &progress,
            known: &self.known,
            threads: self.options.threads(),
        };
        let (outcome, answer) = read(pass, blocks.as_ref())?;
        progress.end();
        self.known.save(&self.entries, &outcome.learned);
        if let Some(blocks) = &blocks {
            blocks.prune();
        }
        let mut recipe = Recipe::new(self.rules.digest());
        for ((path, _), found) in self.entries.iter().zip(&outcome.found) {
            recipe.add(path, found);
        }
        let (files, bytes) = outcome.totals();
        let digest = recipe.finish();
        Ok((
            ContextDigest {
                digest,
                files,
                bytes,
            },
            answer,
        ))
    }
}
