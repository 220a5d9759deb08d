//! The entries of one directory.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, statat};

/// Room for some hundred entries at a time.
#[cfg(target_os = "linux")]
const ROOM: usize = 32 * 1024;

/// Hands on every entry of a directory that nobody has read from, and what it is.
#[cfg(target_os = "linux")]
pub(super) fn list(directory: &OwnedFd, mut to: impl FnMut(&CStr, FileType)) -> io::Result<()> {
    let mut room = Vec::with_capacity(ROOM);
    let mut entries = rustix::fs::RawDir::new(directory, room.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        take(directory, entry.file_name(), entry.file_type(), &mut to)?;
    }
    Ok(())
}

/// Hands on every entry of a directory, and what it is.
#[cfg(not(target_os = "linux"))]
pub(super) fn list(directory: &OwnedFd, mut to: impl FnMut(&CStr, FileType)) -> io::Result<()> {
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        take(directory, entry.file_name(), entry.file_type(), &mut to)?;
    }
    Ok(())
}

fn take(
    directory: &OwnedFd,
    name: &CStr,
    file_type: FileType,
    to: &mut impl FnMut(&CStr, FileType),
) -> io::Result<()> {
    if matches!(name.to_bytes(), b"." | b"..") {
        return Ok(());
    }
    // Some file systems do not say.
    let file_type = if file_type == FileType::Unknown {
        FileType::from_raw_mode(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
    } else {
        file_type
    };
    to(name, file_type);
    Ok(())
}
