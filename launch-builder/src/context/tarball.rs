//! The archive: tar as POSIX describes it, the same bytes on every machine.
//!
//! Headers are ustar (POSIX.1-2017, `pax`, "ustar Interchange Format"), with a pax header
//! before one whose name, target or size does not fit. Owner and group are 0 without names,
//! devices 0, modes those of the recipe, names raw bytes.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder, write::GzEncoder};
use launch_config::image::Digest;
use sha2::{Digest as _, Sha256};

use super::options::{ContextOptions, Format};
use super::stream::Sink;
use crate::error::Error;

/// 1980-01-02T00:00:00Z. Not 0: zip, and with it every Python wheel that is built from the
/// files, begins in 1980, in local time.
const MODIFIED: u64 = 315_619_200;

const BLOCK: usize = 512;

/// What 11 octal digits hold: 8 GiB less one byte.
const LARGEST_IN_USTAR: u64 = 0o777_7777_7777;

/// Small writes are gathered to this many bytes.
const BUFFER: usize = 128 * 1024;

/// A tar archive in the making.
pub(super) struct Tarball<W: Write> {
    out: io::BufWriter<Encoder<W>>,
    /// Bytes of the open file, for its padding.
    written: u64,
}

/// What was written.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) digest: Option<Digest>,
}

impl<W: Write> Tarball<W> {
    pub(super) fn new(out: W, options: &ContextOptions) -> Self {
        let hash = options.archive_digest.then(Sha256::new);
        let out = Counter {
            out,
            bytes: 0,
            hash,
        };
        let encoder = match options.format {
            Format::Tar => Encoder::Plain(out),
            Format::TarGz => {
                // 255 is "unknown": where it was made is not to be seen in it.
                let header = GzBuilder::new().mtime(0).operating_system(255);
                Encoder::Gzip(Box::new(header.write(out, Compression::new(options.level))))
            }
        };
        Self {
            out: io::BufWriter::with_capacity(BUFFER, encoder),
            written: 0,
        }
    }

    /// Ends the archive and hands back the writer.
    pub(super) fn finish(mut self) -> io::Result<(Written, W)> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        let encoder = self
            .out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        let mut counter = match encoder {
            Encoder::Plain(counter) => counter,
            Encoder::Gzip(gzip) => gzip.finish()?,
        };
        counter.flush()?;
        let digest = counter
            .hash
            .map(|hash| Digest::from_sha256(hash.finalize().into()));
        Ok((
            Written {
                bytes: counter.bytes,
                digest,
            },
            counter.out,
        ))
    }

    fn header(&mut self, entry: &Header<'_>) -> io::Result<()> {
        let mut records = Vec::new();
        let place = place(entry.path);
        if place.is_none() {
            record(&mut records, "path", entry.path);
        }
        if entry.target.len() > 100 {
            record(&mut records, "linkpath", entry.target);
        }
        if entry.size > LARGEST_IN_USTAR {
            record(&mut records, "size", entry.size.to_string().as_bytes());
        }
        if !records.is_empty() {
            // Else a reader may take the names for UTF-8.
            if std::str::from_utf8(entry.path)
                .and(std::str::from_utf8(entry.target))
                .is_err()
            {
                let mut charset = Vec::new();
                record(&mut charset, "hdrcharset", b"BINARY");
                records.splice(0..0, charset);
            }
            self.pax(&records)?;
        }
        // A reader without pax sees the end of a long name, which is the telling part.
        let last = &entry.path[entry.path.len().saturating_sub(100)..];
        let (prefix, name) = place.unwrap_or((b"", last));
        self.out.write_all(&block(entry, prefix, name))
    }

    fn pax(&mut self, records: &[u8]) -> io::Result<()> {
        let size = records.len() as u64;
        let header = Header {
            kind: b'x',
            mode: 0o644,
            path: b"",
            size,
            target: b"",
        };
        self.out
            .write_all(&block(&header, b"", b"././@PaxHeader"))?;
        self.out.write_all(records)?;
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = usize::try_from(size % BLOCK as u64).expect("a rest of 512 fits");
        if over == 0 {
            Ok(())
        } else {
            self.out.write_all(&[0; BLOCK][over..])
        }
    }
}

impl<W: Write> Sink for Tarball<W> {
    fn directory(&mut self, path: &[u8]) -> Result<(), Error> {
        let path = &[path, b"/"].concat();
        Ok(self.header(&Header {
            kind: b'5',
            mode: 0o755,
            path,
            size: 0,
            target: b"",
        })?)
    }

    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), Error> {
        Ok(self.header(&Header {
            kind: b'2',
            mode: 0o777,
            path,
            size: 0,
            target,
        })?)
    }

    fn open(&mut self, path: &[u8], executable: bool, size: u64) -> Result<(), Error> {
        self.written = 0;
        let mode = if executable { 0o755 } else { 0o644 };
        Ok(self.header(&Header {
            kind: b'0',
            mode,
            path,
            size,
            target: b"",
        })?)
    }

    fn data(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        Ok(self.out.write_all(bytes)?)
    }

    fn close(&mut self) -> Result<(), Error> {
        Ok(self.pad(self.written)?)
    }
}

struct Header<'a> {
    kind: u8,
    mode: u64,
    path: &'a [u8],
    size: u64,
    target: &'a [u8],
}

/// The two fields of ustar a path fits in: 155 bytes, a slash that is not stored, 100 bytes.
fn place(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    let first = path.len() - 101;
    let slash = (first..path.len() - 1).find(|at| path[*at] == b'/')?;
    (1..=155)
        .contains(&slash)
        .then(|| (&path[..slash], &path[slash + 1..]))
}

fn block(entry: &Header<'_>, prefix: &[u8], name: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, format!("{:07o}\0", entry.mode).as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    let size = if entry.size > LARGEST_IN_USTAR {
        0
    } else {
        entry.size
    };
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{MODIFIED:011o}\0").as_bytes());
    // The sum is made with blanks in its own place.
    put(148, b"        ");
    put(156, &[entry.kind]);
    put(157, &entry.target[..entry.target.len().min(100)]);
    put(257, b"ustar\x0000");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    put(345, prefix);
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// A pax record begins with its own length, that of the length included.
fn record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}

enum Encoder<W: Write> {
    Plain(Counter<W>),
    Gzip(Box<GzEncoder<Counter<W>>>),
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gzip(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gzip(out) => out.flush(),
        }
    }
}

struct Counter<W> {
    out: W,
    bytes: u64,
    hash: Option<Sha256>,
}

impl<W: Write> Write for Counter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.bytes += count as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes[..count]);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tarball() -> Tarball<Vec<u8>> {
        Tarball::new(Vec::new(), &ContextOptions::new().with_format(Format::Tar))
    }

    #[test]
    fn a_file_of_eight_gibibytes_has_its_size_in_a_pax_header() {
        for (size, records) in [(LARGEST_IN_USTAR, 0), (LARGEST_IN_USTAR + 1, 2 * BLOCK)] {
            let mut tarball = tarball();
            tarball.open(b"big", false, size).unwrap();
            let (written, archive) = tarball.finish().unwrap();
            assert_eq!(written.bytes, (records + 3 * BLOCK) as u64);
            let mut archive = tar::Archive::new(archive.as_slice());
            assert_eq!(
                archive.entries().unwrap().next().unwrap().unwrap().size(),
                size
            );
        }
    }

    #[test]
    fn a_long_name_is_split_at_a_slash_or_goes_before() {
        let name =
            |directory: usize, file: usize| [vec![b'd'; directory], vec![b'f'; file]].join(&b'/');
        assert_eq!(place(&name(49, 50)), Some((&b""[..], &name(49, 50)[..])));
        let long = name(155, 100);
        assert_eq!(place(&long), Some((&long[..155], &long[156..])));
        for (directory, file) in [(156, 100), (155, 101), (0, 101)] {
            assert_eq!(place(&name(directory, file)), None);
        }
        // The slash at the end of a directory splits nothing.
        assert_eq!(place(&[&[b'd'; 100][..], b"/"].concat()), None);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        for length in 0..1100 {
            let mut records = Vec::new();
            record(&mut records, "path", &vec![b'x'; length]);
            let text = String::from_utf8(records).unwrap();
            assert_eq!(text.split_once(' ').unwrap().0.parse(), Ok(text.len()));
        }
    }
}
