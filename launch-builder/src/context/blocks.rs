//! Compressed pieces of archives, kept from one time to the next.
//!
//! A piece is found under the digest of all that makes its bytes: the encoder, and the records
//! of the entries in it (see the recipe). So a piece can be had without reading the files, if
//! their digests are known, and no piece is ever a wrong one.
//!
//! One file each, in directories by the first two digits of the key: [`MAGIC`], then the
//! CRC-32 of the rest, little-endian, then the rest. A file that is damaged is removed.

use std::fs::{File, Metadata};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use launch_config::image::Digest;
use libdeflater::crc32;

use crate::clock::now;

const MAGIC: &[u8; 4] = b"LcB2";
const HEADER: usize = 4 + 4;

/// When there is more, what was not used for longest goes.
const MOST: u64 = 2 << 30;

/// After so many new bytes it is looked whether there is more; else once in an hour.
const MUCH: u64 = 64 << 20;

/// What the file says whose time is that of the last look.
const LOOKED: &str = "its time is that of the last look at all pieces\n";

/// The time of a use is noted when the last one is so many seconds ago.
const NOTED: u64 = 3600;

/// A directory of pieces.
#[derive(Debug)]
pub(super) struct Blocks {
    directory: PathBuf,
    /// By how many bytes it grew.
    grew: AtomicU64,
}

impl Blocks {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.join("blocks"),
            grew: AtomicU64::new(0),
        }
    }

    fn place(&self, key: Digest) -> PathBuf {
        let name = key.to_hex();
        self.directory.join(&name[..2]).join(&name[2..])
    }

    /// Puts the piece under a key into `piece`, if it is there whole.
    pub(super) fn get(&self, key: Digest, piece: &mut Vec<u8>) -> bool {
        let place = self.place(key);
        let Ok(file) = fs_err::File::open(&place) else {
            return false;
        };
        let is_whole = read(file.file(), piece).is_some();
        if !is_whole {
            // It is of no use to anybody; who cannot remove it reads it again.
            let _ = fs_err::remove_file(&place);
        }
        is_whole
    }

    /// Keeps a piece. A cache that cannot be written to is only of less use.
    pub(super) fn put(&self, key: Digest, piece: &[u8]) {
        self.grew.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if let Err(error) = self.write(&self.place(key), piece) {
            tracing::debug!(%error, "cannot keep a piece of an archive");
        }
    }

    fn write(&self, place: &Path, piece: &[u8]) -> std::io::Result<()> {
        let directory = place.parent().unwrap_or(&self.directory);
        if !directory.is_dir() {
            fs_err::create_dir_all(directory)?;
        }
        let mut scratch = tempfile::NamedTempFile::new_in(directory)?;
        scratch.write_all(MAGIC)?;
        scratch.write_all(&crc32(piece).to_le_bytes())?;
        scratch.write_all(piece)?;
        scratch.persist(place)?;
        Ok(())
    }

    /// Removes what was not used for longest, if there is more than is kept. Looking at all of
    /// it is not worth a few pieces: those of a changed file wait for the time to come.
    pub(super) fn prune(&self) {
        let grew = self.grew.load(Ordering::Relaxed);
        if grew > MUCH || (grew > 0 && self.is_due()) {
            self.prune_to(MOST);
        }
    }

    /// Whether the last look is some time ago; then it is now.
    fn is_due(&self) -> bool {
        let mark = self.directory.join("looked");
        let looked = fs_err::metadata(&mark).ok();
        let is_due = looked.and_then(|looked| age(&looked)).is_none_or(is_long);
        if is_due && let Err(error) = fs_err::write(&mark, LOOKED) {
            tracing::debug!(%error, "cannot note a look at the kept pieces");
        }
        is_due
    }

    fn prune_to(&self, most: u64) {
        let mut files = self.files();
        let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
        if total <= most {
            return;
        }
        files.sort_unstable();
        for (_, size, place) in files {
            if total <= most / 4 * 3 {
                return;
            }
            if fs_err::remove_file(&place).is_ok() {
                total -= size;
            }
        }
    }

    fn files(&self) -> Vec<(SystemTime, u64, PathBuf)> {
        let read = |directory: &Path| fs_err::read_dir(directory).into_iter().flatten().flatten();
        let mut files = Vec::new();
        for file in read(&self.directory).flat_map(|directory| read(&directory.path())) {
            if let Ok(metadata) = file.metadata() {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push((used, metadata.len(), file.path()));
            }
        }
        files
    }
}

/// The piece in a file, if it is whole.
fn read(mut file: &File, piece: &mut Vec<u8>) -> Option<()> {
    let mut header = [0; HEADER];
    file.read_exact(&mut header).ok()?;
    let sum = header.strip_prefix(MAGIC)?.first_chunk()?;
    let metadata = file.metadata().ok()?;
    let length = usize::try_from(metadata.len()).ok()?;
    piece.resize(length.checked_sub(HEADER)?, 0);
    file.read_exact(piece).ok()?;
    if crc32(piece) != u32::from_le_bytes(*sum) {
        return None;
    }
    note_use(file, &metadata);
    Some(())
}

/// How long ago a file's time is; none if it is not in the past.
fn age(metadata: &Metadata) -> Option<Duration> {
    now().duration_since(metadata.modified().ok()?).ok()
}

fn is_long(age: Duration) -> bool {
    age.as_secs() > NOTED
}

/// Sets the time of the last use.
fn note_use(file: &File, metadata: &Metadata) {
    if age(metadata).is_some_and(is_long) {
        // A use that is not noted only makes the piece go sooner.
        let _ = file.set_modified(now());
    }
}

#[cfg(test)]
mod tests {
    use super::super::recipe::sha256;
    use super::*;

    fn piece(byte: u8) -> Vec<u8> {
        vec![byte; 1000]
    }

    #[test]
    fn a_piece_comes_back_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let blocks = Blocks::new(directory.path());
        let key = sha256(b"a");
        let mut found = Vec::new();
        assert!(!blocks.get(key, &mut found));
        blocks.put(key, &piece(1));
        assert!(blocks.get(key, &mut found));
        assert_eq!(found, piece(1));
        let mut bytes = fs_err::read(blocks.place(key)).unwrap();
        for damage in [
            &mut |bytes: &mut Vec<u8>| bytes[500] ^= 1,
            &mut |bytes: &mut Vec<u8>| bytes.truncate(700),
            &mut |bytes: &mut Vec<u8>| bytes.clear(),
        ] as [&mut dyn FnMut(&mut Vec<u8>); 3]
        {
            damage(&mut bytes);
            fs_err::write(blocks.place(key), &bytes).unwrap();
            assert!(!blocks.get(key, &mut found));
            assert!(!blocks.place(key).exists());
        }
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let blocks = Blocks::new(directory.path());
        let keys: Vec<_> = (0..8_u8).map(|n| sha256(&[n])).collect();
        for (age, key) in (0..).zip(&keys) {
            blocks.put(*key, &piece(1));
            let file = fs_err::OpenOptions::new()
                .append(true)
                .open(blocks.place(*key))
                .unwrap();
            let used = now() - std::time::Duration::from_secs(10_000 * age);
            file.file().set_modified(used).unwrap();
        }
        blocks.prune_to(1 << 20);
        assert!(keys.iter().all(|key| blocks.place(*key).exists()));
        blocks.prune_to(4 * 1008);
        let kept: Vec<_> = keys.iter().map(|key| blocks.place(*key).exists()).collect();
        assert_eq!(kept, [true, true, true, false, false, false, false, false]);
    }
}
