//! What one thread of a walk found.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, FileType, Stat, fstat, statat};
use rustix::io::Errno;

use super::super::cancel::Cancel;
use super::super::entries::Kind;
use super::super::ignore::{Rules, Verdict};
use super::super::root::to_path;
use super::super::seen::Seen;
use super::super::stats::{Known, Listed};
use super::held::Held;
use super::listing::list;
use super::share::{Shared, Waiting};
use crate::event::{Event, Events};

/// What a walk is made with.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) rules: &'a Rules,
    pub(super) events: &'a Events,
    pub(super) cancel: &'a Cancel,
    /// From earlier walks. If there is a place for it, files are looked at on the way.
    pub(super) known: &'a Known,
}

/// What one thread of a walk found.
#[derive(Default)]
pub(super) struct Part {
    /// What directories hold, each with its number.
    pub(super) held: Vec<(usize, Held)>,
    /// Names of directories that were read.
    pub(super) read: Vec<Listed>,
    /// Directories whose names were known.
    pub(super) kept: Vec<Vec<u8>>,
}

/// One thread's search.
pub(super) struct Found<'a> {
    pub(super) walk: Walk<'a>,
    shared: &'a Shared,
    verdict: Verdict,
    /// The path of the entry that is looked at, behind that of its directory.
    path: Vec<u8>,
    /// What the directory holds that is looked into.
    held: Held,
    pub(super) waiting: Vec<Waiting>,
    pub(super) part: Part,
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
    pub(super) fn new(walk: Walk<'a>, shared: &'a Shared) -> Self {
        Self {
            walk,
            shared,
            verdict: Verdict::default(),
            path: Vec::new(),
            held: Held::default(),
            waiting: Vec::new(),
            part: Part::default(),
        }
    }

    /// A directory is looked into.
    pub(super) fn begin(&mut self, at: &Waiting) {
        self.held = Held::new(at.above);
    }

    /// It was.
    pub(super) fn end(&mut self, at: &Waiting) {
        let mut held = std::mem::take(&mut self.held);
        held.sort();
        self.part.held.push((at.number, held));
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
            self.take(Place::Top(top), at, (name, file_type));
        }
        self.part.kept.push(at.path.clone());
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
            let entry = (name.to_bytes(), file_type);
            if let Some(listed) = &mut listed {
                listed.add(entry.0, file_type);
            }
            self.take(Place::Directory(directory), at, entry);
        })?;
        self.part.read.extend(listed);
        Ok(())
    }

    fn take(&mut self, from: Place<'_>, above: &Waiting, (name, file_type): (&[u8], FileType)) {
        self.go_to(&above.path, name);
        let rules = self.walk.rules;
        let is_out = rules.leave_out(&self.path, &above.inherited, &mut self.verdict);
        if file_type == FileType::Directory {
            if !is_out || rules.reach_below(&self.path) {
                self.look_into(above, name, is_out);
            }
            return;
        }
        if is_out {
            return;
        }
        let kind = match file_type {
            FileType::RegularFile => Kind::File(self.look(from, name)),
            FileType::Symlink => Kind::Link,
            other => {
                let shown = to_path(&self.path).display();
                let skipped = Event::Skipped(format!("{shown} ({})", name_of(other)));
                return self.walk.events.say(skipped);
            }
        };
        self.held.add(name, kind);
    }

    fn go_to(&mut self, directory: &[u8], name: &[u8]) {
        self.path.clear();
        if !directory.is_empty() {
            self.path.extend_from_slice(directory);
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
    }

    fn look_into(&mut self, above: &Waiting, name: &[u8], is_out: bool) {
        let number = self.shared.number();
        self.held.add_directory(name, number, is_out);
        self.waiting.push(Waiting {
            path: self.path.clone(),
            number,
            above: above.number,
            inherited: self.verdict.inherited(),
        });
    }

    /// What is seen of a file, if that is of use. One that is gone is told when it is read.
    fn look(&self, from: Place<'_>, name: &[u8]) -> Option<Seen> {
        if !self.walk.known.remembers() {
            return None;
        }
        let stat = match from {
            Place::Directory(directory) => look(directory, name),
            Place::Top(top) => look(top, &self.path),
        };
        Seen::new(&stat.ok()?)
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
