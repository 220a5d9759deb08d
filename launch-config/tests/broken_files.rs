//! Agent files as people break them, in `tests/broken`, and the whole report each of them
//! gets. A new file there is a new test; `INSTA_UPDATE=always` writes its report.

use std::path::{Path, PathBuf};

use launch_config::load::{Severity, agent_text};

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = fs_err::read_dir(directory).expect("the broken files");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("a broken file").path())
        .collect();
    files.sort();
    files
}

#[test]
fn every_broken_file_is_explained() {
    let files = files("tests/broken");
    assert!(files.len() >= 40, "{} files", files.len());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let text = fs_err::read_to_string(&file).unwrap();
        let report = agent_text("launch-config.yaml", &text);
        let report = report
            .err()
            .unwrap_or_else(|| panic!("{name} is not broken"));
        let errors = || {
            let problems = report.problems.iter();
            problems.filter(|problem| problem.severity == Severity::Error)
        };
        assert!(errors().count() > 0, "{name}");
        assert!(
            errors().all(|problem| problem.line.is_some()),
            "{name} has no place:\n{report}"
        );
        insta::assert_snapshot!(name, report);
    }
}
