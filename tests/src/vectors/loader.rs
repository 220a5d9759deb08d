//! `loader`: configuration blocks to environment, registry, builder and repository.

use launch_config::environment::{
    Ambient, BlockError, Blocks, Builder, BuilderSetup, Environment, Setup,
};
use launch_config::load::mapping_text;
use launch_config::registry::Registry;
use launch_config::store::StoreUri;
use serde_json::{Value, json};

use super::uri::{Reading, kind, reading};
use super::{Answer, Case, Category, Improvement};

pub(super) const CATEGORY: Category = Category {
    name: "loader",
    run,
    details: &["stage"],
    improvements: &[
        Improvement {
            id: "addresses-are-image-names",
            explains: refuses_addresses,
        },
        Improvement {
            id: "ecr-of-every-partition",
            explains: |case, answer| recognises(case, answer, Reading::EcrHost),
        },
        Improvement {
            id: "ecr-without-dkr",
            explains: |case, answer| recognises(case, answer, Reading::EcrWithoutDkr),
        },
        Improvement {
            id: "artifact-registry-paths",
            explains: |case, answer| recognises(case, answer, Reading::GoogleNested),
        },
        Improvement {
            id: "gcr-hosts-are-artifact-registry",
            explains: |case, answer| recognises(case, answer, Reading::GcrHost),
        },
        Improvement {
            id: "acr-hosts-of-every-cloud",
            explains: |case, answer| recognises(case, answer, Reading::AcrHost),
        },
        Improvement {
            id: "acr-nested-repositories",
            explains: |case, answer| recognises(case, answer, Reading::AcrNested),
        },
        Improvement {
            id: "tags-are-kept-apart",
            explains: keeps_tags_apart,
        },
        Improvement {
            id: "ecr-of-its-parts",
            explains: makes_ecr_of_parts,
        },
        Improvement {
            id: "registries-have-no-scheme",
            explains: drops_schemes,
        },
        Improvement {
            id: "store-addresses-are-names",
            explains: refuses_stores,
        },
        Improvement {
            id: "builders-choose-themselves",
            explains: chooses_a_builder,
        },
        Improvement {
            id: "regions-are-named",
            explains: wants_regions,
        },
    ],
};

fn run(input: &Value) -> Answer {
    let file = match input["default_file"].as_str() {
        Some(text) if input["mode"] == "direct" => match mapping_text("default file", text) {
            Ok(file) => Some(file),
            Err(report) => return refused("configuration", &report),
        },
        _ => None,
    };
    let config = Some(&input["config"]).filter(|config| !config.is_null());
    let blocks = match (input["mode"].as_str(), config) {
        (Some("direct"), given) => {
            Blocks::of_launch(given, input.get("override_builder"), file.as_ref())
        }
        (_, Some(config)) => Blocks::of_agent(config),
        (_, None) => Blocks::default(),
    };
    match Setup::read(&blocks, &ambient(input)) {
        Ok(setup) => Answer::Accepted(output(&setup)),
        Err(error) => refused(error.block().as_str(), &full(&error)),
    }
}

fn refused(stage: &str, message: &impl ToString) -> Answer {
    Answer::refused_with(json!({"stage": stage}), message)
}

fn full(error: &BlockError) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn ambient(input: &Value) -> Ambient {
    let flag = |value: &Value| value.as_bool().unwrap_or(true);
    let mut ambient = Ambient::default();
    ambient.docker = flag(&input["docker_cli"]);
    ambient.aws = flag(&input["aws"]["credentials"]);
    ambient.gcp = flag(&input["gcp"]["credentials"]);
    let project = input["gcp"]["project"].as_str().unwrap_or("creds-project");
    ambient.gcp_project = Some(project.to_owned());
    ambient
}

fn output(setup: &Setup) -> Value {
    let environment = match setup.environment {
        Environment::Aws { .. } => "aws",
        Environment::Gcp { .. } => "gcp",
        Environment::Azure => "azure",
        _ => "local",
    };
    json!({
        "environment": {"kind": environment, "region": setup.environment.region()},
        "registry": registry(&setup.registry),
        "builder": builder(&setup.builder),
        "warnings": setup.advice.len(),
    })
}

fn registry(registry: &Registry) -> Value {
    let Registry::Remote { written, uri } = registry else {
        return json!({"kind": "local", "uri": null, "repo_uri": ""});
    };
    let mut output = json!({"kind": kind(uri), "uri": written, "repo_uri": uri.to_string()});
    if let Some(region) = uri.region() {
        output["region"] = json!(region);
    }
    output
}

fn builder(setup: &BuilderSetup) -> Value {
    let pushes_to = registry(&setup.pushes_to);
    match &setup.builder {
        Builder::Docker { platform } => {
            json!({"kind": "docker", "pushes_to": pushes_to, "platform": platform})
        }
        Builder::Kaniko(kaniko) => json!({
            "kind": "kaniko",
            "pushes_to": pushes_to,
            "build_job_name": kaniko.job_name,
            "build_context_store": kaniko.context_store.as_ref().map(StoreUri::to_string).unwrap_or_default(),
            "secret_name": kaniko.secret_name.as_deref().unwrap_or_default(),
            "secret_key": kaniko.secret_key.as_deref().unwrap_or_default(),
            "image": kaniko.image,
            "config": kaniko.config,
        }),
        _ => json!({"kind": "noop", "pushes_to": pushes_to}),
    }
}

/// The block of this name, from the configuration or the user's own file.
fn block(case: &Case, name: &str) -> Value {
    let given = &case.input["config"][name];
    if !given.is_null() || case.input["mode"] != "direct" {
        return given.clone();
    }
    let file = case.input["default_file"].as_str().unwrap_or_default();
    mapping_text("default file", file).map_or(Value::Null, |file| file[name].clone())
}

/// The addresses of `registry` and `builder`.
fn addresses(case: &Case) -> impl Iterator<Item = String> {
    let places = [("registry", "uri"), ("builder", "destination")];
    let text = |(name, key): (&str, &str)| block(case, name)[key].as_str().map(str::to_owned);
    places.map(text).into_iter().flatten()
}

fn refused_at(answer: &Answer) -> Option<&str> {
    match answer {
        Answer::Refused { details, .. } => details["stage"].as_str(),
        _ => None,
    }
}

/// The output but for the registries.
fn apart(output: &Value) -> Value {
    let mut output = output.clone();
    if let Some(map) = output.as_object_mut() {
        map.remove("registry");
    }
    if let Some(builder) = output["builder"].as_object_mut() {
        builder.remove("pushes_to");
    }
    output
}

/// We read an address of this kind; the original refuses it, or takes it for another.
fn recognises(case: &Case, answer: &Answer, expected: Reading) -> bool {
    let Some(ours) = answer.accepted() else {
        // As a whole: an address of Container Registry without an image.
        return case.error.is_none()
            && expected == Reading::GcrHost
            && refused_at(answer) == Some("builder")
            && addresses(case).any(|text| reading(&text) == expected);
    };
    let stage = case.output["stage"].as_str();
    let same = match case.error {
        Some(_) => stage == Some("registry"),
        None => apart(ours) == apart(&case.output),
    };
    let kind = match expected {
        Reading::EcrHost | Reading::EcrWithoutDkr => "ecr",
        Reading::AcrHost | Reading::AcrNested => "acr",
        _ => "gar",
    };
    let ours = [&ours["registry"], &ours["builder"]["pushes_to"]];
    same && ours.iter().any(|registry| registry["kind"] == kind)
        && addresses(case).any(|text| reading(&text) == expected)
}

/// The original accepts a text that is the name of no image.
fn refuses_addresses(case: &Case, answer: &Answer) -> bool {
    case.error.is_none()
        && matches!(refused_at(answer), Some("registry" | "builder"))
        && addresses(case).any(|text| reading(&text) == Reading::NoImage)
}

/// To another registry, the original would push `image:tag:other-tag`.
fn keeps_tags_apart(case: &Case, answer: &Answer) -> bool {
    let Some(ours) = answer.accepted() else {
        return false;
    };
    let theirs = &case.output["builder"]["pushes_to"];
    let ours_to = &ours["builder"]["pushes_to"];
    let rest = theirs["repo_uri"]
        .as_str()
        .zip(ours_to["repo_uri"].as_str());
    let rest = rest.and_then(|(whole, bare)| whole.strip_prefix(bare));
    theirs["kind"] == "anonymous"
        && ours_to["uri"] == theirs["uri"]
        && ours["registry"] == case.output["registry"]
        && apart(ours) == apart(&case.output)
        && rest.is_some_and(|rest| rest.starts_with([':', '@']) && !rest.contains('/'))
}

/// The original refuses every ECR block without an address.
fn makes_ecr_of_parts(case: &Case, answer: &Answer) -> bool {
    let block = block(case, "registry");
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let given = |key: &str| text(&block[key]);
    let around = self::block(case, "environment");
    let repository = given("repository") || given("repo_name");
    case.output["stage"] == "registry"
        && block["type"] == "ecr"
        && block["uri"].is_null()
        && (given("account_id") || block["account_id"].is_number())
        && (given("region") || text(&around["region"]))
        && repository
        && answer
            .accepted()
            .is_some_and(|ours| ours["registry"]["kind"] == "ecr")
}

/// The original keeps `https://` where some registries store their address.
fn drops_schemes(case: &Case, answer: &Answer) -> bool {
    let plain = |value: &Value| {
        let text = value["uri"].as_str();
        let mut value = value.clone();
        if let Some(bare) = text.and_then(|text| text.strip_prefix("https://")) {
            value["uri"] = json!(bare);
        }
        value
    };
    let mut theirs = case.output.clone();
    theirs["registry"] = plain(&theirs["registry"]);
    theirs["builder"]["pushes_to"] = plain(&theirs["builder"]["pushes_to"]);
    case.error.is_none() && theirs != case.output && answer.accepted() == Some(&theirs)
}

/// The original takes any text for a store.
fn refuses_stores(case: &Case, answer: &Answer) -> bool {
    let builder = block(case, "builder");
    let store = builder["build-context-store"].as_str().unwrap_or_default();
    let known = ["s3://", "gs://", "https://"];
    let odd = |c: char| c.is_control() || c.is_whitespace();
    case.error.is_none()
        && refused_at(answer) == Some("builder")
        && !store.is_empty()
        && (!known.iter().any(|scheme| store.starts_with(scheme))
            || store.contains(odd)
            || store.starts_with("https://") && !store.contains(".blob.core."))
}

/// The original refuses a block without a type; ours builds as if there were none.
fn chooses_a_builder(case: &Case, answer: &Answer) -> bool {
    let kind = answer
        .accepted()
        .map(|ours| ours["builder"]["kind"].clone());
    case.error.is_some()
        && case.output["stage"] == "builder"
        && block(case, "builder")["type"].is_null()
        && kind.is_some_and(|kind| kind == "docker" || kind == "noop")
}

/// A region that is no text is none, whatever text it could be turned into.
fn wants_regions(case: &Case, answer: &Answer) -> bool {
    let environment = block(case, "environment");
    case.error.is_none()
        && refused_at(answer) == Some("environment")
        && ["aws", "gcp"]
            .iter()
            .any(|kind| environment["type"] == *kind)
        && !environment["region"].is_string()
}
