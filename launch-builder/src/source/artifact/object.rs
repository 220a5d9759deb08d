//! One file on its way: its bytes so far, and their digest.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fs_err::File;
use md5::Md5;
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::{ContentDigest, ManifestFile};
use crate::error::Error;

/// A file that is not whole yet. Nobody else writes to it.
#[derive(Debug)]
pub(super) struct Partial {
    file: PartialFile,
    hasher: Hasher,
    length: u64,
}

#[derive(Debug)]
enum PartialFile {
    /// Under a name that another process finds again; locked.
    Kept(File, PathBuf),
    /// Gone when dropped.
    Fleeting(NamedTempFile),
}

#[derive(Debug, Clone)]
enum Hasher {
    Md5(Md5),
    Sha256(Sha256),
}

impl Hasher {
    fn new(digest: ContentDigest) -> Self {
        match digest {
            ContentDigest::Md5(_) => Self::Md5(Md5::new()),
            ContentDigest::Sha256(_) => Self::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Md5(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn is(self, digest: ContentDigest) -> bool {
        match (self, digest) {
            (Self::Md5(hasher), ContentDigest::Md5(bytes)) => hasher.finalize()[..] == bytes,
            (Self::Sha256(hasher), ContentDigest::Sha256(digest)) => {
                launch_config::image::Digest::from_sha256(hasher.finalize().into()) == digest
            }
            _ => false,
        }
    }
}

/// The name of a file's bytes in a directory of such.
fn name(file: &ManifestFile) -> String {
    format!(
        "{}-{}",
        file.digest.to_string().replace(':', "-"),
        file.size
    )
}

/// The whole file, if the directory has it; its bytes are looked at again.
pub(super) fn find(directory: &Path, file: &ManifestFile) -> Result<Option<PathBuf>, Error> {
    let path = directory.join(name(file));
    let Ok(mut opened) = File::open(&path) else {
        return Ok(None);
    };
    let mut hasher = Hasher::new(file.digest);
    if copy_to(&mut opened, &mut hasher)? == file.size && hasher.is(file.digest) {
        return Ok(Some(path));
    }
    fs_err::remove_file(&path)?;
    Ok(None)
}

fn copy_to(from: &mut File, hasher: &mut Hasher) -> std::io::Result<u64> {
    let (mut buffer, mut length) = (vec![0; 256 * 1024], 0);
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(length);
        }
        hasher.update(&buffer[..count]);
        length += u64::try_from(count).unwrap_or(u64::MAX);
    }
}

impl Partial {
    /// Goes on with what the directory has of a file, or begins it.
    pub(super) fn open(directory: &Path, file: &ManifestFile) -> Result<Self, Error> {
        let path = directory.join(format!("{}.part", name(file)));
        let mut options = fs_err::OpenOptions::new();
        let opened = options.read(true).append(true).create(true).open(&path)?;
        let mut hasher = Hasher::new(file.digest);
        // Another agent may be at it; then this one fetches for itself.
        if rustix::fs::flock(opened.file(), FlockOperation::NonBlockingLockExclusive).is_err() {
            let file = NamedTempFile::new_in(directory)?;
            return Ok(Self {
                file: PartialFile::Fleeting(file),
                hasher,
                length: 0,
            });
        }
        // Or have finished it while this one opened it: then it has another name by now.
        if fs_err::metadata(&path).ok().map(|named| named.ino()) != Some(opened.metadata()?.ino()) {
            return Self::open(directory, file);
        }
        let mut opened = opened;
        opened.seek(SeekFrom::Start(0))?;
        let mut length = copy_to(&mut opened, &mut hasher)?;
        if length > file.size {
            opened.set_len(0)?;
            (hasher, length) = (Hasher::new(file.digest), 0);
        }
        Ok(Self {
            file: PartialFile::Kept(opened, path),
            hasher,
            length,
        })
    }

    /// How many bytes are there.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Takes the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &mut self.file {
            PartialFile::Kept(file, _) => file.write_all(bytes)?,
            PartialFile::Fleeting(file) => file.write_all(bytes)?,
        }
        self.hasher.update(bytes);
        self.length += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// The whole file in its place, if it is what it should be; else it begins anew, as
    /// nobody knows which of its bytes are wrong.
    pub(super) fn finish(self, directory: &Path, file: &ManifestFile) -> Result<Finished, Error> {
        let path = directory.join(name(file));
        let is_right = self.length == file.size && self.hasher.is(file.digest);
        match self.file {
            PartialFile::Kept(_, part) if is_right => fs_err::rename(part, &path)?,
            PartialFile::Kept(_, part) => fs_err::remove_file(part)?,
            PartialFile::Fleeting(temporary) if is_right => {
                temporary.persist(&path).map_err(|error| error.error)?;
            }
            PartialFile::Fleeting(_) => {}
        }
        Ok(if is_right {
            Finished::Whole(path)
        } else {
            Finished::Wrong
        })
    }
}

/// What a file came to.
#[derive(Debug)]
pub(super) enum Finished {
    Whole(PathBuf),
    Wrong,
}
