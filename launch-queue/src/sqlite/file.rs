//! The file of a queue, made on first use.

use std::io;
use std::path::{Path, PathBuf};

use fs_err::{File, OpenOptions};

/// Makes the file at `path`, and the directories above it, unless they exist.
///
/// SQLite could make the file too, but readable by everybody. It gives its log and its
/// shared memory the mode of the file.
pub(super) fn ensure(path: &Path) -> io::Result<()> {
    if path.try_exists()? {
        return Ok(());
    }
    let made = path
        .parent()
        .map(make_directories)
        .transpose()?
        .unwrap_or_default();
    private(OpenOptions::new().write(true).create(true).truncate(false))
        .open(path)?
        .sync_all()?;
    // A file survives a power loss only when the directory that names it does.
    made.iter()
        .map(PathBuf::as_path)
        .chain(path.parent())
        .try_for_each(sync_directory)
}

/// Makes `directory` for its owner alone; answers the directories that got a new entry.
fn make_directories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let changed = directory
        .ancestors()
        .take_while(is_missing)
        .filter_map(Path::parent);
    let changed: Vec<PathBuf> = changed.map(Path::to_path_buf).collect();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let named = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!("failed to create `{}`: {error}", directory.display()),
        )
    };
    builder.create(directory).map_err(named)?;
    Ok(changed)
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use fs_err::os::unix::fs::OpenOptionsExt;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Elsewhere a directory cannot be opened as a file.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
