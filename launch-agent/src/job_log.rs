//! The output of jobs, kept for people: bounded for each job, and for all of them.
//!
//! `<run>.log` is what a job wrote last. When it has half of what may be kept, it becomes
//! `<run>.log.<offset>`, after the place in the whole output at which it begins, and what
//! had that part before goes. So it is always known how much of the output was read, and an
//! adopted run goes on from there.

mod sweep;

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use launch_config::agent::{DEFAULT_JOB_LOG_MIB, ObservabilityConfig};
use launch_config::id::RunKey;

pub(crate) use self::sweep::Retention;
use crate::settings::Settings;
use crate::state::private_dir;

pub(crate) const MIB: u64 = 1 << 20;

/// The output of one job.
#[derive(Debug)]
pub(crate) struct JobLog {
    path: PathBuf,
    /// How long the newest piece may be.
    limit: u64,
    newest: Mutex<Option<Piece>>,
}

/// The newest piece, open.
#[derive(Debug)]
struct Piece {
    file: fs_err::File,
    /// Where in the whole output it begins.
    start: u64,
    length: u64,
}

impl JobLog {
    /// The output of a run, as the settings want it kept.
    pub(crate) fn of(settings: &Settings, key: &RunKey) -> Self {
        let ObservabilityConfig { job_log_mib, .. } = &settings.config.observability;
        let kept = job_log_mib.unwrap_or(DEFAULT_JOB_LOG_MIB);
        Self::new(settings.state.log(key), kept.saturating_mul(MIB))
    }

    /// The output at `path`, of which `kept` bytes are kept.
    fn new(path: PathBuf, kept: u64) -> Self {
        Self {
            path,
            limit: kept / 2,
            newest: Mutex::default(),
        }
    }

    /// Adds output.
    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let piece = match newest.take() {
            Some(piece) => piece,
            None => self.open()?,
        };
        let mut piece = if piece.length > 0 && piece.length + bytes.len() as u64 > self.limit {
            self.next(&piece)?
        } else {
            piece
        };
        piece.file.write_all(bytes)?;
        piece.length += bytes.len() as u64;
        *newest = Some(piece);
        Ok(())
    }

    /// How much output was added so far, and at most `end` bytes of its end.
    pub(crate) fn resume(&self, end: usize) -> io::Result<(u64, Vec<u8>)> {
        let (mut bytes, older) = (Vec::new(), self.older()?);
        if let Some((_, path)) = older.last() {
            read_end(path, end, &mut bytes)?;
        }
        let start = self.start()?;
        let length = read_end(&self.path, end, &mut bytes)?;
        let surplus = bytes.len().saturating_sub(end);
        bytes.drain(..surplus);
        Ok((start + length, bytes))
    }

    fn open(&self) -> io::Result<Piece> {
        private_dir(self.path.parent().unwrap_or_else(|| Path::new(".")))?;
        let mut options = fs_err::OpenOptions::new();
        let file = options.create(true).append(true).open(&self.path)?;
        let length = file.metadata()?.len();
        let start = self.start()?;
        Ok(Piece {
            file,
            start,
            length,
        })
    }

    /// Puts the newest piece aside, and removes those before it.
    fn next(&self, piece: &Piece) -> io::Result<Piece> {
        let older = self.older()?;
        fs_err::rename(&self.path, self.aside(piece.start))?;
        for (_, path) in older {
            fs_err::remove_file(path)?;
        }
        self.open()
    }

    fn aside(&self, start: u64) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{start}"));
        name.into()
    }

    /// Where the newest piece begins: where the one before ends.
    fn start(&self) -> io::Result<u64> {
        match self.older()?.last() {
            Some((start, path)) => Ok(start + fs_err::metadata(path)?.len()),
            None => Ok(0),
        }
    }

    /// The pieces before the newest, by where they begin: one, or two after a crash.
    fn older(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!("{name}.");
        let mut older = Vec::new();
        let directory = self.path.parent().unwrap_or_else(|| Path::new("."));
        let entries = match fs_err::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(older),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let start = name.to_str().and_then(|name| name.strip_prefix(&prefix));
            if let Some(start) = start.and_then(|start| start.parse().ok()) {
                older.push((start, entry.path()));
            }
        }
        older.sort();
        Ok(older)
    }
}

/// Adds at most `end` bytes of the end of a file; answers its length, 0 if there is none.
fn read_end(path: &Path, end: usize, bytes: &mut Vec<u8>) -> io::Result<u64> {
    let mut file = match fs_err::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        file => file?,
    };
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(end as u64)))?;
    file.take(end as u64).read_to_end(bytes)?;
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(directory: &Path) -> u64 {
        let entries = fs_err::read_dir(directory).unwrap();
        entries
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum()
    }

    #[test]
    fn a_log_is_bounded_and_its_place_in_the_output_is_known_after_a_crash() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("logs/a.log");
        let mut written = 0;
        for round in 0..40 {
            // Each round is another process.
            let log = JobLog::new(path.clone(), 1000);
            let (offset, end) = log.resume(10).unwrap();
            assert_eq!(offset, written, "round {round}");
            assert_eq!(end.len() as u64, written.min(10));
            for line in 0..7 {
                let text = format!("round {round} line {line}\n");
                log.append(text.as_bytes()).unwrap();
                written += text.len() as u64;
                assert!(size(&home.path().join("logs")) <= 1000);
            }
        }
        let (_, end) = JobLog::new(path, 1000).resume(32).unwrap();
        assert_eq!(end, b"round 39 line 5\nround 39 line 6\n");
    }

    #[test]
    fn one_piece_larger_than_the_limit_is_kept_whole() {
        let home = tempfile::tempdir().unwrap();
        let log = JobLog::new(home.path().join("a.log"), 100);
        log.append(&[b'x'; 300]).unwrap();
        log.append(b"y").unwrap();
        assert_eq!(log.resume(2).unwrap(), (301, b"xy".to_vec()));
    }

    #[test]
    fn a_crash_between_two_steps_loses_no_place() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.log");
        fs_err::write(home.path().join("a.log.0"), "0123456789").unwrap();
        fs_err::write(home.path().join("a.log.10"), "abcde").unwrap();
        let log = JobLog::new(path, 100);
        assert_eq!(log.resume(3).unwrap(), (15, b"cde".to_vec()));
        log.append(b"f").unwrap();
        assert_eq!(log.resume(3).unwrap(), (16, b"def".to_vec()));
        let none = JobLog::new(home.path().join("none.log"), 100);
        assert_eq!(none.resume(3).unwrap(), (0, Vec::new()));
    }
}
