//! Paths that come from a job stay inside its source.
//!
//! A job names paths (its Dockerfile, its context, its script) and brings symlinks. Both are
//! resolved here, once: what comes out is a canonical path below the root, or a refusal. The
//! tree is ours while we read it, so nothing moves between the check and the reading.

use std::io;
use std::path::{Component, Path, PathBuf};

use crate::error::Error;

/// Files of a source that are read whole are no longer than this.
const LONGEST_TEXT: u64 = 1 << 20;

/// The canonical path of `path` below `root`, which is canonical itself.
pub(crate) fn inside(root: &Path, path: &Path, what: &'static str) -> Result<PathBuf, Error> {
    let refuse = |why| Error::Path {
        what,
        path: path.to_owned(),
        why,
    };
    check_spelling(path).map_err(refuse)?;
    let real = match root.join(path).canonicalize() {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(refuse("is not in the source"));
        }
        Err(_) => return Err(refuse("cannot be followed")),
    };
    if real.starts_with(root) {
        Ok(real)
    } else {
        Err(refuse("is a link out of the source"))
    }
}

/// Like [`inside`], for a file that need not be there. A dangling link is not "not there".
pub(crate) fn find(root: &Path, path: &Path, what: &'static str) -> Result<Option<PathBuf>, Error> {
    check_spelling(path).map_err(|why| Error::Path {
        what,
        path: path.to_owned(),
        why,
    })?;
    match root.join(path).symlink_metadata() {
        Ok(_) => inside(root, path, what).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// What is wrong with the spelling alone, before the disk is asked.
fn check_spelling(path: &Path) -> Result<(), &'static str> {
    if path.as_os_str().is_empty() {
        return Err("is empty");
    }
    for component in path.components() {
        match component {
            Component::ParentDir => return Err("leads out of the source"),
            Component::RootDir | Component::Prefix(_) => return Err("is absolute"),
            Component::CurDir | Component::Normal(_) => {}
        }
    }
    Ok(())
}

/// The text of a file of the source: a regular file of at most 1 MiB of UTF-8.
pub(crate) fn read_text(root: &Path, path: &Path, what: &'static str) -> Result<String, Error> {
    let refuse = |why| Error::Path {
        what,
        path: path.to_owned(),
        why,
    };
    let real = inside(root, path, what)?;
    let metadata = fs_err::metadata(&real)?;
    if !metadata.is_file() {
        return Err(refuse("is not a regular file"));
    }
    if metadata.len() > LONGEST_TEXT {
        return Err(refuse("is longer than 1 MiB"));
    }
    let bytes = fs_err::read(&real)?;
    String::from_utf8(bytes).map_err(|_| refuse("is not UTF-8 text"))
}

/// [`read_text`] of a file that need not be there.
pub(crate) fn find_text(
    root: &Path,
    path: &Path,
    what: &'static str,
) -> Result<Option<String>, Error> {
    match find(root, path, what)? {
        Some(_) => read_text(root, path, what).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree() -> (tempfile::TempDir, PathBuf) {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap().join("tree");
        fs_err::create_dir_all(root.join("sub")).unwrap();
        fs_err::write(root.join("sub/a.txt"), "a").unwrap();
        fs_err::write(scratch.path().join("secret"), "s").unwrap();
        (scratch, root)
    }

    fn why(result: Result<PathBuf, Error>) -> &'static str {
        match result.unwrap_err() {
            Error::Path { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths_inside_are_resolved() {
        let (_scratch, root) = tree();
        symlink("sub/a.txt", root.join("link")).unwrap();
        let real = inside(&root, Path::new("./link"), "file").unwrap();
        assert_eq!(real, root.join("sub/a.txt"));
    }

    #[test]
    fn every_way_out_is_refused() {
        let (_scratch, root) = tree();
        symlink("../secret", root.join("out")).unwrap();
        symlink("/etc", root.join("etc")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let refused = |path: &str| why(inside(&root, Path::new(path), "file"));
        assert_eq!(refused("/etc/passwd"), "is absolute");
        assert_eq!(refused("sub/../../secret"), "leads out of the source");
        assert_eq!(refused("out"), "is a link out of the source");
        assert_eq!(refused("etc/passwd"), "is a link out of the source");
        assert_eq!(refused("loop"), "cannot be followed");
        assert_eq!(refused("none"), "is not in the source");
        assert_eq!(refused(""), "is empty");
    }

    #[test]
    fn a_dangling_link_is_not_an_absent_file() {
        let (_scratch, root) = tree();
        symlink("nowhere", root.join("requirements.txt")).unwrap();
        assert!(find(&root, Path::new("requirements.txt"), "file").is_err());
        assert_eq!(find(&root, Path::new("other.txt"), "file").unwrap(), None);
        assert_eq!(find(&root, Path::new("sub/a.txt/x"), "file").unwrap(), None);
    }

    #[test]
    fn only_regular_short_text_is_read() {
        let (_scratch, root) = tree();
        fs_err::write(root.join("binary"), [0xff, 0xfe]).unwrap();
        fs_err::File::create(root.join("long"))
            .unwrap()
            .set_len(LONGEST_TEXT + 1)
            .unwrap();
        for path in ["sub", "binary", "long"] {
            assert!(read_text(&root, Path::new(path), "file").is_err(), "{path}");
        }
        assert_eq!(
            read_text(&root, Path::new("sub/a.txt"), "file").unwrap(),
            "a"
        );
    }
}
