//! What one thread of a walk found.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};
use rustix::io::Errno;

use super::super::ignore::{Inherited, Verdict};
use super::super::root::{split, to_path};
use super::super::seen::Seen;
use super::super::stats::Listed;
use super::Kind;
use super::listing::list;
use super::walk::{Walk, Walked};
use crate::event::Event;

/// A directory to look into.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) path: Vec<u8>,
    inherited: Inherited,
    is_out: bool,
}

/// What it found.
pub(super) struct Found<'a> {
    pub(super) walk: Walk<'a>,
    verdict: Verdict,
    pub(super) waiting: Vec<Waiting>,
    pub(super) walked: Walked,
}

/// Where an entry is looked at from.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// Its directory.
    Directory(&'a OwnedFd),
    /// The root, where its directory is not open. What is behind a link on the way is not
    /// what it was, whoever puts one there.
    Top(&'a OwnedFd),
}

impl<'a> Found<'a> {
    pub(super) fn new(walk: Walk<'a>) -> Self {
        Self {
            walk,
            verdict: Verdict::default(),
            waiting: Vec::new(),
            walked: Walked::default(),
        }
    }

    /// Takes the names of a directory that is what it was.
    pub(super) fn keep(&mut self, top: &OwnedFd, at: &Waiting) -> bool {
        let known = self.walk.known;
        let Some(names) = known.names(&at.path) else {
            return false;
        };
        let seen = if at.path.is_empty() {
            fstat(top)
        } else {
            look(top, &at.path)
        };
        let seen = seen.ok().and_then(|stat| Seen::of_directory(&stat));
        if !seen.is_some_and(|seen| names.are_of(&seen)) {
            return false;
        }
        for (name, file_type) in names.entries() {
            self.take(Place::Top(top), at, name, file_type);
        }
        self.walked.kept.push(at.path.clone());
        true
    }

    /// Reads a directory, and remembers its names if they hold.
    pub(super) fn read(&mut self, directory: &OwnedFd, at: &Waiting) -> io::Result<()> {
        let known = self.walk.known;
        let began = known.now();
        let mut listed = None;
        if began.is_some() {
            let seen = Seen::of_directory(&fstat(directory)?);
            let seen = seen.filter(|seen| known.is_settled(seen, began));
            listed = seen.map(|seen| Listed::new(at.path.clone(), seen));
        }
        list(directory, |name, file_type| {
            if let Some(listed) = &mut listed {
                listed.add(name.to_bytes(), file_type);
            }
            self.take(Place::Directory(directory), at, name.to_bytes(), file_type);
        })?;
        self.walked.read.extend(listed);
        Ok(())
    }

    fn take(&mut self, from: Place<'_>, above: &Waiting, name: &[u8], file_type: FileType) {
        let path = join(&above.path, name);
        let rules = self.walk.rules;
        let is_out = rules.leave_out(&path, &above.inherited, &mut self.verdict);
        if file_type == FileType::Directory && (!is_out || rules.reach_below(&path)) {
            self.waiting.push(Waiting {
                path: path.clone(),
                inherited: self.verdict.inherited(),
                is_out,
            });
        }
        if is_out {
            return;
        }
        let kind = match file_type {
            FileType::Directory => Kind::Directory,
            FileType::RegularFile => Kind::File(self.look(from, &path, name)),
            FileType::Symlink => Kind::Link,
            other => {
                let shown = to_path(&path).display();
                let skipped = Event::Skipped(format!("{shown} ({})", name_of(other)));
                return self.walk.events.say(skipped);
            }
        };
        if above.is_out {
            self.come_back(&above.path);
        }
        self.walked.entries.push((path, kind));
    }

    /// What is seen of a file, if that is of use. One that is gone is told when it is read.
    fn look(&self, from: Place<'_>, path: &[u8], name: &[u8]) -> Option<Seen> {
        if !self.walk.known.remembers() {
            return None;
        }
        let stat = match from {
            Place::Directory(directory) => look(directory, name),
            Place::Top(top) => look(top, path),
        };
        Seen::new(&stat.ok()?)
    }

    /// A directory that was left out, and those above it.
    fn come_back(&mut self, path: &[u8]) {
        let mut path = path;
        while !path.is_empty() {
            let directory = (path.to_vec(), Kind::Directory);
            self.walked.entries.push(directory);
            path = split(path).0;
        }
    }
}

fn look(from: &OwnedFd, path: &[u8]) -> Result<Stat, Errno> {
    statat(from, OsStr::from_bytes(path), AtFlags::SYMLINK_NOFOLLOW)
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
