//! An archive is made of pieces: whoever makes them, and on however many threads, it is the
//! same, and it is one archive.

#![expect(clippy::unwrap_used, reason = "what fails in a test is seen")]

#[path = "context/tree.rs"]
#[expect(dead_code, reason = "other suites use the rest")]
mod tree;

use std::io::Read as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};

use launch_builder::context::{self, ContextOptions, Format};
use launch_builder::event::{Event, Events};

use self::tree::{Node, PLAIN, Tree, file, hash, write};

/// A generator of numbers, the same ones every time.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed;
    let step = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        u8::try_from(state >> 56).unwrap()
    };
    (0..count).map(step).collect()
}

fn words(seed: u64, count: usize) -> Vec<u8> {
    let pick =
        |byte: u8| ["let ", "mut ", "fn ", "self.", "x", "\n", "  ", "0"][usize::from(byte % 8)];
    noise(seed, count)
        .into_iter()
        .map(pick)
        .collect::<String>()
        .into_bytes()
}

/// Small files for several pieces, and files around the size at which one is cut.
fn source() -> Tree {
    let mut source = Tree::new();
    for number in 0..160_usize {
        let path = format!("src/{}/{number}.rs", number % 9);
        let content = words(number as u64, 100 + 97 * number % 3000);
        source.insert(path.into_bytes(), file(content));
    }
    for (name, size) in [
        ("one", 1 << 20),
        ("two", (1 << 20) + 1),
        ("three", (2 << 20) + 513),
    ] {
        let content = words(size as u64, size);
        source.insert(name.as_bytes().to_vec(), file(&content[..size]));
    }
    source.insert(b"weights".to_vec(), file(noise(1, 2_500_000)));
    source.insert(b"link".to_vec(), Node::Link(b"one".to_vec()));
    source.insert(b"empty".to_vec(), Node::Directory);
    source
}

fn pack(root: &Path, options: &ContextOptions) -> Vec<u8> {
    let mut archive = Vec::new();
    context::pack(root, options, &mut archive, &Events::silent()).unwrap();
    archive
}

#[test]
fn bytes_are_the_same_for_any_number_of_threads() {
    let root = write(&source(), PLAIN);
    let forms = [
        (Format::Tar, 0, vec![2, 3, 8]),
        (Format::TarGz, 1, vec![2, 8]),
        (Format::TarGz, 6, vec![3]),
        (Format::TarZst, 3, vec![2, 8]),
    ];
    let digest = hash(root.path());
    for (format, level, counts) in forms {
        let with = |threads: usize| {
            let threads = NonZeroUsize::new(threads).unwrap();
            let options = ContextOptions::new().with_format(format).with_level(level);
            let options = options.with_threads(threads);
            let hashed = context::hash(root.path(), &options, &Events::silent()).unwrap();
            assert_eq!(hashed, digest);
            pack(root.path(), &options)
        };
        let one = with(1);
        for threads in counts {
            assert!(one == with(threads), "{format:?} {level} {threads}");
        }
    }
}

#[test]
fn pieces_are_one_archive() {
    let root = write(&source(), PLAIN);
    let options = |format| ContextOptions::new().with_format(format);
    let tar = pack(root.path(), &options(Format::Tar));
    for level in [0, 1, 6, 9] {
        let archive = pack(root.path(), &options(Format::TarGz).with_level(level));
        let mut bytes = Vec::new();
        let mut decoder = flate2::bufread::MultiGzDecoder::new(archive.as_slice());
        decoder.read_to_end(&mut bytes).unwrap();
        assert!(bytes == tar, "{level}");
        assert!(decoder.into_inner().is_empty(), "{level}");
    }
    let archive = pack(root.path(), &options(Format::TarZst));
    assert!(zstd::decode_all(archive.as_slice()).unwrap() == tar);
}

#[test]
fn harder_is_smaller() {
    let root = write(&source(), PLAIN);
    let size = |level| pack(root.path(), &ContextOptions::new().with_level(level)).len();
    let sizes = [0, 1, 6, 9].map(size);
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
}

#[test]
fn what_does_not_shrink_does_not_grow() {
    let size = 5_000_000;
    let root = write(&[(b"weights".to_vec(), file(noise(3, size)))].into(), PLAIN);
    for (format, level) in [(Format::TarGz, 1), (Format::TarGz, 9), (Format::TarZst, 3)] {
        let options = ContextOptions::new().with_format(format).with_level(level);
        let archive = pack(root.path(), &options);
        assert!(
            archive.len() < size + size / 1000,
            "{format:?} {}",
            archive.len()
        );
    }
}

#[test]
fn progress_never_goes_back_and_ends_with_all() {
    let root = write(&source(), PLAIN);
    let digest = hash(root.path());
    let options = ContextOptions::new().with_format(Format::Tar);
    let hashing = |events: &Events| {
        context::hash(root.path(), &options, events).unwrap();
    };
    let packing = |events: &Events| {
        context::pack(root.path(), &options, Vec::new(), events).unwrap();
    };
    let both: [&dyn Fn(&Events); 2] = [&hashing, &packing];
    for work in both {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        let events = Events::new(move |event| {
            if let Event::Context { files, bytes } = event {
                sink.lock().unwrap().push((files, bytes));
            }
        });
        work(&events);
        let seen = seen.lock().unwrap();
        assert!(
            seen.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1),
            "{seen:?}"
        );
        assert_eq!(seen.last(), Some(&(digest.files, digest.bytes)));
    }
}
