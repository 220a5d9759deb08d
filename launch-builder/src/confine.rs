//! Paths that come from a job stay inside its source.
//!
//! A job names paths (its Dockerfile, its context, its script) and brings symlinks. Both are
//! resolved here, once: what comes out is a canonical path below the root, or a refusal. The
//! tree is ours while we read it, so nothing moves between the check and the reading.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use crate::error::Error;

/// Files of a source that are read whole are no longer than this.
const LONGEST_TEXT: u64 = 1 << 20;

/// The canonical path of `path` below `root`, which is canonical itself.
pub(crate) fn inside(root: &Path, path: &Path, what: &'static str) -> Result<PathBuf, Error> {
    below(root, root, path, what)
}

/// Like [`inside`], for a path that is relative to `base`, which is canonical and in `root`:
/// `..` may leave the base, but not the root.
pub(crate) fn below(
    root: &Path,
    base: &Path,
    path: &Path,
    what: &'static str,
) -> Result<PathBuf, Error> {
    let refuse = |why| Error::Path {
        what,
        path: path.to_owned(),
        why,
    };
    check_spelling(depth(root, base), path).map_err(refuse)?;
    let real = match base.join(path).canonicalize() {
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
    find_below(root, root, path, what)
}

/// [`find`] of a path relative to `base`; see [`below`].
pub(crate) fn find_below(
    root: &Path,
    base: &Path,
    path: &Path,
    what: &'static str,
) -> Result<Option<PathBuf>, Error> {
    check_spelling(depth(root, base), path).map_err(|why| Error::Path {
        what,
        path: path.to_owned(),
        why,
    })?;
    match base.join(path).symlink_metadata() {
        Ok(_) => below(root, base, path, what).map(Some),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a path that may be no path at all is something of the source, or a link there.
pub(crate) fn is_there(root: &Path, base: &Path, path: &Path) -> bool {
    check_spelling(depth(root, base), path).is_ok() && base.join(path).symlink_metadata().is_ok()
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// How many directories `base` is below `root`.
fn depth(root: &Path, base: &Path) -> usize {
    base.strip_prefix(root)
        .map_or(0, |below| below.components().count())
}

/// What is wrong with the spelling alone, before the disk is asked. A `..` may take back
/// a name before it, and leave a base that is `depth` directories below the root.
fn check_spelling(mut depth: usize, path: &Path) -> Result<(), &'static str> {
    if path.as_os_str().is_empty() {
        return Err("is empty");
    }
    for component in path.components() {
        match component {
            Component::ParentDir if depth == 0 => return Err("leads out of the source"),
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return Err("is absolute"),
            Component::CurDir => {}
            Component::Normal(_) => depth += 1,
        }
    }
    Ok(())
}

/// The text of a file of the source: a regular file of at most 1 MiB of UTF-8.
pub(crate) fn read_text(root: &Path, path: &Path, what: &'static str) -> Result<String, Error> {
    read_text_below(root, root, path, what)
}

/// [`read_text`] of a path relative to `base`; see [`below`].
pub(crate) fn read_text_below(
    root: &Path,
    base: &Path,
    path: &Path,
    what: &'static str,
) -> Result<String, Error> {
    let refuse = |why| Error::Path {
        what,
        path: path.to_owned(),
        why,
    };
    let real = below(root, base, path, what)?;
    read_real(&real, LONGEST_TEXT, refuse)
}

/// [`read_text`] of a file that may be as long as `limit`.
pub(crate) fn read_long(
    root: &Path,
    path: &Path,
    what: &'static str,
    limit: u64,
) -> Result<String, Error> {
    let refuse = |why| Error::Path {
        what,
        path: path.to_owned(),
        why,
    };
    let real = inside(root, path, what)?;
    read_real(&real, limit, refuse)
}

/// The text of a file; `refuse` makes an error of what is wrong with it.
fn read_real(
    real: &Path,
    limit: u64,
    refuse: impl Fn(&'static str) -> Error,
) -> Result<String, Error> {
    let metadata = fs_err::metadata(real)?;
    if !metadata.is_file() {
        return Err(refuse("is not a regular file"));
    }
    if metadata.len() > limit {
        return Err(refuse("is too long"));
    }
    let bytes = fs_err::read(real)?;
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

/// Writes a file of a tree that is ours, in the place of what is there. Its directories are
/// made as needed; a link among them that leads out is refused, and a link in the file's
/// place is replaced, not followed.
pub(crate) fn place(
    root: &Path,
    path: &Path,
    write: impl FnOnce(&mut fs_err::File) -> io::Result<()>,
) -> Result<(), Error> {
    const WHAT: &str = "file to write";
    let refuse = |why| Error::Path {
        what: WHAT,
        path: path.to_owned(),
        why,
    };
    check_spelling(0, path).map_err(refuse)?;
    let name = path
        .file_name()
        .ok_or_else(|| refuse("is not the name of a file"))?;
    let mut directory = root.to_owned();
    for part in path.parent().unwrap_or(Path::new("")).components() {
        directory.push(part);
        match fs_err::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        directory = inside(root, directory.strip_prefix(root).unwrap_or(path), WHAT)?;
    }
    if directory.join(name).is_dir() && !directory.join(name).is_symlink() {
        return Err(refuse("is a directory"));
    }
    // What is replaced keeps its mode: a program stays one.
    let there = directory.join(name).symlink_metadata();
    let mode = there
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map_or(0o644, |there| there.mode());
    let (file, temporary) = tempfile::Builder::new()
        .permissions(PermissionsExt::from_mode(mode & 0o777 | 0o600))
        .tempfile_in(&directory)?
        .into_parts();
    write(&mut fs_err::File::from_parts(file, temporary.to_path_buf()))?;
    temporary
        .persist(directory.join(name))
        .map_err(|error| error.error)?;
    Ok(())
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
        let base = root.join("sub");
        let real = below(&root, &base, Path::new("../sub/../link"), "file").unwrap();
        assert_eq!(real, root.join("sub/a.txt"));
        assert_eq!(
            inside(&root, Path::new("none/../sub"), "file")
                .unwrap_err()
                .to_string(),
            "file `none/../sub` is not in the source"
        );
    }

    #[test]
    fn a_base_is_left_only_for_the_root() {
        let (_scratch, root) = tree();
        let base = root.join("sub");
        for (path, expected) in [
            ("../../secret", "leads out of the source"),
            ("a.txt/../../../secret", "leads out of the source"),
            ("/etc/passwd", "is absolute"),
        ] {
            assert_eq!(why(below(&root, &base, Path::new(path), "file")), expected);
        }
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
    fn nothing_is_written_through_a_planted_link() {
        let (scratch, root) = tree();
        symlink("../secret", root.join("runtime.txt")).unwrap();
        symlink("nowhere", root.join("dangling.txt")).unwrap();
        symlink("..", root.join("up")).unwrap();
        symlink("sub", root.join("same")).unwrap();
        let write = |path: &str| {
            place(&root, Path::new(path), |file| {
                io::Write::write_all(file, b"ours")
            })
        };
        for path in [
            "runtime.txt",
            "dangling.txt",
            "new/deep/x.txt",
            "same/b.txt",
        ] {
            write(path).unwrap();
            assert_eq!(fs_err::read_to_string(root.join(path)).unwrap(), "ours");
            assert!(!root.join(path).is_symlink(), "{path}");
        }
        for path in [
            "up/secret",
            "up/new/x",
            "../x",
            "/x",
            "a/../../x",
            "sub",
            "",
        ] {
            assert!(matches!(write(path), Err(Error::Path { .. })), "{path}");
        }
        let secret = fs_err::read_to_string(scratch.path().join("secret")).unwrap();
        assert_eq!(secret, "s", "what a link pointed to is as it was");
        assert!(!root.join("nowhere").exists() && !scratch.path().join("new").exists());
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
