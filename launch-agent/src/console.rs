//! Draws a job for a person: a spinner on a terminal, plain lines elsewhere.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use launch_config::outcome::Stage;

use crate::printer::Printer;
use crate::report::{JobEvent, Onlooker};

/// Shows one job on this terminal. Its output goes to stdout, unless stdout is for JSON.
#[derive(Debug)]
pub(crate) struct Console {
    printer: Printer,
    spinner: Mutex<Option<ProgressBar>>,
}

impl Console {
    pub(crate) fn new(printer: Printer) -> Self {
        Self {
            printer,
            spinner: Mutex::default(),
        }
    }

    fn begin(&self, stage: Stage) {
        // The run draws itself by its output.
        if !self.printer.bars || stage == Stage::Watch {
            return;
        }
        let style = ProgressStyle::with_template("{spinner} {prefix:<7} {elapsed} {wide_msg}");
        let bar = ProgressBar::new_spinner().with_prefix(stage.as_str());
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(120));
        *self.spinner() = Some(bar);
    }

    fn spinner(&self) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
        self.spinner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says a line above the spinner.
    fn line(&self, text: &str) {
        match &*self.spinner() {
            Some(bar) => bar.suspend(|| self.printer.say(text)),
            None => self.printer.say(text),
        }
    }

    fn output(&self, bytes: &[u8]) {
        // A reader that went away must not end the job.
        let _ = if self.printer.is_json() {
            std::io::stderr().lock().write_all(bytes)
        } else {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        };
    }
}

impl Onlooker for Console {
    fn see(&self, event: &JobEvent<'_>) {
        match event {
            JobEvent::Started(stage) => self.begin(*stage),
            JobEvent::Progress(text) => {
                if let Some(bar) = &*self.spinner() {
                    bar.set_message(text.clone());
                }
            }
            JobEvent::Line(text) => self.line(&format!("  | {text}")),
            JobEvent::Warning(text) => match &*self.spinner() {
                Some(bar) => bar.suspend(|| self.printer.warn(text)),
                None => self.printer.warn(text),
            },
            JobEvent::Output(bytes) => self.output(bytes),
            JobEvent::Finished(row) => {
                if let Some(bar) = self.spinner().take() {
                    bar.finish_and_clear();
                }
                let stage = self.printer.paint(&format!("{:<7}", row.stage), "32");
                self.printer.say(&format!("{stage} {}", row.result));
            }
            // The outcome is printed with the table; the rest is an agent's concern.
            JobEvent::Cached { .. }
            | JobEvent::Renewed
            | JobEvent::Unheard(_)
            | JobEvent::Ended(_)
            | JobEvent::Lost => {}
        }
    }
}

/// An agent's view of a job: its log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogOnly;

impl Onlooker for LogOnly {
    fn see(&self, event: &JobEvent<'_>) {
        match event {
            JobEvent::Line(text) => tracing::debug!("{text}"),
            JobEvent::Finished(row) => {
                tracing::info!(stage = %row.stage, took = ?row.took, "{}", row.result);
            }
            // Warnings and ends are logged where they are made; output goes to the job's own
            // file.
            _ => {}
        }
    }
}
