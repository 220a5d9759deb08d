//! The conformance table: runners × cases. Prints it, and fails where a case does.
//!
//! `cargo nextest run -p launch-runner --all-features --run-ignored only --no-capture table`

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use launch_runner::conformance::{CASES, Harness};

type Column = (&'static str, Arc<dyn Harness>);

/// The runners that can be had here.
fn columns() -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    #[cfg(all(feature = "process", unix))]
    columns.push(("process", Arc::new(crate::process::Processes::new())));
    #[cfg(feature = "docker")]
    if let Some(harness) = crate::docker::Containers::new() {
        columns.push(("docker", Arc::new(harness)));
    }
    #[cfg(feature = "kubernetes")]
    if let Some(harness) = crate::kubernetes::Jobs::new() {
        columns.push(("kubernetes", Arc::new(harness)));
    }
    #[cfg(feature = "sagemaker")]
    if let Some(harness) = crate::sagemaker::TrainingJobs::new() {
        columns.push(("sagemaker", Arc::new(harness)));
    }
    #[cfg(feature = "vertex")]
    if let Some(harness) = crate::vertex::CustomJobs::new() {
        columns.push(("vertex", Arc::new(harness)));
    }
    columns
}

enum Cell {
    Passed(Duration),
    NotApplicable(&'static str),
    Failed,
}

async fn cell(harness: Arc<dyn Harness>, index: usize) -> Cell {
    let (name, case) = CASES[index];
    if let Some(why) = harness.not_applicable(name) {
        return Cell::NotApplicable(why);
    }
    let before = Instant::now();
    match tokio::spawn(async move { case(&*harness).await }).await {
        Ok(()) => Cell::Passed(before.elapsed()),
        Err(_) => Cell::Failed,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints the table of what the other tests check"]
#[expect(clippy::print_stdout, reason = "that is what it is for")]
async fn table() {
    let columns = columns();
    let (mut rows, mut notes, mut failed) = (String::new(), String::new(), false);
    let mut counts = vec![(0, 0, 0); columns.len()];
    for (index, (name, _)) in CASES.iter().enumerate() {
        write!(rows, "| {name} |").unwrap();
        for (column, count) in columns.iter().zip(&mut counts) {
            let text = match cell(Arc::clone(&column.1), index).await {
                Cell::Passed(time) => {
                    count.0 += 1;
                    format!("{:.1} s", time.as_secs_f64())
                }
                Cell::NotApplicable(why) => {
                    count.1 += 1;
                    writeln!(notes, "{} has no {name}: {why}", column.0).unwrap();
                    "–".to_owned()
                }
                Cell::Failed => {
                    (count.2, failed) = (count.2 + 1, true);
                    "FAILED".to_owned()
                }
            };
            write!(rows, " {text} |").unwrap();
        }
        rows.push('\n');
    }
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    println!("| case | {} |", names.join(" | "));
    println!("|{}", " --- |".repeat(columns.len() + 1));
    print!("{rows}");
    for (name, (passed, without, failures)) in names.iter().zip(&counts) {
        println!("{name}: {passed} passed, {without} not applicable, {failures} failed");
    }
    print!("{notes}");
    assert!(!failed, "a runner does not do what every runner must");
}
