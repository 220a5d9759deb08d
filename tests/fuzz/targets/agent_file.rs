//! Any text is an agent file or a report of what is wrong with it, each place inside it.
#![no_main]

use launch_config::agent::Layers;
use launch_config::load::{Report, agent_text, helm_values};
use libfuzzer_sys::fuzz_target;

fn look(report: &Report, text: &str) {
    // YAML ends lines in more ways than Rust's `lines`.
    let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    let lines = text.split(breaks).count();
    for problem in &report.problems {
        assert!(
            problem
                .line
                .is_none_or(|line| (1..=lines + 1).contains(&line)),
            "{problem:?}"
        );
        assert!(!problem.message.is_empty());
    }
    // What is shown is bounded by what is wrong, not by how long the lines are.
    assert!(report.to_string().len() <= 64 + (text.len() + 2048) * 4 * (report.problems.len() + 1));
}

fuzz_target!(|text: &str| {
    match helm_values("values.yaml", text) {
        Ok(checked) => look(&checked.warnings, text),
        Err(report) => look(&report, text),
    }
    match agent_text("launch-config.yaml", text) {
        Ok(checked) => {
            look(&checked.warnings, text);
            assert!(serde_json::to_value(&checked.value).is_ok());
            let _ = (checked.value.slots(), checked.value.destination());
            let layers = Layers::new().with_file("launch-config.yaml", text);
            let resolved = layers.resolve().expect("it was read").value;
            for entry in resolved.entries() {
                assert!(!entry.origin.to_string().is_empty());
            }
            assert!(resolved.registration()["queues"].is_array());
        }
        Err(report) => {
            assert!(report.has_errors());
            look(&report, text);
        }
    }
});
