//! What a context holds, and that nothing else has a part in its digest.

#![expect(clippy::unwrap_used, reason = "what fails in a test is seen")]

#[path = "context/tree.rs"]
mod tree;

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};

use launch_builder::Error;
use launch_builder::context::{self, Context, ContextOptions, Format};
use launch_builder::event::{Event, Events};
use proptest::prelude::*;
use proptest::sample::Index;

use self::tree::{Node, ODD, PLAIN, Tree, file, hash, names, pack, path, tree, write};

fn any_tree() -> impl Strategy<Value = Tree> {
    let name = prop_oneof![
        4 => "[a-c]{1,2}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>().prop_filter("a name", |b| !b"\0/.".contains(b)), 1..5),
        1 => "[a-z]{120}".prop_map(String::into_bytes),
    ];
    let node = prop_oneof![
        1 => Just(Node::Directory),
        1 => "[a-z./]{1,9}|[a-z]{130}".prop_map(|target| Node::Link(target.into_bytes())),
        4 => (prop::collection::vec(any::<u8>(), 0..700), any::<bool>())
            .prop_map(|(content, executable)| Node::File { content, executable }),
    ];
    let entry = (
        prop::collection::vec(name, 1..4).prop_map(|names| names.join(&b'/')),
        node,
    );
    prop::collection::vec(entry, 1..12).prop_map(|entries| {
        let mut tree = Tree::new();
        for (path, node) in entries {
            let is_above = |(other, node): (&Vec<u8>, &Node)| {
                let below = [path.as_slice(), b"/"].concat();
                let inside = [other.as_slice(), b"/"].concat();
                let blocks = path.starts_with(&inside) && *node != Node::Directory;
                other.starts_with(&below) || blocks
            };
            if !tree.iter().any(is_above) {
                tree.insert(path, node);
            }
        }
        tree
    })
}

/// One change that someone could see.
fn change(tree: &mut Tree, which: Index, how: Index) {
    let key = tree.keys().nth(which.index(tree.len())).unwrap().clone();
    let mut node = tree.remove(&key).unwrap();
    let renamed = [key.as_slice(), b"~"].concat();
    match (&mut node, how.index(4)) {
        (Node::File { content, .. }, 0) if !content.is_empty() => {
            let at = how.index(content.len());
            content[at] ^= 1;
        }
        (Node::File { content, .. }, 1) => content.push(b'\n'),
        (Node::File { executable, .. }, 2) => *executable = !*executable,
        (Node::Link(target), 0..=2) => target.push(b'x'),
        _ => {
            tree.insert(renamed, node);
            return;
        }
    }
    tree.insert(key, node);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn times_owners_modes_and_order_change_nothing(tree in any_tree()) {
        let (one, other) = (write(&tree, PLAIN), write(&tree, ODD));
        prop_assert_eq!(hash(one.path()), hash(other.path()));
        for format in [Format::Tar, Format::TarGz, Format::TarZst] {
            let (packed, archive) = pack(one.path(), format);
            prop_assert_eq!(packed.digest, hash(one.path()).digest);
            prop_assert_eq!(packed.archive_bytes, archive.len() as u64);
            prop_assert!((packed, archive) == pack(other.path(), format));
        }
    }

    #[test]
    fn whatever_can_be_seen_changes_the_digest(
        tree in any_tree(), which in any::<Index>(), how in any::<Index>(),
    ) {
        let mut changed = tree.clone();
        change(&mut changed, which, how);
        let (one, other) = (write(&tree, PLAIN), write(&changed, PLAIN));
        prop_assert_ne!(hash(one.path()).digest, hash(other.path()).digest);
        prop_assert_ne!(pack(one.path(), Format::Tar).1, pack(other.path(), Format::Tar).1);
    }

    #[test]
    fn an_archive_and_a_copy_are_the_tree_again(tree in any_tree()) {
        let root = write(&tree, ODD);
        let digest = hash(root.path());
        for format in [Format::Tar, Format::TarGz, Format::TarZst] {
            let copy = tempfile::tempdir().unwrap();
            let unpacked = context::unpack(pack(root.path(), format).1.as_slice(), copy.path()).unwrap();
            prop_assert_eq!((unpacked.files, unpacked.bytes), (digest.files, digest.bytes));
            prop_assert_eq!(hash(copy.path()), digest);
        }
        let copy = tempfile::tempdir().unwrap();
        let options = ContextOptions::new();
        context::copy(root.path(), &options, copy.path(), &Events::silent()).unwrap();
        prop_assert_eq!(hash(copy.path()), digest);
    }
}

#[test]
fn a_rule_is_part_of_the_digest_even_if_it_names_nothing() {
    let root = write(&tree([("a", file("1"))]), PLAIN);
    let digest = |rules: &str| {
        let ignore = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(ignore.path(), rules).unwrap();
        let options = ContextOptions::new().with_ignore_file(ignore.path());
        context::hash(root.path(), &options, &Events::silent())
            .unwrap()
            .digest
    };
    assert_eq!(digest(""), hash(root.path()).digest);
    assert_eq!(digest("# said\n./x/"), digest("x"));
    assert_ne!(digest("x"), digest(""));
    assert_ne!(digest("x\ny"), digest("y\nx"));
}

#[test]
fn rules_say_which_files() {
    let source = tree([
        (".dockerignore", file("*\n!src/**/*.py\n!keep\n")),
        ("Dockerfile", file("FROM scratch\n")),
        (".git/config", file("")),
        ("src/a.py", file("1")),
        ("src/deep/b.py", file("2")),
        ("src/deep/b.txt", file("3")),
        ("src/none/c.txt", file("4")),
        ("keep/.git/config", file("5")),
        ("keep/d", file("6")),
        ("other/empty", Node::Directory),
    ]);
    let root = write(&source, PLAIN);
    let (packed, archive) = pack(root.path(), Format::Tar);
    let expected = [
        "keep/",
        "keep/.git/",
        "keep/.git/config",
        "keep/d",
        "src/",
        "src/a.py",
    ];
    // `!keep` takes back all below `keep`, its `.git` too, as for Docker.
    assert_eq!(
        names(&archive),
        [&expected[..], &["src/deep/", "src/deep/b.py"]].concat()
    );
    assert_eq!((packed.files, packed.bytes), (4, 4));
}

#[test]
fn the_ignore_file_of_a_dockerfile_comes_first() {
    let source = tree([
        (".dockerignore", file("a")),
        (
            "docker/Dockerfile.dockerignore",
            file("b\ndocker\n.dockerignore"),
        ),
        ("a", file("")),
        ("b", file("")),
    ]);
    let root = write(&source, PLAIN);
    let names_with = |dockerfile: &str| {
        let options = ContextOptions::new()
            .with_format(Format::Tar)
            .with_dockerfile(dockerfile);
        let mut archive = Vec::new();
        context::pack(root.path(), &options, &mut archive, &Events::silent()).unwrap();
        names(&archive)
    };
    assert_eq!(names_with("docker/Dockerfile"), ["a"]);
    assert!(!names_with("other/Dockerfile").contains(&"a".to_owned()));
    let all = ContextOptions::new().without_ignore_file();
    assert_eq!(
        Context::scan(root.path(), &all, &Events::silent())
            .unwrap()
            .len(),
        5
    );
}

#[test]
fn ignore_files_are_read_within_the_source_alone() {
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(outside.path(), "secret [\n").unwrap();
    let root = write(&tree([("a", file(""))]), PLAIN);
    symlink(outside.path(), root.path().join(".dockerignore")).unwrap();
    let options = ContextOptions::new();
    let error = context::hash(root.path(), &options, &Events::silent()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Path {
                what: "ignore file",
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.to_string().contains("secret"), "{error}");

    fs_err::remove_file(root.path().join(".dockerignore")).unwrap();
    fs_err::write(root.path().join(".dockerignore"), "ok\n\n[a-\n").unwrap();
    let error = context::hash(root.path(), &options, &Events::silent()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`.dockerignore` line 3: `[a-` is not a pattern"
    );
}

#[test]
fn added_files_are_files_of_the_context() {
    let source = [
        ("a/b", file("1")),
        ("link", Node::Link(b"a".to_vec())),
        ("Dockerfile", file("x")),
    ];
    let root = write(&tree(source.clone()), PLAIN);
    let with = |path: &str| {
        ContextOptions::new()
            .with_file(path, "FROM scratch\n")
            .unwrap()
    };
    let digest = |options: ContextOptions| context::hash(root.path(), &options, &Events::silent());
    let mut expected = tree(source);
    expected.insert(b"Dockerfile".to_vec(), file("FROM scratch\n"));
    assert_eq!(
        digest(with("Dockerfile")).unwrap(),
        hash(write(&expected, PLAIN).path())
    );
    expected.insert(b"Dockerfile".to_vec(), file("x"));
    expected.insert(b"new/sub/D".to_vec(), file("FROM scratch\n"));
    assert_eq!(
        digest(with("new/./sub/D")).unwrap(),
        hash(write(&expected, PLAIN).path())
    );
    for path in ["link/D", "a/b/D", "a"] {
        let error = digest(with(path)).unwrap_err();
        assert!(
            matches!(
                error,
                Error::Path {
                    what: "added file",
                    ..
                }
            ),
            "{error}"
        );
    }
    for path in ["/D", "../D", "", "."] {
        assert!(ContextOptions::new().with_file(path, "").is_err(), "{path}");
    }
}

#[test]
fn links_are_kept_and_never_followed() {
    let outside = write(&tree([("secret", file("s3cret"))]), PLAIN);
    let root = write(&tree([("a", file("1"))]), PLAIN);
    symlink(outside.path(), root.path().join("directory")).unwrap();
    symlink("nowhere", root.path().join("dangling")).unwrap();
    let (packed, archive) = pack(root.path(), Format::Tar);
    assert_eq!(names(&archive), ["a", "dangling", "directory"]);
    assert_eq!(packed.bytes, 1);
    assert!(!archive.windows(6).any(|window| window == b"s3cret"));
}

#[test]
fn what_is_no_file_is_skipped_and_told() {
    let root = write(&tree([("a", file("1")), ("sub", Node::Directory)]), PLAIN);
    let _socket = UnixListener::bind(root.path().join("sub/socket")).unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(root.path().join("fifo"))
        .status()
        .unwrap();
    assert!(fifo.success());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&seen);
    let events = Events::new(move |event| sink.lock().unwrap().push(event));
    let hashed = context::hash(root.path(), &ContextOptions::new(), &events).unwrap();
    let seen = seen.lock().unwrap();
    for skipped in ["fifo (a fifo)", "sub/socket (a socket)"] {
        assert!(
            seen.contains(&Event::Skipped(skipped.to_owned())),
            "{seen:?}"
        );
    }
    assert_eq!(seen.last(), Some(&Event::Context { files: 1, bytes: 1 }));
    assert_eq!(
        hashed,
        hash(write(&tree([("a", file("1")), ("sub", Node::Directory)]), PLAIN).path())
    );
}

#[test]
fn a_root_is_a_directory() {
    let root = write(&tree([("a", file("1"))]), PLAIN);
    for path in [root.path().join("a"), root.path().join("none")] {
        let error = context::hash(&path, &ContextOptions::new(), &Events::silent()).unwrap_err();
        assert!(
            matches!(&error, Error::NotADirectory(named) if *named == path),
            "{error}"
        );
    }
    let link = root.path().join("link");
    symlink(".", &link).unwrap();
    assert_eq!(hash(&link), hash(root.path()));
}

#[test]
fn deep_and_long_paths_are_read() {
    let root = tempfile::tempdir().unwrap();
    let mut source = Tree::new();
    let long = vec![b"d".repeat(200); 12].join(&b'/');
    source.insert([&long[..], b"/file"].concat(), file("1"));
    source.insert([b"\n=9 path=", &b"l".repeat(200)[..]].concat(), file("3"));
    source.insert("e/".repeat(300).into_bytes()[..599].to_vec(), file("2"));
    let written = write(&source, PLAIN);
    let (packed, archive) = pack(written.path(), Format::Tar);
    context::unpack(archive.as_slice(), root.path()).unwrap();
    assert_eq!(hash(root.path()).digest, packed.digest);
    assert!(path(root.path(), &long).is_dir());
}
