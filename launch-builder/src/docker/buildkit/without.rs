//! An archive without some of its files, as it streams by.
//!
//! The engine's BuildKit reads no `.dockerignore` in an archive: what is in it can be copied.
//! So what was added for builders that do is taken out again. The context's digest was made
//! before, of all of it.
//!
//! Format: POSIX `pax`, ustar: a header of 512 bytes with the name at 0 (100 bytes), the size
//! in octal at 124 (12 bytes) and the kind at 156, then the content in blocks of 512. A
//! record `size` of an extended header (kind `x`) counts instead of the size after it. The
//! names here are short, so that no extended header comes before theirs.

use std::io::{self, Write};

const BLOCK: usize = 512;

/// Passes an archive on to `inner`, but for the files at its top with these names.
#[derive(Debug)]
pub(in crate::docker) struct Without<W> {
    inner: W,
    names: Vec<&'static str>,
    header: Vec<u8>,
    /// Bytes of content until the next header, and whether they are passed on.
    left: u64,
    passes: bool,
    /// The content of an extended header, while it comes.
    extended: Option<Vec<u8>>,
}

impl<W: Write> Without<W> {
    pub(in crate::docker) fn new(inner: W, names: Vec<&'static str>) -> Self {
        Self {
            inner,
            names,
            header: Vec::with_capacity(BLOCK),
            left: 0,
            passes: true,
            extended: None,
        }
    }

    /// The writer below, once all was written.
    pub(in crate::docker) fn into_inner(self) -> W {
        self.inner
    }

    fn end_header(&mut self) -> io::Result<()> {
        let name = self.header[..100]
            .split(|byte| *byte == 0)
            .next()
            .unwrap_or_default();
        self.passes = !self
            .names
            .iter()
            .any(|left_out| left_out.as_bytes() == name);
        let own = size(&self.header[124..136]).ok_or(io::ErrorKind::InvalidData)?;
        let extended = self.extended.take();
        let size = extended.as_deref().and_then(record_of_size).unwrap_or(own);
        self.extended = (self.header[156] == b'x').then(Vec::new);
        self.left = size.next_multiple_of(BLOCK as u64);
        if self.passes {
            self.inner.write_all(&self.header)?;
        }
        self.header.clear();
        Ok(())
    }
}

/// The `size` among records of the form `LENGTH KEY=VALUE` and a new line.
fn record_of_size(records: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(records);
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find_map(|(_, record)| record.strip_prefix("size=")?.parse().ok())
}

/// A size in octal; in base 256 if its first bit is set, as for files beyond 8 GiB.
fn size(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        let bytes = field[4..].try_into().ok()?;
        return Some(u64::from_be_bytes(bytes));
    }
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_matches(['\0', ' ']);
    if digits.is_empty() {
        return Some(0);
    }
    u64::from_str_radix(digits, 8).ok()
}

impl<W: Write> Write for Without<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left > 0 {
            let count = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            if self.passes {
                self.inner.write_all(&bytes[..count])?;
            }
            if let Some(records) = &mut self.extended {
                records.extend_from_slice(&bytes[..count]);
            }
            self.left -= count as u64;
            return Ok(count);
        }
        let count = (BLOCK - self.header.len()).min(bytes.len());
        self.header.extend_from_slice(&bytes[..count]);
        if self.header.len() == BLOCK {
            self.end_header()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::context::{self, ContextOptions, Format};
    use crate::event::Events;

    fn names(archive: &[u8]) -> Vec<String> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().unwrap();
        let name = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let name = entry.unwrap().path().unwrap().display().to_string();
            name.trim_end_matches('/').to_owned()
        };
        entries.map(name).collect()
    }

    #[test]
    fn only_the_named_files_are_left_out() {
        let tree = tempfile::tempdir().unwrap();
        let long = "d".repeat(120);
        fs_err::create_dir(tree.path().join("sub")).unwrap();
        for name in ["a", "sub/gone", "z", &long] {
            fs_err::write(tree.path().join(name), vec![7; name.len() * 100]).unwrap();
        }
        let options = ContextOptions::new().with_format(Format::Tar);
        let options = options.with_file("gone", vec![1_u8; 700]).unwrap();
        let mut without = Without::new(Vec::new(), vec!["gone"]);
        context::pack(tree.path(), &options, &mut without, &Events::silent()).unwrap();
        let expected = ["a", &long, "sub", "sub/gone", "z"];
        assert_eq!(names(&without.into_inner()), expected);
    }

    #[test]
    fn a_file_beyond_what_a_header_holds_is_passed_over_whole() {
        let size = 9_u64 << 30;
        let mut records = format!("20 size={size}\n").into_bytes();
        let header = |name: &[u8], kind: u8, size: usize| {
            let mut header = vec![0; BLOCK];
            header[..name.len()].copy_from_slice(name);
            header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
            header[156] = kind;
            header
        };
        let mut without = Without::new(Vec::new(), vec!["gone"]);
        without
            .write_all(&header(b"x", b'x', records.len()))
            .unwrap();
        records.resize(BLOCK, 0);
        without.write_all(&records).unwrap();
        without.write_all(&header(b"big", b'0', 0)).unwrap();
        assert_eq!(without.left, size);
    }

    proptest! {
        #[test]
        fn the_pieces_it_comes_in_do_not_matter(sizes in prop::collection::vec(1..2000_usize, 1..40)) {
            let mut builder = tar::Builder::new(Vec::new());
            for (name, length) in [("a", 0), ("gone", 513), ("b", 1500), ("gone2", 1)] {
                let mut header = tar::Header::new_ustar();
                header.set_size(length);
                header.set_cksum();
                let content = vec![b'x'; usize::try_from(length).unwrap()];
                builder.append_data(&mut header, name, content.as_slice()).unwrap();
            }
            let archive = builder.into_inner().unwrap();
            let mut without = Without::new(Vec::new(), vec!["gone"]);
            let mut rest = archive.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(rest.len().min(*size));
                without.write_all(piece).unwrap();
                rest = after;
            }
            prop_assert_eq!(names(&without.into_inner()), ["a", "b", "gone2"]);
        }
    }
}
