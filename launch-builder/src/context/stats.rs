//! Digests of files that were read before, by what the file system says of them.
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
//! That holds where times come from this machine's clock. A file on a network file system has
//! its server's, and what the client knows of it may be old, so such files are always read.
//! What no times can tell is a write through a memory map whose page was already written to;
//! `git` and `make` do not see it either.
//!
//! # The file
//!
//! One for each source, replaced as a whole: [`MAGIC`], then for each file in the order of
//! paths, numbers little-endian, the fields of [`Learned`] and the path, and at the end the
//! SHA-256 of it all. What is not whole, or of another version, is as if it were not there.

use std::cmp::Ordering;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use launch_config::image::Digest;

use super::recipe::sha256;
use super::root::Root;
use super::scan::Entries;
#[cfg(target_os = "linux")]
use super::seen::device;
use super::seen::{Seen, Time};
use crate::clock::now;

const MAGIC: &[u8] = b"launch-stats 1\n";

/// Older than any tick of a clock: FAT's is two seconds, those of others are far shorter.
const SETTLED: Duration = Duration::from_millis(2_100);

/// A path's length, then the numbers, then the digest.
const FIXED: usize = 2 + 8 * 5 + 4 * 2 + 1 + 32;

/// What is known of a source from earlier passes.
#[derive(Debug, Default)]
pub(super) struct Known {
    file: Option<PathBuf>,
    bytes: Vec<u8>,
    /// Where the entries are in `bytes`.
    places: Vec<u32>,
    /// The device whose times can be trusted.
    device: Option<u64>,
}

/// A file whose digest holds for as long as it is seen like this.
#[derive(Debug, Clone, Copy)]
pub(super) struct Learned {
    pub(super) index: usize,
    seen: Seen,
    digest: Digest,
}

impl Learned {
    pub(super) fn new(index: usize, seen: Seen, digest: Digest) -> Self {
        Self {
            index,
            seen,
            digest,
        }
    }

    fn write(&self, path: &[u8], to: &mut Vec<u8>) {
        let Seen {
            device,
            inode,
            size,
            executable,
            modified,
            changed,
        } = self.seen;
        let length = u16::try_from(path.len()).expect("longer paths are left out");
        to.extend_from_slice(&length.to_le_bytes());
        for number in [device, inode, size] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        for (seconds, nanoseconds) in [modified, changed] {
            to.extend_from_slice(&seconds.to_le_bytes());
            to.extend_from_slice(&nanoseconds.to_le_bytes());
        }
        to.push(u8::from(executable));
        to.extend_from_slice(self.digest.as_bytes());
        to.extend_from_slice(path);
    }
}

impl Known {
    /// What `directory` remembers of the source at `root`.
    pub(super) fn load(directory: &Path, root: &Root) -> Self {
        let Some(device) = local_device(root) else {
            return Self::default();
        };
        let file = directory.join(name(root));
        let mut known = Self {
            bytes: fs_err::read(&file).unwrap_or_default(),
            file: Some(file),
            places: Vec::new(),
            device: Some(device),
        };
        if known.index().is_none() {
            known.places.clear();
        }
        known
    }

    /// Whether asking is worth a look at the file.
    pub(super) fn is_of_use(&self) -> bool {
        !self.places.is_empty()
    }

    /// Whether there is a place to remember things in.
    fn remembers(&self) -> bool {
        self.file.is_some()
    }

    /// The digest of a file seen like this. `near` is where to look first, and then where the
    /// file after this one is likely to be.
    pub(super) fn digest(&self, path: &[u8], seen: &Seen, near: &mut usize) -> Option<Digest> {
        let entry_at = |place: u32| entry(&self.bytes[place as usize..]);
        let is_near = |place: &u32| entry_at(*place).is_some_and(|(other, ..)| other == path);
        if !self.places.get(*near).is_some_and(is_near) {
            let compare = |place: &u32| entry_at(*place).map_or(Ordering::Less, |e| e.0.cmp(path));
            *near = self.places.binary_search_by(compare).ok()?;
        }
        let (_, before, digest) = entry_at(*self.places.get(*near)?)?;
        *near += 1;
        (before == *seen).then_some(digest)
    }

    /// The time, for [`Known::is_settled`].
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

    /// Remembers what was learned, in the order of paths, in place of what was. A cache that
    /// cannot be written to is only of less use.
    pub(super) fn save(&self, entries: &Entries, learned: &[Learned]) {
        if let Err(error) = self.try_save(entries, learned) {
            tracing::debug!(%error, "cannot remember what files were read");
        }
    }

    fn try_save(&self, entries: &Entries, learned: &[Learned]) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        // What is known of files that are gone, or were written to, does no harm.
        let mut near = 0;
        let mut is_known = |learned: &Learned| {
            let path = entries[learned.index].0.as_slice();
            self.digest(path, &learned.seen, &mut near) == Some(learned.digest)
        };
        if learned.len() >= self.places.len() / 2 && learned.iter().all(&mut is_known) {
            return Ok(());
        }
        let mut bytes = MAGIC.to_vec();
        bytes.reserve(learned.len() * (FIXED + 64));
        for learned in learned {
            let path = entries[learned.index].0.as_slice();
            if u16::try_from(path.len()).is_ok() {
                learned.write(path, &mut bytes);
            }
        }
        bytes.extend_from_slice(sha256(&bytes).as_bytes());
        let directory = file.parent().unwrap_or_else(|| Path::new("."));
        fs_err::create_dir_all(directory)?;
        let mut scratch = tempfile::NamedTempFile::new_in(directory)?;
        scratch.write_all(&bytes)?;
        scratch.persist(file)?;
        Ok(())
    }

    fn index(&mut self) -> Option<()> {
        let end = self.bytes.len().checked_sub(32)?;
        let (content, sum) = self.bytes.split_at(end);
        if !content.starts_with(MAGIC) || sha256(content).as_bytes() != sum {
            return None;
        }
        let mut at = MAGIC.len();
        while at < end {
            let (path, ..) = entry(&content[at..])?;
            self.places.push(u32::try_from(at).ok()?);
            at += FIXED + path.len();
        }
        Some(())
    }
}

/// The entry bytes begin with.
fn entry(bytes: &[u8]) -> Option<(&[u8], Seen, Digest)> {
    let length = usize::from(u16::from_le_bytes(*bytes.first_chunk()?));
    let path = bytes.get(FIXED..FIXED + length)?;
    let u64_at = |at: usize| Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let time_at = |at: usize| {
        let nanoseconds = u32::from_le_bytes(*bytes.get(at + 8..)?.first_chunk()?);
        Some((u64_at(at)?.cast_signed(), nanoseconds))
    };
    let seen = Seen {
        device: u64_at(2)?,
        inode: u64_at(10)?,
        size: u64_at(18)?,
        modified: time_at(26)?,
        changed: time_at(38)?,
        executable: *bytes.get(50)? != 0,
    };
    let digest = Digest::from_sha256(*bytes.get(51..)?.first_chunk()?);
    Some((path, seen, digest))
}

/// The name of the file for a source: its place, hashed.
fn name(root: &Root) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let path = fs_err::canonicalize(root.path()).unwrap_or_else(|_| root.path().to_owned());
    format!("{}.stats", sha256(path.as_os_str().as_bytes()).to_hex())
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
