//! Processes of this machine: which are ours, and how they are ended.

use std::path::Path;

use rustix::process::{Pid, Signal};

/// The variable every process of a run carries; it holds the run's directory.
pub(super) const COOKIE: &str = "LAUNCH_RUN_DIR";

/// Whether `pid` is the supervisor of the run in `dir`, and alive.
///
/// The number alone says nothing: after a restart it belongs to somebody else. A
/// supervisor has its directory as an argument; a zombie has no arguments.
#[cfg(target_os = "linux")]
pub(super) fn is_supervisor(pid: Pid, dir: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt as _;
    let file = format!("/proc/{}/cmdline", pid.as_raw_nonzero());
    let wanted = dir.as_os_str().as_bytes();
    fs_err::read(file).is_ok_and(|line| line.split(|byte| *byte == 0).any(|arg| arg == wanted))
}

/// Whether `pid` is alive: all that can be asked here without privileges.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_supervisor(pid: Pid, _dir: &Path) -> bool {
    rustix::process::test_kill_process(pid).is_ok()
}

/// Asks a group to end. Stopped processes are continued, or they would never hear it.
pub(super) fn terminate(group: Pid) {
    send(group, Signal::TERM);
    send(group, Signal::CONT);
}

/// Ends a group.
pub(super) fn kill(group: Pid) {
    send(group, Signal::KILL);
}

fn send(group: Pid, signal: Signal) {
    // It fails only if the group is gone, which is what we want of it.
    if let Err(error) = rustix::process::kill_process_group(group, signal) {
        tracing::debug!(group = group.as_raw_nonzero(), %error, "group not signalled");
    }
}

/// Ends every process that carries the cookie of the run in `dir`: those that left the
/// group, and those whose supervisor was killed.
#[cfg(target_os = "linux")]
pub(super) fn end_leftovers(dir: &Path) {
    let mut wanted = format!("{COOKIE}=").into_bytes();
    wanted.extend_from_slice(std::os::unix::ffi::OsStrExt::as_bytes(dir.as_os_str()));
    let Ok(entries) = fs_err::read_dir("/proc") else {
        return;
    };
    let pids = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Pid::from_raw);
    for pid in pids.filter(|pid| carries(*pid, &wanted)) {
        tracing::info!(pid = pid.as_raw_nonzero(), dir = %dir.display(), "ending a leftover");
        // It may have ended since; then there is nothing to do.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

#[cfg(target_os = "linux")]
fn carries(pid: Pid, wanted: &[u8]) -> bool {
    fs_err::read(format!("/proc/{}/environ", pid.as_raw_nonzero()))
        .is_ok_and(|vars| vars.split(|byte| *byte == 0).any(|var| var == wanted))
}

/// Without `/proc`, nobody can tell whose a process is.
#[cfg(not(target_os = "linux"))]
pub(super) fn end_leftovers(_dir: &Path) {}
