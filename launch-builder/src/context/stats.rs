//! Digests of files that were read before, and names in directories, by what the file system
//! says of them.
//!
//! # When a digest is taken for a file unread
//!
//! Path, device, inode, size, executable bit, time of modification and time of change, both in
//! nanoseconds, are what they were when the file was read. A write sets both times, and no
//! program can set the second one back; but a file system's clock ticks, and a second write
//! within the same tick leaves no trace. So a digest is kept only if, when the reading began,
//! both times were at least [`SETTLED`] ago: a later write then has a later time, for certain,
//! whatever the tick. A file younger than that is read again the next time.
//!
//! The same goes for the names in a directory: a new, a removed and a renamed entry set the
//! directory's times.
//!
//! That holds where times come from this machine's clock. A file on a network file system has
//! its server's, and what the client knows of it may be old, so such files are always read.
//! What no times can tell is a write through a memory map whose page was already written to;
//! `git` and `make` do not see it either.

mod digests;
mod lists;
mod table;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use launch_config::image::Digest;

use self::digests::Digests;
pub(super) use self::digests::Learned;
pub(super) use self::lists::Listed;
use self::lists::{Lists, Names};
use self::table::Table;
use super::entries::Entries;
use super::recipe::sha256;
use super::root::Root;
#[cfg(target_os = "linux")]
use super::seen::device;
use super::seen::{Seen, Time};
use crate::clock::now;

/// Older than any tick of a clock: FAT's is two seconds, those of others are far shorter.
const SETTLED: Duration = Duration::from_millis(2_100);

/// The endings of files with digests, and with names.
const FILES: &str = "stats";
const LISTS: &str = "lists";

/// What is known of a source from earlier passes.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Where it is, without its ending.
    place: Option<PathBuf>,
    digests: Table<Digests>,
    lists: Table<Lists>,
    /// The device whose times can be trusted.
    device: Option<u64>,
}

impl Known {
    /// What `directory` remembers of the source at `root`, and what a walk answers, which
    /// needs the names alone: the digests are read meanwhile.
    pub(super) fn load<T>(
        directory: &Path,
        root: &Root,
        walk: impl FnOnce(&Self) -> T,
    ) -> (Self, T) {
        let Some(device) = local_device(root) else {
            let nothing = Self::default();
            let walked = walk(&nothing);
            return (nothing, walked);
        };
        let place = directory.join(name(root));
        let digests = place.with_extension(FILES);
        let mut known = Self {
            digests: Table::default(),
            lists: Table::read(&place.with_extension(LISTS)),
            place: Some(place),
            device: Some(device),
        };
        let (digests, walked) = std::thread::scope(|scope| {
            let digests = scope.spawn(|| Table::read(&digests));
            let walked = walk(&known);
            (digests.join(), walked)
        });
        known.digests = digests.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (known, walked)
    }

    /// Whether asking is worth a look at the file.
    pub(super) fn is_of_use(&self) -> bool {
        self.digests.len() > 0
    }

    /// The digest of a file seen like this. `near` is where to look first, and then where the
    /// file after this one is likely to be.
    pub(super) fn digest(&self, path: &[u8], seen: &Seen, near: &mut usize) -> Option<Digest> {
        self.digests.digest(path, seen, near)
    }

    /// The names a directory had, if it is what it was.
    pub(super) fn names(&self, path: &[u8]) -> Option<Names<'_>> {
        self.lists.names(path)
    }

    /// Whether there is a place to remember things in.
    pub(super) fn remembers(&self) -> bool {
        self.place.is_some()
    }

    /// The time, for [`Known::is_settled`]; none if nothing is remembered.
    pub(super) fn now(&self) -> Option<SystemTime> {
        self.remembers().then(now)
    }

    /// Whether a file whose reading began at `began` will be seen otherwise if it is written
    /// to.
    pub(super) fn is_settled(&self, seen: &Seen, began: Option<SystemTime>) -> bool {
        let age = |(seconds, nanoseconds): Time| {
            let since = Duration::new(u64::try_from(seconds).ok()?, nanoseconds);
            began?.duration_since(SystemTime::UNIX_EPOCH + since).ok()
        };
        let is_old = |time| age(time).is_some_and(|age| age >= SETTLED);
        self.device == Some(seen.device) && is_old(seen.modified) && is_old(seen.changed)
    }

    /// Remembers what was learned, in the order of paths. What is known of files that are
    /// gone, or were written to, does no harm. A cache that cannot be written to is only of
    /// less use.
    pub(super) fn save(&self, entries: &Entries, learned: &[Learned]) {
        let Some(place) = &self.place else { return };
        if !learned.is_empty() || entries.files() < self.digests.len() / 2 {
            let file = place.with_extension(FILES);
            told(self.digests.replace(&file, entries, learned));
        }
    }

    /// Remembers the names in directories, in the order of paths: those read now, and those
    /// that were known.
    pub(super) fn save_lists(&self, read: Vec<Listed>, kept: &[Vec<u8>]) {
        let Some(place) = &self.place else { return };
        if read.is_empty() && kept.len() >= self.lists.len() / 2 {
            return;
        }
        let again = |path: &Vec<u8>| Some(self.lists.names(path)?.to_listed(path));
        let mut lists = read;
        lists.extend(kept.iter().filter_map(again));
        lists.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        told(lists::replace(&place.with_extension(LISTS), &lists));
    }
}

fn told(written: std::io::Result<()>) {
    if let Err(error) = written {
        tracing::debug!(%error, "cannot remember what was read");
    }
}

/// The name of the files for a source: its place, hashed.
fn name(root: &Root) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let path = fs_err::canonicalize(root.path()).unwrap_or_else(|_| root.path().to_owned());
    sha256(path.as_os_str().as_bytes()).to_hex()
}

/// The device of a source on a file system that takes times from this machine's clock.
#[cfg(target_os = "linux")]
fn local_device(root: &Root) -> Option<u64> {
    /// `statfs(2)`: ext2 to ext4, xfs, btrfs, tmpfs, overlayfs, f2fs, zfs, bcachefs, ramfs.
    const LOCAL: [u64; 9] = [
        0xEF53,
        0x5846_5342,
        0x9123_683E,
        0x0102_1994,
        0x794C_7630,
        0xF2F5_2010,
        0x2FC1_2FC1,
        0xCA45_1A4E,
        0x8584_58F6,
    ];
    let kind = rustix::fs::fstatfs(root.top()).ok()?.f_type.cast_unsigned() & 0xFFFF_FFFF;
    let stat = rustix::fs::fstat(root.top()).ok()?;
    LOCAL.contains(&kind).then(|| device(&stat))
}

#[cfg(not(target_os = "linux"))]
fn local_device(_: &Root) -> Option<u64> {
    None
}
