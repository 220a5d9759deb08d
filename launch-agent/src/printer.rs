//! The one place that writes to stdout and stderr: stdout is data, stderr is talk.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::{Global, Output};
use crate::masking::masked;

/// Writes answers and errors as the flags and the terminal want them.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    pub(crate) output: Output,
    pub(crate) quiet: bool,
    /// Whether stderr is a terminal that takes colour.
    pub(crate) colour: bool,
    /// Whether progress may be drawn on stderr.
    pub(crate) bars: bool,
}

impl Printer {
    pub(crate) fn new(global: &Global) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            output: global.output,
            quiet: global.quiet,
            colour: terminal && !dumb && !plain,
            bars: terminal && !dumb && !global.quiet,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// Writes an answer: as JSON if asked for, else as the text given.
    pub(crate) fn answer<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        let mut line = match self.output {
            Output::Json => serde_json::to_string_pretty(value)
                .map_err(|error| Failure::doing("cannot write the answer", &error))?,
            Output::Text => text(),
        };
        if !line.is_empty() && !line.ends_with('\n') {
            line.push('\n');
        }
        self.bytes(masked(line).as_bytes()).map(|_| ())
    }

    /// Writes bytes to stdout. A reader that went away (`| head`) is not an error.
    #[expect(clippy::unused_self, reason = "all writing goes through a printer")]
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<Exit, Failure> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(Exit::Done),
        }
    }

    /// Says something on stderr, unless quiet.
    pub(crate) fn say(&self, line: &str) {
        if !self.quiet {
            talk(line);
        }
    }

    /// Warns on stderr.
    pub(crate) fn warn(&self, line: &str) {
        talk(&format!("{}: {line}", self.paint("warning", "33")));
    }

    /// Renders what ended a command: the chain of causes, then advice.
    pub(crate) fn failure(&self, failure: &Failure) {
        let mut lines = failure.chain.iter();
        let first = lines.next().map_or("unknown", String::as_str);
        // A report of a file names its own severity, one line each.
        if failure.exit == Exit::Usage && first.contains(": error: ") {
            talk(first);
        } else {
            talk(&format!("{}: {first}", self.paint("error", "31")));
        }
        for cause in lines {
            talk(&format!("  caused by: {cause}"));
        }
        if let Some(hint) = &failure.hint {
            talk(&format!("  {}: {hint}", self.paint("hint", "36")));
        }
    }

    pub(crate) fn paint(&self, text: &str, code: &str) -> String {
        if self.colour {
            format!("\u{1b}[1;{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A line to stderr; if stderr is gone there is nobody to tell.
fn talk(line: &str) {
    let line = masked(line.to_owned());
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Lays rows out in columns, two blanks apart, the last one ragged.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut header.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [
            vec!["a".into(), "1".into()],
            vec!["long".into(), "é".into()],
        ];
        assert_eq!(table(&["id", "n"], &rows), "id    n\na     1\nlong  é\n");
    }
}
