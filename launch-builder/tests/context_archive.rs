//! The archive: readable by others, and unpacked only where it belongs.

#![expect(clippy::unwrap_used, reason = "what fails in a test is seen")]

#[path = "context/skip.rs"]
mod skip;
#[path = "context/tree.rs"]
#[expect(dead_code, reason = "other suites use the rest")]
mod tree;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use launch_builder::Error;
use launch_builder::context::{self, Format};
use tar::{Builder, EntryType, Header};

use self::skip::skip;
use self::tree::{Node, ODD, PLAIN, file, hash, pack, tree, write};

fn entry(builder: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, target: &str) {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o777);
    header.set_size(u64::from(kind.is_file()));
    if !target.is_empty() {
        header.set_link_name_literal(target).unwrap();
    }
    header.set_cksum();
    builder
        .append(&header, if kind.is_file() { &b"x"[..] } else { b"" })
        .unwrap();
}

/// Kind, name, target.
type Entry<'a> = (EntryType, &'a str, &'a str);

fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, target) in entries {
        entry(&mut builder, *kind, name, target);
    }
    builder.into_inner().unwrap()
}

#[test]
fn entries_that_lead_elsewhere_are_refused() {
    use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    let outside = tempfile::tempdir().unwrap();
    let out: &str = outside.path().to_str().unwrap();
    let cases: &[(&[Entry<'_>], &str)] = &[
        (&[(Regular, "/tmp/x", "")], "has an absolute name"),
        (&[(Regular, "../x", "")], "leads out of the directory"),
        (&[(Regular, "a/../../x", "")], "leads out of the directory"),
        (&[(Directory, "..", "")], "leads out of the directory"),
        (
            &[(Symlink, "a", out), (Regular, "a/x", "")],
            "is below something that is no directory",
        ),
        (
            &[(Symlink, "a", out), (Directory, "a/x", "")],
            "is below something that is no directory",
        ),
        (
            &[(Symlink, "a", out), (Symlink, "a/x", "y")],
            "is below something that is no directory",
        ),
        (
            &[(Symlink, "a", out), (Directory, "a", "")],
            "is below something that is no directory",
        ),
        (
            &[(Symlink, "a", "x"), (Regular, "a", "")],
            "is there already",
        ),
        (
            &[(Regular, "a", ""), (Regular, "./a", "")],
            "is there already",
        ),
        (
            &[(Regular, "a", ""), (Regular, "a/b", "")],
            "is below something that is no directory",
        ),
        (
            &[(Regular, "a", ""), (Link, "b", "a")],
            "is neither file, directory nor symbolic link",
        ),
        (
            &[(Char, "a", "")],
            "is neither file, directory nor symbolic link",
        ),
        (
            &[(Block, "a", "")],
            "is neither file, directory nor symbolic link",
        ),
        (
            &[(Fifo, "a", "")],
            "is neither file, directory nor symbolic link",
        ),
        (&[(Symlink, "a", "")], "is a link to nothing"),
        (&[(Regular, "./", "")], "is the root"),
    ];
    for (entries, expected) in cases {
        let inside = tempfile::tempdir().unwrap();
        let error = context::unpack(archive(entries).as_slice(), inside.path()).unwrap_err();
        assert!(
            matches!(error, Error::Archive { why, .. } if why == *expected),
            "{entries:?}: {error}"
        );
        assert_eq!(
            fs_err::read_dir(outside.path()).unwrap().count(),
            0,
            "{entries:?}"
        );
    }
}

#[test]
fn directories_need_no_entries_and_modes_no_umask() {
    use EntryType::{Directory, Regular};
    let inside = tempfile::tempdir().unwrap();
    let archive = archive(&[
        (Regular, "a/b/c", ""),
        (Directory, "a", ""),
        (Directory, "./", ""),
    ]);
    let unpacked = context::unpack(archive.as_slice(), inside.path()).unwrap();
    assert_eq!((unpacked.files, unpacked.bytes), (1, 1));
    for path in ["a", "a/b", "a/b/c"] {
        let mode = fs_err::metadata(inside.path().join(path))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o755, "{path}");
    }
}

#[test]
fn a_cut_archive_is_an_error() {
    let root = write(&tree([("a", file(vec![1; 5000]))]), PLAIN);
    for format in [Format::Tar, Format::TarGz, Format::TarZst] {
        let (_, archive) = pack(root.path(), format);
        for end in [archive.len() / 3, archive.len() / 2] {
            let inside = tempfile::tempdir().unwrap();
            assert!(
                context::unpack(&archive[..end], inside.path()).is_err(),
                "{format:?} {end}"
            );
        }
    }
    let nowhere = context::unpack(&b""[..], "/nonexistent").unwrap_err();
    assert!(matches!(nowhere, Error::NotADirectory(_)));
}

fn sample() -> tempfile::TempDir {
    let long = "long-name/".repeat(30);
    let mut source = tree([
        (
            "run",
            Node::File {
                content: b"#!/bin/sh\n".to_vec(),
                executable: true,
            },
        ),
        ("naïve/ünï.txt", file("text")),
        ("link", Node::Link(b"run".to_vec())),
        ("far", Node::Link(b"x".repeat(300))),
        ("empty", Node::Directory),
        ("block", file(vec![1; 512])),
        ("zero", file("")),
    ]);
    source.insert(format!("{long}end").into_bytes(), file("deep"));
    source.insert(
        [&b"p".repeat(90)[..], b"/", &b"n".repeat(90)].concat(),
        file("prefix"),
    );
    source.insert(
        [b"\xff\xfe", &b"b".repeat(120)[..]].concat(),
        file("no text"),
    );
    write(&source, ODD)
}

/// Other programs unpack the same tree.
#[test]
fn tar_and_python_read_the_archive() {
    let root = sample();
    let (packed, archive) = pack(root.path(), Format::TarGz);
    let python = "import io, sys, tarfile\n\
        tar = tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()), mode='r:gz')\n\
        for member in tar:\n\
        \x20   assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, '', '')\n\
        \x20   assert member.mtime == 315619200, member.mtime\n\
        \x20   tar.extract(member, sys.argv[1])\n";
    for (program, arguments) in [
        ("tar", vec!["-xzf", "-", "-C"]),
        ("python3", vec!["-c", python]),
    ] {
        let copy = tempfile::tempdir().unwrap();
        let child = Command::new(program)
            .args(arguments)
            .arg(copy.path())
            .stdin(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            skip(&format!("{program} is not installed"));
            continue;
        };
        child.stdin.take().unwrap().write_all(&archive).unwrap();
        assert!(child.wait().unwrap().success(), "{program}");
        assert_eq!(hash(copy.path()).digest, packed.digest, "{program}");
    }
}

#[test]
fn gzip_says_nothing_of_where_it_was_made() {
    let root = sample();
    let (packed, archive) = pack(root.path(), Format::TarGz);
    assert_eq!(&archive[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let digest = packed.archive_digest.unwrap().to_hex();
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&archive).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{digest}  -\n")
    );
}
