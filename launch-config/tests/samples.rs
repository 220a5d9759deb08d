//! The agent files that W&B's documentation shows, of both generations, written anew in
//! `tests/samples`: each is accepted, and what is warned of is known.

use std::path::Path;

use launch_config::load::{Checked, agent_text, helm_values};

/// What samples are warned of, though they are right.
const WARNED: &[(&str, &str)] = &[
    ("first-aws-repository", "without `account_id`"),
    (
        "other-registry",
        "is in no registry of AWS, Google or Azure",
    ),
    ("platform", "is in no registry of AWS, Google or Azure"),
];

#[test]
fn every_sample_is_accepted() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let mut seen = 0;
    for entry in fs_err::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        let read = if name.starts_with("helm-") {
            helm_values("values.yaml", &text)
        } else {
            agent_text("launch-config.yaml", &text)
        };
        let Checked { warnings, .. } = read.unwrap_or_else(|report| panic!("{name}: {report}"));
        let known = WARNED.iter().find(|(sample, _)| *sample == name);
        match known {
            Some((_, words)) => {
                assert_eq!(warnings.problems.len(), 1, "{name}: {warnings}");
                assert!(warnings.to_string().contains(words), "{name}: {warnings}");
            }
            None => assert_eq!(warnings.problems, [], "{name}: {warnings}"),
        }
        seen += 1;
    }
    assert!(seen >= 18, "{seen} samples");
}
