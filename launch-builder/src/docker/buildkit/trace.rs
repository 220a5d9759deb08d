//! What BuildKit says of its steps: a `StatusResponse` of its `control.proto` at a time.

use std::collections::HashSet;

use super::protobuf::{Fields, Value};
use crate::log::Log;

/// How BuildKit calls the look into an image for its steps.
const IMPORT: &str = "importing cache manifest from ";

/// The steps of a build so far.
#[derive(Debug, Default)]
pub(super) struct Trace {
    begun: HashSet<String>,
    finished: HashSet<String>,
    told: HashSet<String>,
}

/// A step.
#[derive(Debug, Default)]
struct Vertex {
    digest: String,
    name: String,
    is_cached: bool,
    is_begun: bool,
    is_finished: bool,
    error: String,
}

impl Trace {
    /// Takes the next message, and makes lines of it.
    pub(super) fn take(&mut self, message: &[u8], log: &mut Log<'_>) {
        for (number, value) in Fields(message) {
            match number {
                1 => self.vertex(&Vertex::read(value.bytes()), log),
                2 => self.status(value.bytes(), log),
                3 => output(value.bytes(), log),
                4 => warning(value.bytes(), log),
                _ => {}
            }
        }
    }

    /// A step is one line when it begins, and another if it was there or has failed. What
    /// the frontend does for itself is progress.
    fn vertex(&mut self, vertex: &Vertex, log: &mut Log<'_>) {
        let name = &vertex.name;
        if vertex.is_begun && self.begun.insert(vertex.digest.clone()) {
            if name.starts_with("[internal]") {
                log.progress(name);
            } else {
                log.line(name);
            }
        }
        if vertex.is_finished && self.finished.insert(vertex.digest.clone()) {
            if vertex.is_cached {
                log.line(&format!("CACHED {name}"));
            }
            if vertex.error.is_empty() {
                return;
            }
            if name.starts_with(IMPORT) {
                // The build goes on, and runs what it would have taken.
                log.warn(&format!("{name}: {}", vertex.error));
            } else {
                log.line(&format!("ERROR {name}: {}", vertex.error));
            }
        }
    }

    /// Downloads of layers and the like, each told once.
    fn status(&mut self, message: &[u8], log: &mut Log<'_>) {
        let id = Fields(message).find(|(number, _)| *number == 1);
        let id = id.map(|(_, id)| id.text()).unwrap_or_default();
        if !id.is_empty() && self.told.insert(id.clone()) {
            log.progress(&id);
        }
    }
}

impl Vertex {
    fn read(message: &[u8]) -> Self {
        let mut vertex = Self::default();
        for (number, value) in Fields(message) {
            match number {
                1 => vertex.digest = value.text(),
                3 => vertex.name = value.text(),
                4 => vertex.is_cached = value.is_true(),
                5 => vertex.is_begun = true,
                6 => vertex.is_finished = true,
                7 => vertex.error = value.text(),
                _ => {}
            }
        }
        vertex
    }
}

/// What a step wrote, on either stream.
fn output(message: &[u8], log: &mut Log<'_>) {
    let (mut vertex, mut text) = (String::new(), String::new());
    for (number, value) in Fields(message) {
        match number {
            1 => vertex = value.text(),
            4 => text = value.text(),
            _ => {}
        }
    }
    log.take_from(&vertex, &text);
}

/// A remark of the frontend on the Dockerfile.
fn warning(message: &[u8], log: &mut Log<'_>) {
    let short = Fields(message).find(|(number, _)| *number == 3);
    if let Some((_, text @ Value::Bytes(_))) = short {
        log.warn(&text.text());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::protobuf::put;
    use super::*;
    use crate::event::{Event, Events};

    fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
        let mut message = Vec::new();
        for (number, bytes) in fields {
            put(&mut message, *number, bytes);
        }
        message
    }

    #[test]
    fn steps_and_their_output_become_lines() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&said);
        let events = Events::new(move |event| sink.lock().unwrap().push(event));
        let mut log = Log::new(&events, Vec::new());
        let mut trace = Trace::default();
        let begun = message(&[(1, b"d1"), (3, b"[2/3] RUN x"), (5, b"")]);
        let hidden = message(&[(1, b"d2"), (3, b"[internal] load"), (5, b"")]);
        let failed = message(&[
            (1, b"d1"),
            (3, b"[2/3] RUN x"),
            (6, b""),
            (7, b"exit code: 3"),
        ]);
        let one = message(&[(1, b"d1"), (4, b"half")]);
        let two = message(&[(1, b"d3"), (4, b"other\n")]);
        let three = message(&[(1, b"d1"), (4, b" done\n")]);
        let lint = message(&[(1, b"d1"), (3, b"casing")]);
        let import = b"importing cache manifest from x";
        let missing = message(&[(1, b"d4"), (3, import), (6, b""), (7, b"not found")]);
        let all = [
            (1, &missing),
            (1, &begun),
            (1, &begun),
            (1, &hidden),
            (3, &one),
            (3, &two),
            (3, &three),
            (4, &lint),
            (1, &failed),
        ];
        for (number, part) in all {
            trace.take(&message(&[(number, part)]), &mut log);
        }
        let said: Vec<_> = said.lock().unwrap().clone();
        let logged = |text: &str| Event::Log(text.to_owned());
        let expected = [
            Event::Warning("importing cache manifest from x: not found".to_owned()),
            logged("[2/3] RUN x"),
            Event::Fetch("[internal] load".to_owned()),
            logged("other"),
            logged("half done"),
            Event::Warning("casing".to_owned()),
            logged("ERROR [2/3] RUN x: exit code: 3"),
        ];
        assert_eq!(said, expected);
    }
}
