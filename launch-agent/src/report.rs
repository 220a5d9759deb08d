//! What is said of a job while it runs: to people, to its log, to the queue.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use launch_config::outcome::{Outcome, Stage};
use launch_queue::QueueAdmin;
use launch_queue::job::{Hold, Report};
use serde::Serialize;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use crate::job_log::JobLog;
use crate::masking::{self, masked};
use crate::pipeline::Stop;
use crate::telemetry::stage_span;

/// How many of the last lines of a log go into an outcome.
const TAIL_LINES: usize = 20;
/// How much of such a line, in bytes.
const TAIL_WIDTH: usize = 2000;
/// Reports waiting for a queue that does not answer; more than these are dropped.
const WAITING_REPORTS: usize = 256;

/// Something to tell people.
#[derive(Debug)]
pub(crate) enum JobEvent<'a> {
    /// A stage begins.
    Started(Stage),
    /// How far it is; each replaces the one before.
    Progress(String),
    /// A line of talk: a build log, a progress line of git.
    Line(&'a str),
    /// Something to know.
    Warning(&'a str),
    /// Output of the run, as it came.
    Output(&'a [u8]),
    /// A stage is over.
    Finished(&'a Row),
    /// Something was looked up before it was made: an image, a context.
    Cached { cache: &'static str, hit: bool },
    /// The lease was renewed.
    Renewed,
    /// The queue did not answer to a renewal.
    Unheard(&'a str),
    /// The queue knows the outcome.
    Ended(&'a Outcome),
    /// Another holder has the job.
    Lost,
}

/// Draws or logs what it is told; called from any thread, must not block for long.
pub(crate) trait Onlooker: Debug + Send + Sync {
    fn see(&self, event: &JobEvent<'_>);
}

/// One row of the table at the end.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) stage: Stage,
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub(crate) took: Duration,
    pub(crate) result: String,
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((took.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// Everything that is said of one job.
#[derive(Debug)]
pub(crate) struct Progress {
    onlooker: Arc<dyn Onlooker>,
    reports: mpsc::Sender<Report>,
    log: JobLog,
    hidden: Mutex<masking::Stream>,
    tail: Mutex<Tail>,
    rows: Mutex<Vec<Row>>,
}

impl Progress {
    pub(crate) fn new(
        onlooker: Arc<dyn Onlooker>,
        reports: mpsc::Sender<Report>,
        log: JobLog,
    ) -> Self {
        let (hidden, tail, rows) = Default::default();
        Self {
            onlooker,
            reports,
            log,
            hidden,
            tail,
            rows,
        }
    }

    /// Runs a stage, timing it and telling everybody; its work answers what came of it.
    pub(crate) async fn stage<T>(
        &self,
        stage: Stage,
        work: impl Future<Output = Result<(T, String), Stop>>,
    ) -> Result<T, Stop> {
        let start = Instant::now();
        self.onlooker.see(&JobEvent::Started(stage));
        tracing::debug!(%stage, "stage begins");
        let done = work.instrument(stage_span(stage)).await;
        let result = match &done {
            Ok((_, result)) => result.clone(),
            Err(stop) => stop.outcome.reason.to_string(),
        };
        self.row(Row {
            stage,
            took: start.elapsed(),
            result,
        });
        done.map(|(value, _)| value)
    }

    /// Says that a stage begins that is no future of its own.
    pub(crate) fn begins(&self, stage: Stage) {
        self.onlooker.see(&JobEvent::Started(stage));
    }

    /// Adds a row to the table and tells the queue.
    pub(crate) fn row(&self, row: Row) {
        self.onlooker.see(&JobEvent::Finished(&row));
        self.send(Report::new(row.stage, row.result.clone()));
        lock(&self.rows).push(row);
    }

    pub(crate) fn progress(&self, text: String) {
        self.onlooker.see(&JobEvent::Progress(text));
    }

    pub(crate) fn line(&self, text: &str) {
        self.onlooker.see(&JobEvent::Line(text));
    }

    pub(crate) fn warn(&self, stage: Stage, text: &str) {
        tracing::warn!(%stage, "{text}");
        self.onlooker.see(&JobEvent::Warning(text));
        self.send(Report::new(stage, text).as_warning());
    }

    /// Keeps output of the run and shows it, without the secrets we know.
    pub(crate) fn output(&self, bytes: &[u8]) {
        let bytes = lock(&self.hidden).masked(bytes);
        self.keep(&bytes);
    }

    /// No more output comes.
    pub(crate) fn output_ends(&self) {
        let rest = lock(&self.hidden).rest();
        self.keep(&rest);
    }

    fn keep(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if let Err(error) = self.log.append(bytes) {
            tracing::warn!(%error, "the log of this job has a gap");
        }
        lock(&self.tail).push(bytes);
        self.onlooker.see(&JobEvent::Output(bytes));
    }

    /// How much output was in the log already: an adopted run goes on from there. What the
    /// log holds is also where the last lines come from if no more is written.
    pub(crate) fn resume_log(&self) -> u64 {
        match self.log.resume(TAIL_LINES * TAIL_WIDTH) {
            Ok((offset, end)) => {
                lock(&self.tail).push(&end);
                offset
            }
            Err(error) => {
                tracing::warn!(%error, "the log of this job begins anew");
                0
            }
        }
    }

    /// Says that something was looked up before it was made.
    pub(crate) fn cached(&self, cache: &'static str, hit: bool) {
        self.onlooker.see(&JobEvent::Cached { cache, hit });
    }

    pub(crate) fn tail(&self) -> Vec<String> {
        lock(&self.tail).lines()
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        lock(&self.rows).clone()
    }

    fn send(&self, mut report: Report) {
        report.message = masked(report.message);
        if self.reports.try_send(report).is_err() {
            tracing::debug!("a report was dropped: the queue is behind or the job is over");
        }
    }
}

/// A poisoned lock only means that a drawing thread panicked; the data is whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last lines of a stream of bytes.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<Vec<u8>>,
    open: bool,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.open {
                self.lines.push_back(Vec::new());
            }
            let ended = piece.ends_with(b"\n");
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            if let Some(line) = self.lines.back_mut() {
                let room = TAIL_WIDTH.saturating_sub(line.len());
                line.extend_from_slice(&text[..text.len().min(room)]);
            }
            self.open = !ended;
            if self.lines.len() > TAIL_LINES {
                self.lines.pop_front();
            }
        }
    }

    fn lines(&self) -> Vec<String> {
        let text = |line: &Vec<u8>| {
            String::from_utf8_lossy(line)
                .trim_end_matches('\r')
                .to_owned()
        };
        self.lines.iter().map(text).collect()
    }
}

/// Sends reports to the queue in order, each until it is taken or refused for good.
pub(crate) fn courier(queue: Arc<dyn QueueAdmin>, hold: Hold) -> (mpsc::Sender<Report>, Courier) {
    let (sender, mut receiver) = mpsc::channel::<Report>(WAITING_REPORTS);
    let task = tokio::spawn(async move {
        while let Some(report) = receiver.recv().await {
            let mut wait = Duration::from_millis(100);
            while let Err(error) = queue.report(&hold, report.clone()).await {
                if !error.is_retryable() {
                    return tracing::debug!(%error, "reports are not taken any more");
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(10));
            }
        }
    });
    (sender, Courier(task))
}

/// The task that sends reports.
#[derive(Debug)]
pub(crate) struct Courier(tokio::task::JoinHandle<()>);

impl Courier {
    /// Waits until what was said has arrived, but not for long: the outcome matters more.
    pub(crate) async fn arrive(mut self) {
        if tokio::time::timeout(Duration::from_secs(5), &mut self.0)
            .await
            .is_err()
        {
            self.0.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_lines_however_they_were_cut() {
        let mut tail = Tail::default();
        for line in 0..50 {
            let text = format!("line {line}\n");
            text.as_bytes().chunks(3).for_each(|piece| tail.push(piece));
        }
        tail.push(b"no end");
        let lines = tail.lines();
        assert_eq!(lines.len(), TAIL_LINES);
        assert_eq!(
            (lines[0].as_str(), lines[19].as_str()),
            ("line 31", "no end")
        );
    }

    #[test]
    fn a_line_without_an_end_stays_bounded() {
        let mut tail = Tail::default();
        for _ in 0..10 {
            tail.push(&[b'x'; 1000]);
        }
        assert_eq!(tail.lines()[0].len(), TAIL_WIDTH);
    }
}
