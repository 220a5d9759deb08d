//! Blobs of a layout: written once, under the digest of what was written.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flate2::GzBuilder;
use flate2::read::MultiGzDecoder;
use fs_err::File;
use launch_config::image::Digest;
use sha2::{Digest as _, Sha256};

use super::invalid;

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

/// The `blobs` directory of a layout in the making.
pub(super) struct Blobs<'a> {
    directory: PathBuf,
    is_stopped: &'a dyn Fn() -> bool,
}

impl<'a> Blobs<'a> {
    pub(super) fn new(layout: &Path, is_stopped: &'a dyn Fn() -> bool) -> io::Result<Self> {
        let directory = layout.join("blobs/sha256");
        fs_err::create_dir_all(&directory)?;
        Ok(Self {
            directory,
            is_stopped,
        })
    }

    /// Writes a small blob; answers its digest and size.
    pub(super) fn put(&mut self, bytes: &[u8]) -> io::Result<(String, u64)> {
        let mut blob = self.create()?;
        blob.write_all(bytes)?;
        blob.finish(&self.directory)
    }

    /// Writes a layer, compressed unless it is already; `diff_id` is the digest of its tar.
    pub(super) fn put_layer(
        &mut self,
        path: &Path,
        diff_id: &str,
    ) -> io::Result<(Compression, (String, u64))> {
        let mut file = File::open(path)?;
        let mut magic = [0; 4];
        let length = read_up_to(&mut file, &mut magic)?;
        file.seek(SeekFrom::Start(0))?;
        let written = match &magic[..length] {
            [0x1f, 0x8b, ..] => {
                self.verify(MultiGzDecoder::new(&mut file), diff_id)?;
                file.seek(SeekFrom::Start(0))?;
                (Compression::Gzip, self.copy(file)?)
            }
            // Nothing here reads zstd; the registry's digest check covers what we write.
            [0x28, 0xb5, 0x2f, 0xfd] => (Compression::Zstd, self.copy(file)?),
            _ => (Compression::Gzip, self.compress(file, diff_id)?),
        };
        // The disk holds each layer once, not twice.
        fs_err::remove_file(path)?;
        Ok(written)
    }

    fn create(&self) -> io::Result<Blob> {
        let file = tempfile::NamedTempFile::new_in(&self.directory)?;
        Ok(Blob {
            file,
            hasher: Sha256::new(),
            size: 0,
        })
    }

    fn copy(&self, from: impl Read) -> io::Result<(String, u64)> {
        let mut blob = self.create()?;
        self.pump(from, |block| blob.write_all(block))?;
        blob.finish(&self.directory)
    }

    fn compress(&self, from: impl Read, diff_id: &str) -> io::Result<(String, u64)> {
        // No time and no name, and the unknown system: the same layer is the same blob.
        let level = flate2::Compression::default();
        let header = GzBuilder::new().mtime(0).operating_system(255);
        let mut encoder = header.write(self.create()?, level);
        let mut hasher = Sha256::new();
        self.pump(from, |block| {
            hasher.update(block);
            encoder.write_all(block)
        })?;
        check(hasher, diff_id)?;
        encoder.finish()?.finish(&self.directory)
    }

    fn verify(&self, from: impl Read, diff_id: &str) -> io::Result<()> {
        let mut hasher = Sha256::new();
        self.pump(from, |block| {
            hasher.update(block);
            Ok(())
        })?;
        check(hasher, diff_id)
    }

    fn pump(
        &self,
        mut from: impl Read,
        mut to: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut block = vec![0; 128 * 1024];
        loop {
            if (self.is_stopped)() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match from.read(&mut block)? {
                0 => return Ok(()),
                count => to(&block[..count])?,
            }
        }
    }
}

fn read_up_to(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match from.read(&mut bytes[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

fn check(hasher: Sha256, diff_id: &str) -> io::Result<()> {
    let digest = Digest::from_sha256(hasher.finalize().into()).to_string();
    if digest == diff_id {
        return Ok(());
    }
    Err(invalid(format!(
        "a layer is `{digest}` where its config names `{diff_id}`"
    )))
}

/// A blob that has no name yet, as that comes from its content.
struct Blob {
    file: tempfile::NamedTempFile,
    hasher: Sha256,
    size: u64,
}

impl Blob {
    fn finish(self, directory: &Path) -> io::Result<(String, u64)> {
        let digest = Digest::from_sha256(self.hasher.finalize().into());
        let file = self
            .file
            .persist(directory.join(digest.to_hex()))
            .map_err(|e| e.error)?;
        // Scratch files are for their owner alone; a layout is for whoever may see it.
        rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o644))?;
        Ok((digest.to_string(), self.size))
    }
}

impl Write for Blob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += u64::try_from(count).expect("a block fits in 64 bits");
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
