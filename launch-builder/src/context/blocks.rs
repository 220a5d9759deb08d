//! Compressed pieces of archives, kept from one time to the next.
//!
//! A piece is found under the digest of all that makes its bytes: the encoder, and the records
//! of the entries in it (see the recipe). So a piece can be had without reading the files, if
//! their digests are known, and no piece is ever a wrong one.
//!
//! One file each, in directories by the first two digits of the key: [`MAGIC`], then the
//! CRC-32 of the rest, little-endian, then the rest. A file that is damaged is removed.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use launch_config::image::Digest;
use libdeflater::crc32;

use crate::clock::now;

const MAGIC: &[u8; 4] = b"LcB2";
const HEADER: usize = 4 + 4;

/// When there is more, what was not used for longest goes.
const MOST: u64 = 2 << 30;

/// The time of a use is noted when the last one is so many seconds ago.
const NOTED: u64 = 3600;

/// A directory of pieces.
#[derive(Debug)]
pub(super) struct Blocks {
    directory: PathBuf,
    /// Whether it grew.
    grew: AtomicBool,
}

impl Blocks {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.join("blocks"),
            grew: AtomicBool::new(false),
        }
    }

    fn place(&self, key: Digest) -> PathBuf {
        let name = key.to_hex();
        self.directory.join(&name[..2]).join(&name[2..])
    }

    /// The piece under a key, if it is there whole.
    pub(super) fn get(&self, key: Digest) -> Option<Vec<u8>> {
        let place = self.place(key);
        let mut file = fs_err::File::open(&place).ok()?;
        let piece = read(&mut file);
        if piece.is_some() {
            note_use(&file);
        } else {
            // It is of no use to anybody; who cannot remove it reads it again.
            let _ = fs_err::remove_file(&place);
        }
        piece
    }

    /// Keeps a piece. A cache that cannot be written to is only of less use.
    pub(super) fn put(&self, key: Digest, piece: &[u8]) {
        self.grew.store(true, Ordering::Relaxed);
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

    /// Removes what was not used for longest, if there is more than is kept.
    pub(super) fn prune(&self) {
        if self.grew.load(Ordering::Relaxed) {
            self.prune_to(MOST);
        }
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
fn read(file: &mut fs_err::File) -> Option<Vec<u8>> {
    let mut header = [0; HEADER];
    file.read_exact(&mut header).ok()?;
    let sum = header.strip_prefix(MAGIC)?.first_chunk()?;
    let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
    let mut piece = Vec::with_capacity(length.saturating_sub(HEADER));
    file.read_to_end(&mut piece).ok()?;
    (crc32(&piece) == u32::from_le_bytes(*sum)).then_some(piece)
}

/// Sets the time of the last use.
fn note_use(file: &fs_err::File) {
    let used = file.metadata().and_then(|metadata| metadata.modified());
    let age = used.ok().and_then(|used| now().duration_since(used).ok());
    if age.is_some_and(|age| age.as_secs() > NOTED) {
        // A use that is not noted only makes the piece go sooner.
        let _ = file.file().set_modified(now());
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
        assert_eq!(blocks.get(key), None);
        blocks.put(key, &piece(1));
        assert_eq!(blocks.get(key), Some(piece(1)));
        let mut bytes = fs_err::read(blocks.place(key)).unwrap();
        for damage in [
            &mut |bytes: &mut Vec<u8>| bytes[500] ^= 1,
            &mut |bytes: &mut Vec<u8>| bytes.truncate(700),
            &mut |bytes: &mut Vec<u8>| bytes.clear(),
        ] as [&mut dyn FnMut(&mut Vec<u8>); 3]
        {
            damage(&mut bytes);
            fs_err::write(blocks.place(key), &bytes).unwrap();
            assert_eq!(blocks.get(key), None);
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
