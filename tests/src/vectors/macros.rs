//! `macros`: resource arguments, a run and the agent's environment to arguments without
//! macros.

use launch_config::load::spec_value;
use launch_config::macros::Macros;
use launch_config::source::Source;
use launch_config::spec::Resource;
use serde_json::{Map, Value, json};

use super::{Answer, Category};

pub(super) const CATEGORY: Category = Category {
    name: "macros",
    run,
    details: &[],
    improvements: &[],
};

/// The original fills in its whole environment; here an administrator allows variables by
/// name, and the vectors are run with all of them allowed.
fn run(input: &Value) -> Answer {
    let run = &input["project"];
    let spec = json!({
        "project": run["project"],
        "entity": run["entity"],
        "run_id": run["run_id"],
        "name": run["name"],
        "author": run["author"],
        "docker": {"docker_image": run["image"]},
        "resource": "kubernetes",
        "resource_args": input["resource_args"],
    });
    let spec = match spec_value("launch_spec", &spec) {
        Ok(checked) => checked.value,
        Err(report) => return Answer::refused(&report),
    };
    let image = match spec.source() {
        Some(Source::Image(image)) => Some(image),
        _ => None,
    };
    let variables = input["env"].as_object().into_iter().flatten();
    let variables = variables.map(|(name, value)| (name.clone(), text(value)));
    let macros = Macros::of(&spec, "genid000", image).allow(variables);
    let chosen = Resource::Kubernetes;
    let filled: Map<String, Value> = spec
        .resource_args
        .iter()
        .map(|(word, args)| {
            let own = *word == chosen.as_str() && args.is_object();
            let args = if own {
                spec.args_for(chosen)
            } else {
                args.clone()
            };
            (word.clone(), macros.fill(&args))
        })
        .collect();
    Answer::Accepted(json!({ "resource_args": filled }))
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
