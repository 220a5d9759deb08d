//! Reads tar: ustar with pax headers, and the long names of GNU tar.

use std::io::{self, Read};

const BLOCK: usize = 512;

/// Names and targets that do not fit a header are no longer: far above any kernel's limit.
const LONGEST_EXTENSION: u64 = 1 << 20;

/// An archive, entry by entry. The content of the entry last given is read from it.
pub(super) struct Reader<R> {
    archive: R,
    /// Content of the last entry that was not read yet.
    left: u64,
    /// What follows it, up to a whole block.
    padding: u64,
}

/// The header of an entry, extensions applied.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: u8,
    pub(super) path: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) mode: u64,
    pub(super) size: u64,
}

/// What extension headers say of the entry after them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<R: Read> Reader<R> {
    pub(super) fn new(archive: R) -> Self {
        Self {
            archive,
            left: 0,
            padding: 0,
        }
    }

    /// The next entry, `None` after the last. What was not read of the one before is skipped.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip(self.left.saturating_add(self.padding))?;
            let mut block = [0; BLOCK];
            self.archive.read_exact(&mut block)?;
            if block == [0; BLOCK] {
                // To the end, as a decompressor checks its sum there.
                io::copy(&mut self.archive, &mut io::sink())?;
                return Ok(None);
            }
            let mut entry = parse(&block)?;
            self.expect(entry.size);
            match entry.kind {
                b'x' => extensions.read(&self.extension()?)?,
                // Comments on the whole archive, such as the commit it was made from.
                b'g' => {}
                b'L' => extensions.path = Some(until_nul(&self.extension()?).to_vec()),
                b'K' => extensions.target = Some(until_nul(&self.extension()?).to_vec()),
                _ => {
                    extensions.apply(&mut entry);
                    self.expect(entry.size);
                    return Ok(Some(entry));
                }
            }
        }
    }

    fn expect(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn extension(&mut self) -> io::Result<Vec<u8>> {
        if self.left > LONGEST_EXTENSION {
            return Err(malformed("a name in the archive is too long"));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.archive).take(count), &mut io::sink())?;
        if skipped < count {
            Err(io::ErrorKind::UnexpectedEof.into())
        } else {
            Ok(())
        }
    }
}

/// The content of the entry; an archive that ends in it is an error.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.archive.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

impl Extensions {
    /// Reads pax records: `LENGTH KEY=VALUE` and a new line, where a value may hold others.
    fn read(&mut self, mut records: &[u8]) -> io::Result<()> {
        let wrong = || malformed("a pax header is malformed");
        while !records.is_empty() {
            let blank = records.iter().position(|b| *b == b' ').ok_or_else(wrong)?;
            let length = decimal(&records[..blank]).and_then(|length| usize::try_from(length).ok());
            let length = length.filter(|length| (blank + 2..=records.len()).contains(length));
            let (record, rest) = records.split_at(length.ok_or_else(wrong)?);
            let record = record[blank + 1..].strip_suffix(b"\n").ok_or_else(wrong)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(wrong)?;
            let value = &record[equals + 1..];
            match &record[..equals] {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.target = Some(value.to_vec()),
                b"size" => self.size = Some(decimal(value).ok_or_else(wrong)?),
                _ => {}
            }
            records = rest;
        }
        Ok(())
    }

    fn apply(self, entry: &mut Entry) {
        entry.path = self.path.unwrap_or(std::mem::take(&mut entry.path));
        entry.target = self.target.unwrap_or(std::mem::take(&mut entry.target));
        entry.size = self.size.unwrap_or(entry.size);
    }
}

fn parse(block: &[u8; BLOCK]) -> io::Result<Entry> {
    let wrong = || malformed("this is no tar archive");
    let number = |from: usize, to: usize| octal(&block[from..to]).ok_or_else(wrong);
    let sum = |(at, byte): (usize, &u8)| {
        u64::from(if (148..156).contains(&at) {
            b' '
        } else {
            *byte
        })
    };
    if number(148, 156)? != block.iter().enumerate().map(sum).sum::<u64>() {
        return Err(wrong());
    }
    let name = until_nul(&block[..100]);
    // GNU tar has other things in the place of the prefix, and says so.
    let prefix = if &block[257..263] == b"ustar\0" {
        until_nul(&block[345..500])
    } else {
        b""
    };
    let path = if prefix.is_empty() {
        name.to_vec()
    } else {
        [prefix, name].join(&b'/')
    };
    // Before POSIX, a file had no kind and a directory a slash at the end.
    let kind = match block[156] {
        0 if path.ends_with(b"/") => b'5',
        0 | b'7' => b'0',
        kind => kind,
    };
    let target = until_nul(&block[157..257]).to_vec();
    Ok(Entry {
        kind,
        path,
        target,
        mode: number(100, 108)?,
        size: number(124, 136)?,
    })
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or(field)
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(until_nul(field))
        .ok()?
        .trim_matches(' ');
    if text.is_empty() {
        Some(0)
    } else {
        u64::from_str_radix(text, 8).ok()
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let are_digits = digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits)
        .ok()
        .filter(|_| are_digits)?
        .parse()
        .ok()
}

fn malformed(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(archive: &[u8]) -> io::Result<Vec<(Entry, Vec<u8>)>> {
        let mut reader = Reader::new(archive);
        let mut entries = Vec::new();
        while let Some(entry) = reader.next()? {
            let mut content = Vec::new();
            reader.read_to_end(&mut content)?;
            entries.push((entry, content));
        }
        Ok(entries)
    }

    #[test]
    fn records_may_hold_records() {
        let mut extensions = Extensions::default();
        extensions
            .read(b"19 path=a\n9 path=b\n12 size=123\n10 other=\n")
            .unwrap();
        assert_eq!(extensions.path.unwrap(), b"a\n9 path=b");
        assert_eq!(extensions.size, Some(123));
        let wrong: [&[u8]; 8] = [
            b"path=a\n",
            b"99 path=a\n",
            b"3 a\n",
            b"0 path=a\n",
            b"9 path=aa",
            b"+9 path=a\n",
            b"99999999999999999999999 path=a\n",
            b"11 size=-12\n",
        ];
        for records in wrong {
            assert!(
                Extensions::default().read(records).is_err(),
                "{}",
                records.escape_ascii()
            );
        }
    }

    #[test]
    fn names_of_gnu_tar_are_read() {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, target) in [
            ("p".repeat(300), "t".repeat(200)),
            ("short".into(), "x".into()),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            builder.append_link(&mut header, path, target).unwrap();
        }
        let entries = read_all(&builder.into_inner().unwrap()).unwrap();
        let lengths: Vec<_> = entries
            .iter()
            .map(|(e, _)| (e.path.len(), e.target.len()))
            .collect();
        assert_eq!(lengths, [(300, 200), (5, 1)]);
    }

    #[test]
    fn a_name_takes_no_more_than_its_limit() {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_size(LONGEST_EXTENSION + 1);
        header.set_cksum();
        let archive = header.as_bytes().chain(io::repeat(b'9'));
        let error = Reader::new(archive).next().unwrap_err();
        assert_eq!(error.to_string(), "a name in the archive is too long");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = read_all(&bytes);
            let _ = Extensions::default().read(&bytes);
            // The same behind a header that is one.
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(tar::EntryType::XHeader);
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            bytes.splice(0..0, *header.as_bytes());
            let _ = read_all(&bytes);
        }
    }
}
