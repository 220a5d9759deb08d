//! What an administrator says of a queue, and what that makes of a submission.

use launch_config::template::{Template, Values};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::job::Priority;

/// How a queue orders its jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Prioritization {
    /// By priority, then by age (`V0` of W&B's queues).
    #[default]
    Priority,
    /// By age alone (`DISABLED`): a submission that asks for a priority is refused.
    Age,
}

/// What an administrator says of a queue. The same things W&B's app lets one say.
///
/// ```
/// use launch_queue::settings::QueueSettings;
/// use serde_json::json;
///
/// let settings: QueueSettings = serde_json::from_value(json!({
///     "resource": "kubernetes",
///     "resource-args": {"spec": {"limits": {"nvidia.com/gpu": "{{gpus}}"}}},
///     "template-variables": {
///         "gpus": {"schema": {"type": "integer", "minimum": 1, "maximum": 8, "default": 1}},
///     },
/// }))?;
/// let spec = settings.resolve(&json!({"job": "a/b/c:v0"}), &json!({"gpus": 2}))?;
/// assert_eq!(spec["resource"], "kubernetes");
/// assert_eq!(spec["resource_args"]["kubernetes"]["spec"]["limits"]["nvidia.com/gpu"], 2);
/// assert!(settings.resolve(&json!({}), &json!({"gpus": 9})).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[non_exhaustive]
pub struct QueueSettings {
    /// Where the jobs of this queue run; none leaves it to the submitter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The arguments of that resource, with `{{variables}}` where a submitter may choose.
    /// If there are any, a submission must not bring its own.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub resource_args: Value,
    /// What may stand for each variable: `{name: {"schema": {…}}}`.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub template_variables: Value,
    /// How the queue orders its jobs.
    pub prioritization: Prioritization,
    /// A paused queue takes jobs in and gives none out.
    pub paused: bool,
}

/// Why a queue's settings refuse something. Each problem is one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct SettingsError(Vec<String>);

impl SettingsError {
    fn one(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }

    /// What is wrong, a sentence each.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

impl QueueSettings {
    /// Checks the settings themselves: what no submission could satisfy is refused here.
    ///
    /// # Errors
    /// [`SettingsError`] with the variables whose schema cannot be used, and with those
    /// that are used and not defined.
    pub fn check(&self) -> Result<(), SettingsError> {
        let template = self.template()?;
        if !self.resource_args.is_null() && self.resource.is_none() {
            return Err(SettingsError::one(
                "`resource-args` need a `resource` whose arguments they are",
            ));
        }
        if !matches!(self.resource_args, Value::Null | Value::Object(_)) {
            return Err(SettingsError::one("`resource-args` are no mapping"));
        }
        let mut used = Vec::new();
        variables(&self.resource_args, &mut used);
        let undefined = used.iter().filter(|name| template.get(name).is_none());
        let problems: Vec<String> = undefined
            .map(|name| format!("`{{{{{name}}}}}` is used, but is no template variable"))
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(SettingsError(problems))
        }
    }

    /// The spec as workers get it: resource and arguments of the queue, with the values of
    /// the submission in their places.
    ///
    /// # Errors
    /// [`SettingsError`] with everything the submission may not ask for.
    pub fn resolve(&self, spec: &Value, values: &Value) -> Result<Value, SettingsError> {
        let values = self.values(values)?;
        let mut spec = spec.clone();
        let (Some(resource), Some(fields)) = (&self.resource, spec.as_object_mut()) else {
            return Ok(spec);
        };
        self.may_ask(resource, fields)?;
        fields.insert("resource".to_owned(), resource.clone().into());
        if !self.resource_args.is_null() {
            let filled = values.fill(&self.resource_args);
            let args = Map::from_iter([(resource.clone(), filled)]);
            fields.insert("resource_args".to_owned(), args.into());
        }
        Ok(spec)
    }

    /// Whether a submission may have this priority.
    ///
    /// # Errors
    /// [`SettingsError`] if the queue orders by age and the priority is not the ordinary.
    pub fn check_priority(&self, priority: Priority) -> Result<(), SettingsError> {
        if self.prioritization == Prioritization::Age && priority != Priority::default() {
            return Err(SettingsError::one(format!(
                "the queue orders jobs by age, so priority `{priority}` cannot be asked for"
            )));
        }
        Ok(())
    }

    fn template(&self) -> Result<Template, SettingsError> {
        let template = Template::of(&self.template_variables);
        template.map_err(|error| SettingsError::one(error.to_string()))
    }

    /// The values of a submission, judged.
    pub(crate) fn values(&self, given: &Value) -> Result<Values, SettingsError> {
        let values = self.template()?.check(given);
        values.map_err(|refused| SettingsError(refused.problems))
    }

    fn may_ask(&self, resource: &str, fields: &Map<String, Value>) -> Result<(), SettingsError> {
        let mut problems = Vec::new();
        if let Some(asked) = fields.get("resource").and_then(Value::as_str)
            && asked != resource
        {
            problems.push(format!(
                "the jobs of this queue run on `{resource}`, not on `{asked}`"
            ));
        }
        let brings_args = fields
            .get("resource_args")
            .and_then(Value::as_object)
            .is_some_and(|args| !args.is_empty());
        if brings_args && !self.resource_args.is_null() {
            problems.push(
                "the queue sets `resource_args`; a submission sets template variables only"
                    .to_owned(),
            );
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(SettingsError(problems))
        }
    }
}

/// The names of the variables that stand in a value.
fn variables(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            for part in text.split("{{").skip(1) {
                if let Some((name, _)) = part.split_once("}}") {
                    names.push(name.trim().to_owned());
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| variables(item, names)),
        Value::Object(fields) => fields.values().for_each(|item| variables(item, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gpus() -> QueueSettings {
        QueueSettings {
            resource: Some("kubernetes".to_owned()),
            resource_args: json!({"gpus": "{{gpus}}", "pool": "pool-{{ pool }}"}),
            template_variables: json!({
                "gpus": {"schema": {"type": "integer", "minimum": 1, "maximum": 8}},
                "pool": {"schema": {"type": "string", "enum": ["a", "b"], "default": "a"}},
            }),
            ..QueueSettings::default()
        }
    }

    #[test]
    fn a_submission_sets_variables_and_nothing_else() {
        let settings = gpus();
        settings.check().unwrap();
        let spec = settings
            .resolve(&json!({"entry": 1}), &json!({"gpus": 2}))
            .unwrap();
        let args = json!({"kubernetes": {"gpus": 2, "pool": "pool-a"}});
        assert_eq!(
            spec,
            json!({"entry": 1, "resource": "kubernetes", "resource_args": args})
        );
        for (spec, values, said) in [
            (json!({}), json!({}), "`gpus`"),
            (json!({}), json!({"gpus": 9}), "`gpus`"),
            (json!({}), json!({"gpus": 1, "cpus": 1}), "cpus"),
            (
                json!({"resource": "vertex"}),
                json!({"gpus": 1}),
                "`vertex`",
            ),
            (
                json!({"resource_args": {"kubernetes": {}}}),
                json!({"gpus": 1}),
                "`resource_args`",
            ),
        ] {
            let error = settings.resolve(&spec, &values).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn a_queue_that_says_nothing_changes_nothing() {
        let spec = json!({"resource": "local-process", "resource_args": {"local-process": {}}});
        let settings = QueueSettings::default();
        assert_eq!(settings.resolve(&spec, &Value::Null).unwrap(), spec);
        assert!(settings.resolve(&spec, &json!({"a": 1})).is_err());
        assert!(settings.check_priority(Priority::High).is_ok());
        let by_age = QueueSettings {
            prioritization: Prioritization::Age,
            ..settings
        };
        assert!(by_age.check_priority(Priority::High).is_err());
        assert!(by_age.check_priority(Priority::Medium).is_ok());
    }

    #[test]
    fn settings_that_nobody_could_satisfy_are_refused() {
        let mut undefined = gpus();
        undefined.template_variables = json!({"gpus": {"schema": {"type": "integer"}}});
        assert!(
            undefined
                .check()
                .unwrap_err()
                .to_string()
                .contains("{{pool}}")
        );
        let mut broken = gpus();
        broken.template_variables = json!({"gpus": {"schema": {"type": "colour"}}});
        assert!(broken.check().is_err());
        let mut homeless = gpus();
        homeless.resource = None;
        assert!(homeless.check().is_err());
    }
}
