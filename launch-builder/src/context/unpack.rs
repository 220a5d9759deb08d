//! The way back: an archive of ours to a tree on disk.

mod reader;

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use self::reader::{Entry, Reader};
use super::root::to_path;
use super::tree::{Copy, Tree};
use crate::error::Error;

const CHUNK: usize = 128 * 1024;

/// What [`unpack`] wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Unpacked {
    /// Files and links, without directories.
    pub files: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// Unpacks a tar, tar.gz or tar.zst archive into a directory, which has to be there.
///
/// Files get mode 0644 or 0755 by the owner's executable bit, directories 0755, whatever the
/// umask; times and owners are not restored. Symbolic links are restored as they are,
/// wherever they point, but nothing is ever written through one. On an error, what was
/// written so far stays. The bytes of the files are not limited:
/// it is for archives whose maker is known.
///
/// # Errors
/// [`Error::Archive`] for an entry with an absolute name, a `..`, a link above it, or that
/// is there already, and for one that is neither file, directory nor symbolic link;
/// [`Error::NotADirectory`]; [`Error::Write`]; [`Error::Io`] if the archive cannot be read,
/// ends early, or is none.
pub fn unpack(archive: impl Read, directory: impl AsRef<Path>) -> Result<Unpacked, Error> {
    let mut archive = BufReader::with_capacity(CHUNK, archive);
    let mut tree = Tree::new(directory.as_ref())?;
    let begin = archive.fill_buf()?;
    if begin.starts_with(&[0x1F, 0x8B]) {
        unpack_tar(MultiGzDecoder::new(archive), &mut tree)
    } else if begin.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
        unpack_tar(zstd::Decoder::with_buffer(archive)?, &mut tree)
    } else {
        unpack_tar(archive, &mut tree)
    }
}

fn unpack_tar(archive: impl Read, tree: &mut Tree) -> Result<Unpacked, Error> {
    let mut unpacked = Unpacked::default();
    let mut buffer = vec![0; CHUNK];
    let mut reader = Reader::new(archive);
    while let Some(entry) = reader.next()? {
        let refuse = |why| Error::Archive {
            entry: to_path(&entry.path).display().to_string(),
            why,
        };
        let path = clean(&entry.path).map_err(refuse)?;
        if path.is_empty() && entry.kind == b'5' {
            continue;
        }
        check(&path, &entry).map_err(refuse)?;
        tree.make_above(&path)?;
        match entry.kind {
            b'5' => {
                tree.directory(&path)?;
                continue;
            }
            b'2' => tree.link(&path, &entry.target)?,
            _ => {
                let mut file = tree.open(&path)?;
                unpacked.bytes += copy(&mut reader, &mut file, &mut buffer)?;
                file.close(entry.mode & 0o100 != 0)?;
            }
        }
        unpacked.files += 1;
    }
    Ok(unpacked)
}

/// Whether an entry is one that is unpacked.
fn check(path: &[u8], entry: &Entry) -> Result<(), &'static str> {
    match entry.kind {
        _ if path.is_empty() => Err("is the root"),
        b'2' if entry.target.is_empty() => Err("is a link to nothing"),
        b'0' | b'2' | b'5' => Ok(()),
        _ => Err("is neither file, directory nor symbolic link"),
    }
}

fn copy(content: &mut impl Read, file: &mut Copy, buffer: &mut [u8]) -> Result<u64, Error> {
    let mut bytes = 0;
    loop {
        match content.read(buffer) {
            Ok(0) => return Ok(bytes),
            Ok(count) => {
                file.data(&buffer[..count])?;
                bytes += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The path of an entry without `.` and doubled or trailing slashes.
fn clean(name: &[u8]) -> Result<Vec<u8>, &'static str> {
    if name.starts_with(b"/") {
        return Err("has an absolute name");
    }
    // Within a name that is in a pax header.
    if name.contains(&0) {
        return Err("has a NUL in its name");
    }
    let mut parts = Vec::new();
    for part in name.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => return Err("leads out of the directory"),
            part => parts.push(part),
        }
    }
    Ok(parts.join(&b'/'))
}
