//! The archive: tar as POSIX describes it, the same bytes on every machine.
//!
//! Headers are ustar (POSIX.1-2017, `pax`, "ustar Interchange Format"), with a pax header
//! before one whose name, target or size does not fit. Owner and group are 0 without names,
//! devices 0, modes those of the recipe, names raw bytes.

use super::recipe::Found;

/// 1980-01-02T00:00:00Z. Not 0: zip, and with it every Python wheel that is built from the
/// files, begins in 1980, in local time.
const MODIFIED: u64 = 315_619_200;

const BLOCK: usize = 512;

/// What 11 octal digits hold: 8 GiB less one byte.
const LARGEST_IN_USTAR: u64 = 0o777_7777_7777;

/// Two blocks of zeros end an archive.
pub(super) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Appends the header of an entry. The content of a file comes behind it, then [`pad`].
pub(super) fn header(to: &mut Vec<u8>, path: &[u8], found: &Found) {
    match found {
        Found::Directory => append(to, &Header::new(b'5', 0o755, &[path, b"/"].concat())),
        Found::Link(target) => {
            let mut header = Header::new(b'2', 0o777, path);
            header.target = target;
            append(to, &header);
        }
        Found::File {
            executable, size, ..
        } => file_header(to, path, *executable, *size),
    }
}

/// Appends the header of a file whose digest is not known yet.
pub(super) fn file_header(to: &mut Vec<u8>, path: &[u8], executable: bool, size: u64) {
    let mut header = Header::new(b'0', if executable { 0o755 } else { 0o644 }, path);
    header.size = size;
    append(to, &header);
}

/// Appends what follows `size` bytes of content, up to a whole block.
pub(super) fn pad(to: &mut Vec<u8>, size: u64) {
    to.resize(to.len() + padding(size), 0);
}

/// How many bytes follow `size` bytes of content.
pub(super) fn padding(size: u64) -> usize {
    usize::try_from(size.wrapping_neg() % BLOCK as u64).expect("a rest of 512 fits")
}

fn append(to: &mut Vec<u8>, entry: &Header<'_>) {
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
        let texts = std::str::from_utf8(entry.path).and(std::str::from_utf8(entry.target));
        if texts.is_err() {
            let mut charset = Vec::new();
            record(&mut charset, "hdrcharset", b"BINARY");
            records.splice(0..0, charset);
        }
        pax(to, &records);
    }
    // A reader without pax sees the end of a long name, which is the telling part.
    let last = &entry.path[entry.path.len().saturating_sub(100)..];
    let (prefix, name) = place.unwrap_or((b"", last));
    to.extend_from_slice(&block(entry, prefix, name));
}

fn pax(to: &mut Vec<u8>, records: &[u8]) {
    let mut header = Header::new(b'x', 0o644, b"");
    header.size = records.len() as u64;
    to.extend_from_slice(&block(&header, b"", b"././@PaxHeader"));
    to.extend_from_slice(records);
    pad(to, header.size);
}

struct Header<'a> {
    kind: u8,
    mode: u64,
    path: &'a [u8],
    size: u64,
    target: &'a [u8],
}

impl<'a> Header<'a> {
    fn new(kind: u8, mode: u64, path: &'a [u8]) -> Self {
        Self {
            kind,
            mode,
            path,
            size: 0,
            target: b"",
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_eight_gibibytes_has_its_size_in_a_pax_header() {
        for (size, records) in [(LARGEST_IN_USTAR, 0), (LARGEST_IN_USTAR + 1, 2 * BLOCK)] {
            let mut archive = Vec::new();
            file_header(&mut archive, b"big", false, size);
            archive.extend_from_slice(&END);
            assert_eq!(archive.len(), records + 3 * BLOCK);
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
