//! Where agent files are read otherwise than by the Python agent, on purpose.

use std::collections::BTreeSet;

use launch_config::load::mapping_text;
use serde_json::{Value, json};

use super::super::uri::{Reading, reading};
use super::super::{Answer, Case, Improvement};

pub(super) const ALL: &[Improvement] = &[
    Improvement {
        id: "queue-is-one-of-the-queues",
        explains: |case, answer| {
            file(case).get("queue").is_some() && forgives(case, answer, |key| key == "queue")
        },
    },
    Improvement {
        id: "environments-that-need-nothing",
        explains: |case, answer| forgives(case, answer, |key| needs_nothing(&file(case), key)),
    },
    Improvement {
        id: "blocks-of-our-own",
        explains: |case, answer| {
            let own = ["backend", "policy", "journal", "observability"];
            forgives(case, answer, |key| own.contains(&key))
        },
    },
    Improvement {
        id: "timestamps-are-texts",
        explains: |case, answer| {
            has_date(yaml(case)) && forgives(case, answer, |key| kind(case, key) == "string_type")
        },
    },
    Improvement {
        id: "azure-blobs-of-every-cloud",
        explains: |case, answer| {
            let clouds = [
                ".blob.core.usgovcloudapi.net/",
                ".blob.core.chinacloudapi.cn/",
            ];
            let store = file(case)["builder"]["build-context-store"].to_string();
            clouds.iter().any(|cloud| store.contains(cloud))
                && forgives(case, answer, |key| key == "builder.build-context-store")
        },
    },
    Improvement {
        id: "keys-are-set-once",
        explains: |case, answer| refuses(case, answer, "is set again on line"),
    },
    Improvement {
        id: "integers-have-64-bits",
        explains: |case, answer| {
            let mut digits = yaml(case).split(|c: char| !c.is_ascii_digit());
            digits.any(|run| run.len() > 18) && refuses(case, answer, "")
        },
    },
    Improvement {
        id: "files-are-mappings",
        explains: |case, answer| refuses(case, answer, "expected a mapping, found"),
    },
    Improvement {
        id: "queues-have-names",
        explains: |case, answer| refuses(case, answer, "queue name"),
    },
    Improvement {
        id: "addresses-are-image-names",
        explains: |case, answer| {
            let odd = has(case, Reading::NoImage)
                && (refuses(case, answer, "is not the address of an image repository")
                    || refuses(case, answer, "does not end with the repository's name")
                    || only_warnings(case, answer));
            odd || refuses(case, answer, "the parts of the block make no address")
        },
    },
    Improvement {
        id: "store-addresses-are-names",
        explains: |case, answer| refuses(case, answer, "`builder.build-context-store`"),
    },
    Improvement {
        id: "queues-are-named-once",
        explains: |case, answer| {
            let mut theirs = case.output.clone();
            for view in ["model", "agent"] {
                once(&mut theirs[view]["queues"]);
            }
            theirs != case.output && answer.accepted() == Some(&theirs)
        },
    },
    Improvement {
        id: "values-mean-what-they-say",
        explains: means_what_it_says,
    },
    Improvement {
        id: "environment-project-is-a-key",
        explains: |case, answer| {
            !file(case)["environment"]["project"].is_null() && only_warnings(case, answer)
        },
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
        explains: |case, answer| {
            recognises(case, answer, Reading::GcrHost)
                || has(case, Reading::GcrHost) && refuses(case, answer, "but no image in it")
        },
    },
    Improvement {
        id: "acr-hosts-of-every-cloud",
        explains: |case, answer| recognises(case, answer, Reading::AcrHost),
    },
    Improvement {
        id: "acr-nested-repositories",
        explains: |case, answer| recognises(case, answer, Reading::AcrNested),
    },
];

fn yaml(case: &Case) -> &str {
    case.input["yaml"].as_str().unwrap_or_default()
}

/// The file as it is, unjudged.
fn file(case: &Case) -> Value {
    mapping_text("launch-config.yaml", yaml(case)).unwrap_or_default()
}

/// The keys the original rejects.
fn theirs(case: &Case) -> BTreeSet<&str> {
    keys(&case.output["rejected"])
}

fn keys(rejected: &Value) -> BTreeSet<&str> {
    let items = rejected.as_array().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item["key"].as_str())
        .collect()
}

fn kind<'a>(case: &'a Case, key: &str) -> &'a str {
    let items = case.output["rejected"].as_array();
    let items = items.map(Vec::as_slice).unwrap_or_default();
    let found = items.iter().find(|item| item["key"] == key);
    found
        .and_then(|item| item["kind"].as_str())
        .unwrap_or_default()
}

/// The original rejects some keys we do not, and nothing else is different: what it
/// rejects besides, we reject, too.
fn forgives(case: &Case, answer: &Answer, forgiven: impl Fn(&str) -> bool) -> bool {
    let rest: BTreeSet<&str> = theirs(case)
        .into_iter()
        .filter(|key| !forgiven(key))
        .collect();
    let ours = match answer {
        Answer::Accepted(_) => BTreeSet::new(),
        Answer::Refused { details, .. } => keys(&details["rejected"]),
        _ => return false,
    };
    case.error.is_some() && rest.len() < theirs(case).len() && ours == rest
}

/// The original accepts; we refuse, and say this.
fn refuses(case: &Case, answer: &Answer, words: &str) -> bool {
    case.error.is_none()
        && matches!(answer, Answer::Refused { message, .. } if message.contains(words))
}

/// Both accept, and only the number of warnings is another.
fn only_warnings(case: &Case, answer: &Answer) -> bool {
    let mut theirs = case.output.clone();
    let Some(ours) = answer.accepted() else {
        return false;
    };
    theirs["warnings"] = ours["warnings"].clone();
    case.error.is_none() && &theirs == ours
}

fn needs_nothing(file: &Value, key: &str) -> bool {
    let kind = &file["environment"]["type"];
    match key {
        "environment.type" => kind == "local",
        "environment.region" => kind.is_null() || kind == "azure" || kind == "local",
        "registry.type" => file["registry"]["type"] == "local",
        _ => false,
    }
}

fn addresses(case: &Case) -> impl Iterator<Item = String> {
    let file = file(case);
    let places = [("registry", "uri"), ("builder", "destination")];
    let text = move |(name, key): (&str, &str)| file[name][key].as_str().map(str::to_owned);
    places.map(text).into_iter().flatten()
}

fn has(case: &Case, expected: Reading) -> bool {
    addresses(case).any(|text| reading(&text) == expected)
}

/// We know the registry of an address; the original warns of it, or misreads it.
fn recognises(case: &Case, answer: &Answer, expected: Reading) -> bool {
    let address = |key: &str| key == "registry.uri" || key == "builder.destination";
    let tagged = refuses(case, answer, "does not end with the repository's name");
    has(case, expected)
        && (only_warnings(case, answer) || forgives(case, answer, address) || tagged)
}

fn once(queues: &mut Value) {
    let items = queues.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut seen: Vec<Value> = Vec::new();
    for item in items {
        if !seen.contains(item) {
            seen.push(item.clone());
        }
    }
    *queues = json!(seen);
}

/// `'on'` is true and `'30'` is 30, null is as if it were not there. The original keeps
/// what was written, whatever its schema took it for.
fn means_what_it_says(case: &Case, answer: &Answer) -> bool {
    let (mut theirs, Some(ours)) = (case.output.clone(), answer.accepted()) else {
        return false;
    };
    let agent = &case.output["agent"];
    for key in ["secure_mode", "verbosity", "stopped_run_timeout"] {
        let plain = match key {
            "secure_mode" => agent[key].is_boolean(),
            _ => agent[key].is_i64(),
        };
        if !plain {
            theirs["agent"][key] = ours["agent"][key].clone();
        }
    }
    case.error.is_none() && &theirs == ours
}

/// Whether a date stands in the text, as YAML writes it.
fn has_date(text: &str) -> bool {
    let is_date = |word: &str| {
        let parts: Vec<&str> = word.split('-').collect();
        let digits = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
        parts.len() == 3 && parts[0].len() == 4 && parts.iter().all(digits)
    };
    text.split(|c: char| c.is_whitespace() || "[]{},T".contains(c))
        .any(is_date)
}
