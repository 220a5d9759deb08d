//! Built-in values < agent file < environment < flags.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value, json};

use super::{AgentConfig, Origin, Resolved, cross, variables};
use crate::fields::{Problems, digits};
use crate::load::{self, Checked, Problem, ProblemKind, Report};
use crate::yaml::Spans;

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flags {
    /// `--entity`.
    pub entity: Option<String>,
    /// `--max-jobs`.
    pub max_jobs: Option<i64>,
    /// `--queue`, as often as it was given; they replace the file's.
    pub queues: Vec<String>,
    /// How often `--verbose` was given; not at all leaves the file's verbosity.
    pub verbosity: u8,
}

impl Flags {
    /// No flag.
    pub fn new() -> Self {
        Self::default()
    }

    /// With `--entity`.
    #[must_use]
    pub fn with_entity(mut self, entity: Option<String>) -> Self {
        self.entity = entity;
        self
    }

    /// With `--max-jobs`.
    #[must_use]
    pub fn with_max_jobs(mut self, max_jobs: Option<i64>) -> Self {
        self.max_jobs = max_jobs;
        self
    }

    /// With these `--queue`.
    #[must_use]
    pub fn with_queues(mut self, queues: Vec<String>) -> Self {
        self.queues = queues;
        self
    }

    /// With `--verbose` so often.
    #[must_use]
    pub fn with_verbosity(mut self, verbosity: u8) -> Self {
        self.verbosity = verbosity;
        self
    }
}

/// Gives the value of a variable, if it is set.
pub type Lookup<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// All that has a say in the settings of an agent.
///
/// ```
/// use launch_config::agent::{Flags, Layers};
///
/// let variable = |name: &str| (name == "WANDB_LAUNCH_MAX_JOBS").then(|| "6".to_owned());
/// let flags = Flags::new().with_entity(Some("acme".to_owned()));
/// let layers = Layers::new()
///     .with_file("launch-config.yaml", "max_jobs: 2\nqueues: [train]")
///     .with_variables(&variable)
///     .with_flags(&flags);
/// let resolved = layers.resolve()?.value;
/// assert_eq!(resolved.config.max_jobs, Some(6));
/// assert_eq!(resolved.origin("max_jobs").to_string(), "$WANDB_LAUNCH_MAX_JOBS");
/// assert_eq!(resolved.origin("queues").to_string(), "launch-config.yaml:2");
/// # Ok::<(), launch_config::load::Report>(())
/// ```
#[derive(Clone, Copy, Default)]
pub struct Layers<'a> {
    file: Option<(&'a str, &'a str)>,
    variables: Option<&'a Lookup<'a>>,
    flags: Option<&'a Flags>,
    entity: Option<&'a str>,
}

impl fmt::Debug for Layers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers")
            .field("file", &self.file)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

impl<'a> Layers<'a> {
    /// The built-in values alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the text of an agent file; `origin` names it in messages.
    #[must_use]
    pub fn with_file(mut self, origin: &'a str, text: &'a str) -> Self {
        self.file = Some((origin, text));
        self
    }

    /// With the variables of an environment.
    #[must_use]
    pub fn with_variables(mut self, lookup: &'a Lookup<'a>) -> Self {
        self.variables = Some(lookup);
        self
    }

    /// With flags.
    #[must_use]
    pub fn with_flags(mut self, flags: &'a Flags) -> Self {
        self.flags = Some(flags);
        self
    }

    /// With the entity of whoever owns the API key, for a file that names none.
    #[must_use]
    pub fn with_default_entity(mut self, entity: &'a str) -> Self {
        self.entity = Some(entity);
        self
    }

    /// Lays everything over each other and checks the result.
    ///
    /// # Errors
    /// A [`Report`] of every problem; those of variables and flags name these.
    pub fn resolve(&self) -> Result<Checked<Resolved>, Report> {
        let (origin, text) = self.file.unwrap_or(("built-in", ""));
        let (value, spans) = load::parse(origin, text)?;
        self.judge((origin, text), &value, spans)
    }

    /// The same for a file that is read already.
    pub(crate) fn judge(
        &self,
        (origin, text): (&str, &str),
        value: &Value,
        spans: Spans,
    ) -> Result<Checked<Resolved>, Report> {
        let mut problems = Problems::default();
        let (merged, layers) = match value {
            Value::Object(_) | Value::Null => {
                let (raw, layers) = self.lay(value.as_object(), &mut problems);
                (Value::Object(raw), layers)
            }
            other => (other.clone(), BTreeMap::new()),
        };
        let config = AgentConfig::read(&merged, &mut problems);
        let volume = self.variable(variables::KANIKO_VOLUME);
        let has_volume = volume.is_some_and(|name| !name.is_empty());
        cross::check(&config, has_volume, &mut problems);
        name_layers(&mut problems, &layers);
        let warnings = Report::new(origin, text, problems.0, &spans);
        if warnings.has_errors() {
            return Err(warnings);
        }
        let file = self.file.map(|_| (origin.to_owned(), spans));
        let value = Resolved::new(config, merged, layers, file);
        Ok(Checked { value, warnings })
    }

    /// The merged top level, and where the keys that are not the file's came from.
    fn lay(
        &self,
        file: Option<&Map<String, Value>>,
        problems: &mut Problems,
    ) -> (Map<String, Value>, BTreeMap<String, Origin>) {
        let mut stack = Stack::built_in();
        stack.raw.extend(file.cloned().unwrap_or_default());
        for key in file.into_iter().flat_map(Map::keys) {
            stack.layers.remove(key);
        }
        self.lay_variables(&mut stack, problems);
        self.lay_flags(&mut stack);
        if stack.raw.get("entity").is_none_or(Value::is_null)
            && let Some(entity) = self.entity
        {
            stack.set("entity", json!(entity), Origin::Server);
        }
        (stack.raw, stack.layers)
    }

    fn lay_variables(&self, stack: &mut Stack, problems: &mut Problems) {
        let origin = |name: &str| Origin::Variable {
            name: name.to_owned(),
        };
        // Even an empty one counts, as in the Python agent.
        if let Some(entity) = self.variable(variables::ENTITY) {
            stack.set("entity", json!(entity), origin(variables::ENTITY));
        }
        let name = variables::MAX_JOBS;
        let text = self.variable(name).filter(|text| !text.is_empty());
        let Some(text) = text else { return };
        if let Some(number) = digits(&text).filter(|_| !text.contains('.')) {
            stack.set("max_jobs", json!(number), origin(name));
            return;
        }
        let message = format!("expected a number of jobs or -1, found `{text}`");
        let mut problem = Problem::new(ProblemKind::Type, "max_jobs", message);
        problem.origin = Some(Box::new(origin(name)));
        problems.push(problem);
    }

    fn lay_flags(&self, stack: &mut Stack) {
        let Some(flags) = self.flags else { return };
        let origin = |name: &str| Origin::Flag {
            name: name.to_owned(),
        };
        if let Some(entity) = &flags.entity {
            stack.set("entity", json!(entity), origin("--entity"));
        }
        if let Some(number) = flags.max_jobs {
            stack.set("max_jobs", json!(number), origin("--max-jobs"));
        }
        if !flags.queues.is_empty() {
            stack.set("queues", json!(flags.queues), origin("--queue"));
            stack.raw.remove("queue");
        }
        if flags.verbosity > 0 {
            stack.set("verbosity", json!(flags.verbosity), origin("--verbose"));
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.and_then(|lookup| lookup(name))
    }
}

/// The merged top level so far.
struct Stack {
    raw: Map<String, Value>,
    layers: BTreeMap<String, Origin>,
}

impl Stack {
    fn built_in() -> Self {
        let values = [
            ("max_jobs", json!(1)),
            ("max_schedulers", json!(1)),
            ("queues", json!([])),
            ("registry", json!({})),
            ("builder", json!({})),
            ("verbosity", json!(0)),
        ];
        let mut stack = Self {
            raw: Map::new(),
            layers: BTreeMap::new(),
        };
        for (key, value) in values {
            stack.set(key, value, Origin::BuiltIn);
        }
        stack
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) {
        self.raw.insert(key.to_owned(), value);
        self.layers.insert(key.to_owned(), origin);
    }
}

/// Says of each problem whether a variable or a flag is to blame.
fn name_layers(problems: &mut Problems, layers: &BTreeMap<String, Origin>) {
    for problem in problems
        .0
        .iter_mut()
        .filter(|problem| problem.origin.is_none())
    {
        let top = problem.path.split(['.', '[']).next().unwrap_or_default();
        let layer = layers.get(top).filter(|layer| **layer != Origin::BuiltIn);
        problem.origin = layer.cloned().map(Box::new);
    }
}
