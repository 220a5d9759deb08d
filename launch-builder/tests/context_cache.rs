//! A cache changes how long it takes and nothing else.

#![expect(clippy::unwrap_used, reason = "what fails in a test is seen")]

#[path = "context/tree.rs"]
#[expect(dead_code, reason = "other suites use the rest")]
mod tree;

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use launch_builder::context::{self, ContextDigest, ContextOptions, Format, Packed};
use launch_builder::event::Events;

use self::tree::{Node, PLAIN, Tree, file, hash, pack, tree, write};

/// A little more than a file has to be left alone for, before its digest is remembered.
const SETTLED: Duration = Duration::from_millis(2_300);

fn cached(cache: &Path) -> ContextOptions {
    ContextOptions::new()
        .with_cache(cache)
        .with_archive_digest()
}

fn hash_again(root: &Path, cache: &Path) -> ContextDigest {
    context::hash(root, &cached(cache), &Events::silent()).unwrap()
}

fn pack_again(root: &Path, cache: &Path, format: Format) -> (Packed, Vec<u8>) {
    let mut archive = Vec::new();
    let options = cached(cache).with_format(format);
    let packed = context::pack(root, &options, &mut archive, &Events::silent()).unwrap();
    (packed, archive)
}

/// Bytes this thread asked the kernel for.
#[cfg(target_os = "linux")]
fn read_so_far() -> u64 {
    let text = fs_err::read_to_string("/proc/thread-self/io").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    line.unwrap().parse().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn unchanged_files_are_not_read_again() {
    let size = 3 << 20;
    let root = write(
        &tree([("a", file(vec![7; size])), ("b/c", file("1"))]),
        PLAIN,
    );
    let cache = tempfile::tempdir().unwrap();
    let expected = hash(root.path());
    std::thread::sleep(SETTLED);
    // One thread is the one that calls.
    let options = cached(cache.path()).with_threads(NonZeroUsize::MIN);
    let read = || {
        let before = read_so_far();
        let hashed = context::hash(root.path(), &options, &Events::silent()).unwrap();
        assert_eq!(hashed, expected);
        read_so_far() - before
    };
    assert!(read() >= size as u64);
    assert!(read() < 100_000);
    let mut archives = [const { Vec::new() }; 3];
    let mut read: Vec<u64> = Vec::new();
    for archive in &mut archives {
        let before = read_so_far();
        context::pack(root.path(), &options, archive, &Events::silent()).unwrap();
        read.push(read_so_far() - before);
    }
    assert!(read[0] >= size as u64 && read[2] < 100_000, "{read:?}");
    assert_eq!(archives[0], pack(root.path(), Format::TarGz).1);
    assert!(archives[0] == archives[1] && archives[1] == archives[2]);
}

/// As fast as it goes, so that many writes fall into one tick of the clock.
#[test]
fn a_write_within_the_tick_of_the_last_one_is_seen() {
    let root = write(&tree([("a", file("0000")), ("b", file("1"))]), PLAIN);
    let path = root.path().join("a");
    let cache = tempfile::tempdir().unwrap();
    let mut same_times = 0;
    let mut before = None;
    for number in 0..600 {
        let file = fs_err::OpenOptions::new().write(true).open(&path).unwrap();
        file.file()
            .write_all(format!("{number:04}").as_bytes())
            .unwrap();
        if number % 2 == 0 {
            // What gives a file an old time again cannot hide the write.
            file.file()
                .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(7))
                .unwrap();
        }
        let times = times(&path);
        same_times += u32::from(before.replace(times) == Some(times));
        let hashed = hash_again(root.path(), cache.path());
        assert_eq!(hashed, hash(root.path()), "{number}");
    }
    // Else this shows nothing; the kernel decides how long a tick is.
    skip_unless(same_times > 0, "no two writes fell into one tick");
}

fn times(path: &Path) -> (i64, i64) {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = fs_err::metadata(path).unwrap();
    (metadata.ctime(), metadata.ctime_nsec())
}

/// Each of them keeps the size of the file and its time of modification.
#[test]
fn a_change_that_looks_like_none_is_seen() {
    let names = ["written", "replaced", "swapped-1", "swapped-2", "mode"];
    let mut source = Tree::new();
    for name in names {
        source.insert(name.into(), file(format!("{name:12}")));
    }
    let root = write(&source, PLAIN);
    let cache = tempfile::tempdir().unwrap();
    std::thread::sleep(SETTLED);
    let mut last = hash_again(root.path(), cache.path());
    let at = |name: &str| root.path().join(name);
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(PLAIN.modified);
    let write_over = |path: &PathBuf| {
        let file = fs_err::OpenOptions::new().write(true).open(path).unwrap();
        file.file().write_all(b"otherwise   ").unwrap();
        file.file().set_modified(old).unwrap();
    };
    let changes: [&dyn Fn(); 4] = [
        &|| write_over(&at("written")),
        &|| {
            let new = at("new");
            fs_err::write(&new, "another file").unwrap();
            let file = fs_err::OpenOptions::new().append(true).open(&new).unwrap();
            file.file().set_modified(old).unwrap();
            fs_err::rename(new, at("replaced")).unwrap();
        },
        &|| {
            fs_err::rename(at("swapped-1"), at("swap")).unwrap();
            fs_err::rename(at("swapped-2"), at("swapped-1")).unwrap();
            fs_err::rename(at("swap"), at("swapped-2")).unwrap();
        },
        &|| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs_err::set_permissions(at("mode"), mode).unwrap();
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        change();
        let hashed = hash_again(root.path(), cache.path());
        assert_eq!(hashed, hash(root.path()), "{number}");
        assert_ne!(hashed.digest, last.digest, "{number}");
        last = hashed;
    }
}

/// Text nobody wrote, a little different for each seed.
fn text(seed: u64, lines: u64) -> Vec<u8> {
    let line = |n: u64| {
        let mixed = (n + seed * 1_000_003).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        format!("line {n}: the value is {mixed}, or {:x}\n", mixed % 997)
    };
    (0..lines).map(line).collect::<String>().into_bytes()
}

fn large_tree() -> Tree {
    let mut source = Tree::new();
    for number in 0..90_u64 {
        let path = format!("d{}/f{number}", number % 7);
        source.insert(
            path.into_bytes(),
            file(text(number, 1 + number * 31 % 1500)),
        );
    }
    source.insert(b"large".to_vec(), file(text(1000, 90_000)));
    source.insert(b"link".to_vec(), Node::Link(b"large".to_vec()));
    source
}

#[test]
fn a_changed_tree_makes_the_archive_a_fresh_one_would_be() {
    let root = write(&large_tree(), PLAIN);
    let cache = tempfile::tempdir().unwrap();
    let at = |path: &str| root.path().join(path);
    let append = |path: &str, bytes: &[u8]| {
        let mut file = fs_err::OpenOptions::new()
            .append(true)
            .open(at(path))
            .unwrap();
        file.write_all(bytes).unwrap();
    };
    let changes: [&dyn Fn(); 8] = [
        &|| {},
        &|| std::thread::sleep(SETTLED),
        &|| {},
        &|| append("d3/f10", b"a word\n"),
        &|| append("large", b"at the end\n"),
        &|| fs_err::remove_file(at("d0/f77")).unwrap(),
        &|| fs_err::write(at("d1/new"), text(5, 3000)).unwrap(),
        &|| fs_err::write(at("large"), "no longer").unwrap(),
    ];
    for (number, change) in changes.iter().enumerate() {
        change();
        for format in [Format::TarGz, Format::TarZst, Format::Tar] {
            let again = pack_again(root.path(), cache.path(), format);
            let fresh = pack(root.path(), format);
            assert_eq!(again.0, fresh.0, "{number} {format:?}");
            assert!(again.1 == fresh.1, "{number} {format:?}");
        }
    }
}

#[test]
fn a_damaged_cache_is_as_good_as_none() {
    let root = write(&large_tree(), PLAIN);
    let cache = tempfile::tempdir().unwrap();
    std::thread::sleep(SETTLED);
    let fresh = pack(root.path(), Format::TarGz);
    let damages: [&dyn Fn(&Path); 4] = [
        &|file| {
            let mut bytes = fs_err::read(file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x10;
            fs_err::write(file, bytes).unwrap();
        },
        &|file| fs_err::write(file, "").unwrap(),
        &|file| {
            let bytes = fs_err::read(file).unwrap();
            fs_err::write(file, &bytes[..bytes.len() / 2]).unwrap();
        },
        &|file| fs_err::remove_file(file).unwrap(),
    ];
    for damage in damages {
        for _ in 0..2 {
            assert!(pack_again(root.path(), cache.path(), Format::TarGz) == fresh);
        }
        let files = files_below(cache.path());
        assert!(files.len() > 2);
        for file in &files {
            damage(file);
        }
    }
    // Where no directory can be, nothing is remembered, and nothing fails.
    let blocked = cache.path().join("file");
    fs_err::write(&blocked, "").unwrap();
    assert!(pack_again(root.path(), &blocked, Format::TarGz) == fresh);
    assert_eq!(hash_again(root.path(), &blocked), hash(root.path()));
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn skip_unless(shown: bool, why: &str) {
    if !shown {
        eprintln!("skipped: {why}");
    }
}
