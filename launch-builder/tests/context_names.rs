//! With a cache, directories that are what they were are not read again, and all others are.

#![expect(clippy::unwrap_used, reason = "what fails in a test is seen")]

#[path = "context/tree.rs"]
#[expect(dead_code, reason = "other suites use the rest")]
mod tree;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use launch_builder::context::{self, ContextDigest, ContextOptions};
use launch_builder::event::Events;

use self::tree::{PLAIN, file, hash, tree, write};

/// A little more than a directory has to be left alone for, before its names are remembered.
const SETTLED: Duration = Duration::from_millis(2_300);

fn hash_again(root: &Path, cache: &Path) -> ContextDigest {
    let options = ContextOptions::new().with_cache(cache);
    context::hash(root, &options, &Events::silent()).unwrap()
}

fn settled() -> (tempfile::TempDir, tempfile::TempDir) {
    let source = tree([
        (".dockerignore", file("*.log\n!keep.log\n")),
        ("a/b/c/one", file("1")),
        ("a/b/two", file("2")),
        ("a/keep.log", file("3")),
        ("a/x.log", file("4")),
        ("d/three", file("5")),
    ]);
    let (root, cache) = (write(&source, PLAIN), tempfile::tempdir().unwrap());
    std::thread::sleep(SETTLED);
    let expected = hash(root.path());
    for _ in 0..2 {
        assert_eq!(hash_again(root.path(), cache.path()), expected);
    }
    (root, cache)
}

#[test]
fn names_that_come_go_and_change_are_seen() {
    let (root, cache) = settled();
    let at = |path: &str| root.path().join(path);
    let changes: [&dyn Fn(); 9] = [
        &|| fs_err::write(at("a/b/c/new"), "6").unwrap(),
        &|| fs_err::remove_file(at("a/b/c/new")).unwrap(),
        &|| fs_err::rename(at("a/b/two"), at("a/b/zwei")).unwrap(),
        &|| fs_err::create_dir(at("d/empty")).unwrap(),
        &|| fs_err::rename(at("a/x.log"), at("a/x.txt")).unwrap(),
        &|| {
            fs_err::remove_file(at("d/three")).unwrap();
            symlink("elsewhere", at("d/three")).unwrap();
        },
        &|| {
            fs_err::rename(at("a/b/c"), at("a/b/was")).unwrap();
            symlink("was", at("a/b/c")).unwrap();
        },
        &|| fs_err::write(at(".dockerignore"), "*.txt\n").unwrap(),
        &|| fs_err::remove_dir_all(at("a")).unwrap(),
    ];
    for (number, change) in changes.iter().enumerate() {
        change();
        for _ in 0..2 {
            let again = hash_again(root.path(), cache.path());
            assert_eq!(again, hash(root.path()), "{number}");
        }
    }
}

/// As fast as it goes, so that many changes fall into one tick of the clock.
#[test]
fn a_name_within_the_tick_of_the_last_one_is_seen() {
    let (root, cache) = settled();
    for number in 0..300 {
        let path = root.path().join(format!("d/{}", number / 2));
        if number % 2 == 0 {
            fs_err::write(path, "").unwrap();
        } else {
            fs_err::remove_file(path).unwrap();
        }
        let again = hash_again(root.path(), cache.path());
        assert_eq!(again, hash(root.path()), "{number}");
    }
}

/// Another directory in the place of one that was known, and a link to it.
#[test]
fn a_directory_that_is_another_one_is_read() {
    let (root, cache) = settled();
    let at = |path: &str| root.path().join(path);
    let other = write(&tree([("three", file("other"))]), PLAIN);
    std::thread::sleep(SETTLED);
    fs_err::rename(at("d"), at("was")).unwrap();
    symlink(other.path(), at("d")).unwrap();
    assert_eq!(hash_again(root.path(), cache.path()), hash(root.path()));
    fs_err::remove_file(at("d")).unwrap();
    fs_err::rename(at("a"), at("d")).unwrap();
    assert_eq!(hash_again(root.path(), cache.path()), hash(root.path()));
}
