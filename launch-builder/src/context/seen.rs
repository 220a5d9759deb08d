//! What the file system says of a file: enough to know it again.

use launch_config::image::Digest;
use rustix::fs::{FileType, Stat};

use super::recipe::Found;

/// Seconds and nanoseconds.
pub(super) type Time = (i64, u32);

/// The device of a file: a number of another width on other systems.
#[cfg_attr(
    target_os = "linux",
    expect(clippy::unnecessary_cast, reason = "it is none on other systems")
)]
pub(super) fn device(stat: &Stat) -> u64 {
    stat.st_dev as u64
}

/// The identity of a file at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: u64,
    pub(super) executable: bool,
    /// The last write to the content.
    pub(super) modified: Time,
    /// The last change of anything, which no program can set back.
    pub(super) changed: Time,
}

impl Seen {
    /// Nothing for what is no regular file.
    pub(super) fn new(stat: &Stat) -> Option<Self> {
        Self::of(stat, FileType::RegularFile)
    }

    /// Nothing for what is no directory.
    pub(super) fn of_directory(stat: &Stat) -> Option<Self> {
        Self::of(stat, FileType::Directory)
    }

    fn of(stat: &Stat, kind: FileType) -> Option<Self> {
        if FileType::from_raw_mode(stat.st_mode) != kind {
            return None;
        }
        let time = |seconds: i64, nanoseconds| Some((seconds, u32::try_from(nanoseconds).ok()?));
        Some(Self {
            device: device(stat),
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).ok()?,
            executable: stat.st_mode & 0o100 != 0,
            modified: time(stat.st_mtime, stat.st_mtime_nsec)?,
            changed: time(stat.st_ctime, stat.st_ctime_nsec)?,
        })
    }

    /// The file, with the digest of its content.
    pub(super) fn file(&self, digest: Digest) -> Found {
        Found::File {
            executable: self.executable,
            size: self.size,
            digest,
        }
    }

    /// Whether a file was left alone between two moments. A change of its links, which a
    /// backup makes, is none.
    pub(super) fn is_same_content(&self, other: &Self) -> bool {
        Self {
            changed: other.changed,
            ..*self
        } == *other
    }
}
