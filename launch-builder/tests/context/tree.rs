//! Small trees described as data, written to disk in more than one way.

#![expect(
    clippy::unwrap_used,
    reason = "a test whose tree cannot be made is over"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use launch_builder::context::{self, ContextDigest, ContextOptions, Format, Packed};
use launch_builder::event::Events;

/// Entries by path; the directories above them are implied.
pub(crate) type Tree = BTreeMap<Vec<u8>, Node>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Directory,
    File { content: Vec<u8>, executable: bool },
    Link(Vec<u8>),
}

/// What has no part in a digest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) reversed: bool,
    pub(crate) modified: u64,
    /// Mode bits that are neither read nor executed by the owner.
    pub(crate) other_bits: u32,
    pub(crate) owner: u32,
}

pub(crate) const PLAIN: Way = Way {
    reversed: false,
    modified: 1_700_000_000,
    other_bits: 0o044,
    owner: 0,
};
pub(crate) const ODD: Way = Way {
    reversed: true,
    modified: 7,
    other_bits: 0o222,
    owner: 12345,
};

pub(crate) fn file(content: impl AsRef<[u8]>) -> Node {
    Node::File {
        content: content.as_ref().to_vec(),
        executable: false,
    }
}

pub(crate) fn tree<const N: usize>(nodes: [(&str, Node); N]) -> Tree {
    nodes
        .into_iter()
        .map(|(path, node)| (path.as_bytes().to_vec(), node))
        .collect()
}

pub(crate) fn path(root: &Path, entry: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(entry))
}

pub(crate) fn write(tree: &Tree, way: Way) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut nodes: Vec<_> = tree.iter().collect();
    if way.reversed {
        nodes.reverse();
    }
    for (entry, node) in nodes {
        let path = path(root.path(), entry);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        match node {
            Node::Directory => fs_err::create_dir_all(&path).unwrap(),
            Node::Link(target) => symlink(OsStr::from_bytes(target), &path).unwrap(),
            Node::File {
                content,
                executable,
            } => {
                fs_err::write(&path, content).unwrap();
                let mode = if *executable { 0o700 } else { 0o600 } | way.other_bits;
                fs_err::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
                let time = SystemTime::UNIX_EPOCH + Duration::from_secs(way.modified);
                let file = fs_err::OpenOptions::new().append(true).open(&path).unwrap();
                file.file().set_modified(time).unwrap();
            }
        }
        // Only root may.
        let _ = lchown(&path, Some(way.owner), Some(way.owner));
    }
    root
}

pub(crate) fn hash(root: &Path) -> ContextDigest {
    context::hash(root, &ContextOptions::new(), &Events::silent()).unwrap()
}

pub(crate) fn pack(root: &Path, format: Format) -> (Packed, Vec<u8>) {
    let options = ContextOptions::new()
        .with_format(format)
        .with_archive_digest();
    let mut archive = Vec::new();
    let packed = context::pack(root, &options, &mut archive, &Events::silent()).unwrap();
    (packed, archive)
}

/// The names in a tar archive, in their order.
pub(crate) fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let name = |entry: std::io::Result<tar::Entry<'_, _>>| {
        String::from_utf8(entry.unwrap().path_bytes().into_owned()).unwrap()
    };
    archive.entries().unwrap().map(name).collect()
}
