//! The agent file inside the values of the Helm chart.
//!
//! The chart of W&B takes it as text under `launchConfig`; its documentation also shows it
//! as a mapping, and calls it `agentConfig`. Where the chart is a dependency of another,
//! its values stand below a key of that one.

use serde_json::Value;

use super::{Checked, Problem, ProblemKind, Report, parse};
use crate::agent::{AgentConfig, Layers};
use crate::yaml::{Place, Spans};

const KEYS: [&str; 2] = ["launchConfig", "agentConfig"];

/// Reads the agent file that Helm values hold. Places are those of the values.
///
/// # Errors
/// A [`Report`] of every problem, or that there is no agent file in the values.
pub fn helm_values(origin: &str, text: &str) -> Result<Checked<AgentConfig>, Report> {
    let (values, spans) = parse(origin, text)?;
    let Some((path, value)) = find(&values) else {
        let message = "the values hold no agent file";
        let problem = Problem::new(ProblemKind::Missing, "", message);
        let hint = "it is the text or the mapping under `launchConfig` or `agentConfig`";
        let problems = vec![problem.with_hint(hint)];
        return Err(Report::new(origin, text, problems, &spans));
    };
    let (config, mut problems) = match value {
        Value::String(inner) => {
            let read = Layers::new().with_file("values.yaml", inner).resolve();
            let (config, mut problems) = parts(read);
            shift(&mut problems, text, inner, spans.value(&path));
            (config, problems)
        }
        value => parts(Layers::new().judge((origin, ""), value, Spans::default())),
    };
    for problem in &mut problems {
        *problem = problem.clone().below(&path);
    }
    let warnings = Report::new(origin, text, problems, &spans);
    match config {
        Some(value) => Ok(Checked { value, warnings }),
        None => Err(warnings),
    }
}

/// Moves problems of a text inside the values to where it stands.
fn shift(problems: &mut [Problem], values: &str, inner: &str, place: Option<Place>) {
    let shift = place.and_then(|place| Shift::of(values, place.line, inner));
    for problem in problems {
        match &shift {
            Some(shift) => shift.apply(problem),
            None => *problem = problem.clone().at(place),
        }
    }
}

type Read = Result<Checked<crate::agent::Resolved>, Report>;

/// The settings, unless an agent would not start with them.
fn parts(read: Read) -> (Option<AgentConfig>, Vec<Problem>) {
    let checked = match read {
        Ok(checked) => checked,
        Err(report) => return (None, report.problems),
    };
    let mut problems = checked.warnings.problems;
    match checked.value.setup() {
        Ok(_) => (Some(checked.value.config), problems),
        Err(report) => {
            problems.extend(report.problems);
            (None, problems)
        }
    }
}

/// The agent file and its path: of this chart, or of one below.
fn find(values: &Value) -> Option<(String, &Value)> {
    let own = |prefix: String, map: &'_ serde_json::Map<String, Value>| {
        let key = KEYS
            .iter()
            .find(|key| map.get(**key).is_some_and(|value| !value.is_null()))?;
        Some((format!("{prefix}{key}"), *key))
    };
    let top = values.as_object()?;
    if let Some((path, key)) = own(String::new(), top) {
        return Some((path, &top[key]));
    }
    top.iter().find_map(|(name, below)| {
        let below = below.as_object()?;
        let (path, key) = own(format!("{name}."), below)?;
        Some((path, &below[key]))
    })
}

/// How far the text under `key: |` stands from where it would be as a file.
struct Shift {
    lines: usize,
    columns: usize,
}

impl Shift {
    /// None if the text is not written line by line.
    fn of(values: &str, first: usize, inner: &str) -> Option<Self> {
        let line = values.lines().nth(first - 1)?;
        let written = line.trim_start();
        (inner.lines().next()?.trim_start() == written).then(|| Self {
            lines: first - 1,
            columns: line.len() - written.len(),
        })
    }

    fn apply(&self, problem: &mut Problem) {
        problem.line = problem.line.map(|line| line + self.lines);
        problem.column = problem.column.map(|column| column + self.columns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<(String, Option<usize>, Option<usize>)> {
        let report = helm_values("values.yaml", text).unwrap_err();
        let place = |problem: Problem| (problem.path, problem.line, problem.column);
        report.problems.into_iter().map(place).collect()
    }

    #[test]
    fn places_are_those_of_the_values() {
        let block = "agent:\n  apiKey: \"\"\nlaunchConfig: |\n  queues: [a]\n  max_jbos: 3\n";
        let mapping = "agentConfig:\n  queues: [a]\n  max_jbos: 3\n";
        let below = "launch-agent:\n  launchConfig: |\n    max_jbos: 3\n";
        for (text, path, line, column) in [
            (block, "launchConfig.max_jbos", 5, 3),
            (mapping, "agentConfig.max_jbos", 3, 3),
            (below, "launch-agent.launchConfig.max_jbos", 3, 5),
            (
                "launchConfig: 'max_jbos: 3'\n",
                "launchConfig.max_jbos",
                1,
                15,
            ),
        ] {
            let expected = [(path.to_owned(), Some(line), Some(column))];
            assert_eq!(places(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_right_is_read() {
        let text = "baseUrl: https://x\nlaunchConfig: |\n  queues:\n    - a\n  max_jobs: 3\n";
        let checked = helm_values("values.yaml", text).unwrap();
        assert_eq!(checked.value.max_jobs, Some(3));
        assert!(helm_values("values.yaml", "agent: {}\n").is_err());
        let together = "launchConfig: |\n  queues: [a]\n  registry: {type: ecr}\n";
        let report = helm_values("values.yaml", together).unwrap_err();
        let found = report.problems.last().unwrap();
        assert_eq!(
            (found.path.as_str(), found.line),
            ("launchConfig.registry", Some(3))
        );
    }
}
