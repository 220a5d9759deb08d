//! Compatibility vectors: what the Python agent does, against what these crates do.
//!
//! A file holds the cases of one category. Each category is one module with one pure
//! function from a case's input to an [`Answer`], made with the crates' public API only.
//! This module reads the files and judges; `docs/differences.md` lists where we differ
//! on purpose, and a rule there is matched by the content of a case, never by its name.

mod compare;
mod differences;

mod config;
mod docker_argv;
mod dockerfile_plan;
mod env;
mod git_ref;
mod job_spec;
mod k8s_manifest;
mod kaniko_job;
mod loader;
mod macros;
mod queue_item;
mod resource_policy;
mod sagemaker;
mod secure_mode;
mod uri;
mod vertex;
mod wandb_ref;

use std::panic::catch_unwind;
use std::path::Path;

use serde_json::Value;

pub use differences::{Improvement, check_document};

/// Every category there is.
const CATEGORIES: &[&Category] = &[
    &config::CATEGORY,
    &dockerfile_plan::CATEGORY,
    &docker_argv::CATEGORY,
    &env::CATEGORY,
    &git_ref::CATEGORY,
    &job_spec::CATEGORY,
    &k8s_manifest::CATEGORY,
    &kaniko_job::CATEGORY,
    &loader::CATEGORY,
    &macros::CATEGORY,
    &resource_policy::CATEGORY,
    &sagemaker::CATEGORY,
    &secure_mode::CATEGORY,
    &uri::CATEGORY,
    &vertex::CATEGORY,
    &wandb_ref::CATEGORY,
];

/// What of an output is compared.
type Meaning = fn(&Value) -> Value;

/// What of an output is compared, where it is not all of it as it stands.
const MEANINGS: &[(&str, Meaning)] = &[
    ("docker_argv", docker_argv::meaning),
    ("sagemaker", sagemaker::meaning),
    ("vertex", vertex::meaning),
];

/// The word by which the vectors mark inputs on which the original fails by accident.
const ACCIDENT: &str = "malformed input crashes original";

/// One kind of behaviour.
#[derive(Debug)]
pub struct Category {
    /// Its name in the files.
    pub name: &'static str,
    /// What these crates do with an input.
    pub run: fn(&Value) -> Answer,
    /// What is compared of the `output` of a refusal, beside that it is one. A list of
    /// mappings with a `key` is compared as the set of these keys.
    pub details: &'static [&'static str],
    /// Where we differ on purpose.
    pub improvements: &'static [Improvement],
}

/// What these crates do with an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// They accept it, with the output to compare.
    Accepted(Value),
    /// They refuse it.
    Refused {
        /// The vectors' words for the reason, if the category tells reasons apart;
        /// compared if given.
        class: Option<&'static str>,
        /// A mapping with the details the category compares.
        details: Value,
        /// Our message, for the reader of a differing case.
        message: String,
    },
    /// They do not do this yet.
    NotImplemented,
    /// They panicked, which is never right.
    Panicked(String),
}

impl Answer {
    /// A refusal of which only that it is one is compared.
    pub fn refused(message: &(impl ToString + ?Sized)) -> Self {
        Self::refused_with(Value::Null, message)
    }

    /// A refusal with details to compare.
    pub fn refused_with(details: Value, message: &(impl ToString + ?Sized)) -> Self {
        Self::Refused {
            class: None,
            details,
            message: message.to_string(),
        }
    }

    /// Whether it is a refusal.
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// The output, if it was accepted.
    pub fn accepted(&self) -> Option<&Value> {
        match self {
            Self::Accepted(output) => Some(output),
            _ => None,
        }
    }
}

/// One case of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its name: for people only.
    pub name: String,
    /// What the original was given.
    pub input: Value,
    /// What it did, or the details of its refusal.
    pub output: Value,
    /// The class of its refusal, if it refused.
    pub error: Option<String>,
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As in the original.
    Agree,
    /// Otherwise, by a documented rule.
    Improved(&'static str),
    /// Otherwise; each line says where.
    Differ(Vec<String>),
}

/// The cases of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorFile {
    /// What they are about.
    pub category: String,
    /// The cases.
    pub cases: Vec<Case>,
}

/// Reads a file of vectors.
///
/// # Errors
/// What is wrong with the file.
pub fn read(path: &Path) -> Result<VectorFile, String> {
    let text = fs_err::read_to_string(path).map_err(|error| error.to_string())?;
    parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn parse(text: &str) -> Result<VectorFile, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let category = file["category"].as_str().ok_or("no `category`")?.to_owned();
    let cases = file["cases"].as_array().ok_or("no `cases`")?;
    let cases = cases.iter().map(case).collect::<Result<_, _>>()?;
    Ok(VectorFile { category, cases })
}

fn case(value: &Value) -> Result<Case, String> {
    let name = value["name"].as_str().ok_or("a case has no `name`")?;
    let part = |key: &str| {
        let part = value.get(key).cloned();
        part.ok_or_else(|| format!("case `{name}` has no `{key}`"))
    };
    Ok(Case {
        name: name.to_owned(),
        input: part("input")?,
        output: part("output")?,
        error: part("error")?.as_str().map(str::to_owned),
    })
}

/// The category of this name, if these crates have it.
pub fn category(name: &str) -> Option<&'static Category> {
    CATEGORIES
        .iter()
        .copied()
        .find(|category| category.name == name)
}

impl Category {
    /// Runs a case and judges the answer.
    pub fn judge(&self, case: &Case) -> Verdict {
        let answer = self.answer(&case.input);
        let lines = compare::differences(&self.meant(case), &answer, self.details);
        if lines.is_empty() {
            return Verdict::Agree;
        }
        if matches!(answer, Answer::Panicked(_) | Answer::NotImplemented) {
            return Verdict::Differ(lines);
        }
        let mut rules = self.improvements.iter();
        rules
            .find(|rule| (rule.explains)(case, &answer))
            .map_or(Verdict::Differ(lines), |rule| Verdict::Improved(rule.id))
    }

    /// The case with what its output means.
    fn meant(&self, case: &Case) -> Case {
        let meaning = MEANINGS.iter().find(|(name, _)| *name == self.name);
        let mut case = case.clone();
        if let Some((_, meaning)) = meaning.filter(|_| case.error.is_none()) {
            case.output = meaning(&case.output);
        }
        case
    }

    fn answer(&self, input: &Value) -> Answer {
        catch_unwind(|| (self.run)(input)).unwrap_or_else(|payload| {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
            Answer::Panicked(text.unwrap_or("a panic without a text").to_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(input: Value, output: Value, error: Option<&str>) -> Case {
        let (name, error) = ("sample".to_owned(), error.map(str::to_owned));
        Case {
            name,
            input,
            output,
            error,
        }
    }

    /// Accepts what is even, refuses what is odd, and panics on zero.
    const PARITY: Category = Category {
        name: "parity",
        run: |input| match input.as_i64() {
            Some(0) => panic!("zero"),
            Some(number) if number % 2 == 0 => Answer::Accepted(json!({"half": number / 2})),
            Some(number) => Answer::refused_with(json!({"rest": number % 2}), "odd"),
            None => Answer::NotImplemented,
        },
        details: &["rest"],
        improvements: &[Improvement {
            id: "even-is-welcome",
            explains: |case, answer| {
                case.error.as_deref() == Some("too large")
                    && answer
                        .accepted()
                        .is_some_and(|output| output["half"] == 500)
            },
        }],
    };

    #[test]
    fn answers_are_judged_by_what_they_hold() {
        let agree = [
            sample(json!(4), json!({"half": 2}), None),
            sample(json!(3), json!({"rest": 1, "crash": "no"}), Some("odd")),
            sample(json!(3), Value::Null, Some("odd")),
            sample(json!(3), json!({"crash": "ValueError"}), Some(ACCIDENT)),
            sample(json!(4), Value::Null, Some(ACCIDENT)),
        ];
        for case in agree {
            assert_eq!(PARITY.judge(&case), Verdict::Agree, "{case:?}");
        }
        let differ = [
            sample(json!(4), json!({"half": 3}), None),
            sample(json!(4), Value::Null, Some("odd")),
            sample(json!(3), json!({"rest": 2}), Some("odd")),
            sample(json!(3), json!({"half": 1}), None),
            sample(json!(0), Value::Null, Some(ACCIDENT)),
            sample(json!("x"), Value::Null, Some(ACCIDENT)),
            sample(json!(998), Value::Null, Some("too large")),
        ];
        for case in differ {
            assert!(
                matches!(PARITY.judge(&case), Verdict::Differ(_)),
                "{case:?}"
            );
        }
        let improved = sample(json!(1000), Value::Null, Some("too large"));
        assert_eq!(
            PARITY.judge(&improved),
            Verdict::Improved("even-is-welcome")
        );
    }

    #[test]
    fn a_file_without_its_parts_is_refused() {
        let text = r#"{"category": "uri", "cases": [{"name": "a", "input": 1, "output": null}]}"#;
        assert_eq!(parse(text).unwrap_err(), "case `a` has no `error`");
        assert!(parse("{}").is_err());
        let text = text.replace("null}", "null, \"error\": \"no\"}");
        assert_eq!(parse(&text).unwrap().cases[0].error.as_deref(), Some("no"));
    }

    #[test]
    fn the_document_lists_what_the_code_knows() {
        check_document().unwrap();
    }
}
