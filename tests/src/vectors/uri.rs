//! `uri`: text to the parts of registry and bucket addresses.

use launch_config::registry::{Address, AddressError, RegistryUri};
use launch_config::store::StoreUri;
use serde_json::{Value, json};

use super::{Answer, Case, Category, Improvement};

pub(super) const CATEGORY: Category = Category {
    name: "uri",
    run,
    details: &[],
    improvements: &[
        Improvement {
            id: "addresses-are-image-names",
            explains: takes_for_none,
        },
        Improvement {
            id: "ecr-of-every-partition",
            explains: |case, answer| recognises(case, answer, Reading::EcrHost, "ecr"),
        },
        Improvement {
            id: "ecr-without-dkr",
            explains: |case, answer| recognises(case, answer, Reading::EcrWithoutDkr, "ecr"),
        },
        Improvement {
            id: "artifact-registry-paths",
            explains: |case, answer| recognises(case, answer, Reading::GoogleNested, "gar"),
        },
        Improvement {
            id: "gcr-hosts-are-artifact-registry",
            explains: |case, answer| recognises(case, answer, Reading::GcrHost, "gar"),
        },
        Improvement {
            id: "acr-hosts-of-every-cloud",
            explains: |case, answer| recognises(case, answer, Reading::AcrHost, "acr"),
        },
        Improvement {
            id: "acr-nested-repositories",
            explains: |case, answer| recognises(case, answer, Reading::AcrNested, "acr"),
        },
        Improvement {
            id: "tags-are-kept-apart",
            explains: keeps_tags_apart,
        },
        Improvement {
            id: "azure-blobs-of-every-cloud",
            explains: |case, answer| {
                let clouds = [
                    ".blob.core.usgovcloudapi.net/",
                    ".blob.core.chinacloudapi.cn/",
                ];
                clouds.iter().any(|cloud| text(case).contains(cloud))
                    && case.output["azure_blob"].is_null()
                    && changed(case, answer, &["azure_blob"])
            },
        },
        Improvement {
            id: "store-addresses-are-names",
            explains: refuses_stores,
        },
    ],
};

fn run(input: &Value) -> Answer {
    let text = input["uri"].as_str().unwrap_or_default();
    let address = Address::read(text);
    let store = text.parse::<StoreUri>().ok();
    let (ecr, gar, acr) = parts(&address);
    Answer::Accepted(json!({
        "ecr": ecr,
        "gar": gar,
        "acr": acr,
        "s3": store.as_ref().and_then(s3),
        "gcs": store.as_ref().and_then(gcs),
        "azure_blob": store.as_ref().and_then(azure_blob),
        "inferred": inferred(&address),
        "destination": destination(&address),
    }))
}

/// The parts as ECR, Artifact Registry and ACR.
fn parts(address: &Address) -> (Option<Value>, Option<Value>, Option<Value>) {
    let rest = address.rest();
    let tag = rest.strip_prefix(':').unwrap_or(rest);
    match address.recognised() {
        Ok(RegistryUri::Ecr(ecr)) => {
            let parts = json!({
                "account": ecr.account(),
                "region": ecr.region(),
                "repository": ecr.repository(),
                "tag": tag,
            });
            (Some(parts), None, None)
        }
        Ok(RegistryUri::ArtifactRegistry(gar)) => {
            let parts = json!({
                "region": gar.region(),
                "project": gar.project(),
                "repository": gar.repository(),
                "image_name": gar.image(),
                "tag": Some(rest).filter(|rest| !rest.is_empty()),
            });
            (None, Some(parts), None)
        }
        Ok(RegistryUri::Acr(acr)) => {
            let parts = json!({
                "registry": acr.registry(),
                "repository": acr.repository(),
                "tag": tag,
            });
            (None, None, Some(parts))
        }
        _ => (None, None, None),
    }
}

fn s3(store: &StoreUri) -> Option<Value> {
    let StoreUri::S3 { bucket, key } = store else {
        return None;
    };
    let path = key.as_str().map(|key| format!("/{key}"));
    Some(json!({"bucket": bucket.as_str(), "path": path, "key": key.as_str()}))
}

fn gcs(store: &StoreUri) -> Option<Value> {
    let StoreUri::Gcs { bucket, key } = store else {
        return None;
    };
    Some(json!({"bucket": bucket.as_str(), "key": key.as_str()}))
}

fn azure_blob(store: &StoreUri) -> Option<Value> {
    let StoreUri::AzureBlob {
        account,
        container,
        path,
        ..
    } = store
    else {
        return None;
    };
    Some(json!({
        "account": account.as_str(),
        "container": container.as_str(),
        "path": path.as_str().unwrap_or_default(),
    }))
}

fn inferred(address: &Address) -> Value {
    let written = address.as_str();
    let (kind, repository) = match address.repository() {
        Ok(uri) => (kind(uri), uri.to_string()),
        Err(AddressError::NotAnImage { .. }) => ("anonymous", written.to_owned()),
        Err(_) => return json!({"refused": "gar address lacks a part"}),
    };
    json!({"kind": kind, "uri": written, "repo_uri": repository})
}

fn destination(address: &Address) -> Value {
    match address.destination() {
        Ok(destination) => json!({
            "accepted": destination.written,
            "warned": destination.warned,
        }),
        Err(AddressError::Tagged(_)) => json!({"refused": "tag present"}),
        Err(_) => json!({"refused": "image or repository missing"}),
    }
}

/// The keys about registries.
const REGISTRIES: [&str; 5] = ["ecr", "gar", "acr", "inferred", "destination"];

/// The vectors' word for a kind of registry.
pub(super) fn kind(uri: &RegistryUri) -> &'static str {
    match uri {
        RegistryUri::Ecr(_) => "ecr",
        RegistryUri::ArtifactRegistry(_) => "gar",
        RegistryUri::Acr(_) => "acr",
        _ => "anonymous",
    }
}

/// What a text holds that the original's patterns read otherwise than we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Not the name of an image.
    NoImage,
    /// A host of ECR in China, or one with FIPS cryptography.
    EcrHost,
    /// A host of ECR as W&B's documentation writes it, without `.dkr`.
    EcrWithoutDkr,
    /// More than one part behind the repository of Artifact Registry, a part with a dot, a
    /// project of a domain, or a digest without a tag.
    GoogleNested,
    /// A host of Container Registry.
    GcrHost,
    /// A registry of Azure in another cloud, or with a dash in its host.
    AcrHost,
    /// A repository of ACR with a slash or a dot.
    AcrNested,
    /// Nothing of these.
    Plain,
}

/// Tells by the text alone; whether it is the name of an image is the grammar's to say.
pub(super) fn reading(text: &str) -> Reading {
    let plain = text.strip_prefix("https://").unwrap_or(text);
    if plain.parse::<launch_config::image::ImageRef>().is_err() {
        return Reading::NoImage;
    }
    let (host, path) = plain.split_once('/').unwrap_or((plain, ""));
    let path_only = path.split([':', '@']).next().unwrap_or_default();
    let azure = [".azurecr.us", ".azurecr.cn"];
    if host.contains(".dkr.ecr-fips.")
        || host.contains(".dkr.ecr.") && host.ends_with(".amazonaws.com.cn")
    {
        Reading::EcrHost
    } else if is_ecr_without_dkr(host) {
        Reading::EcrWithoutDkr
    } else if host.to_lowercase().ends_with("-docker.pkg.dev") {
        let nested = path_only.contains('.') || path_only.split('/').count() > 3;
        let digest = path[path_only.len()..].starts_with('@');
        if nested || digest {
            Reading::GoogleNested
        } else {
            Reading::Plain
        }
    } else if ["gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io"].contains(&host) {
        Reading::GcrHost
    } else if azure.iter().any(|suffix| host.ends_with(suffix))
        || host.ends_with(".azurecr.io") && host.contains('-')
    {
        Reading::AcrHost
    } else if host.ends_with(".azurecr.io") && path_only.contains(['/', '.']) {
        Reading::AcrNested
    } else {
        Reading::Plain
    }
}

fn is_ecr_without_dkr(host: &str) -> bool {
    let amazon = host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
    amazon && host.split('.').nth(1) == Some("ecr")
}

fn text(case: &Case) -> &str {
    case.input["uri"].as_str().unwrap_or_default()
}

/// Whether only these keys of the output differ from the original's.
fn changed(case: &Case, answer: &Answer, keys: &[&str]) -> bool {
    let (Some(theirs), Some(ours)) = (
        case.output.as_object(),
        answer.accepted().and_then(Value::as_object),
    ) else {
        return false;
    };
    let rest = |(key, value): (&String, &Value)| {
        keys.contains(&key.as_str()) || ours.get(key) == Some(value)
    };
    case.error.is_none() && theirs.len() == ours.len() && theirs.iter().all(rest)
}

/// The original takes a text for a repository that no image can be called by; we take it
/// for one of an unknown kind, or say what is behind its name.
fn takes_for_none(case: &Case, answer: &Answer) -> bool {
    let Some(ours) = answer.accepted() else {
        return false;
    };
    let theirs = &case.output["destination"];
    let unknown = ours["destination"]["warned"] == true && ours["inferred"]["kind"] == "anonymous";
    reading(text(case)) == Reading::NoImage
        && theirs["warned"] != true
        && (unknown || ours["destination"]["refused"] == "tag present")
        && changed(case, answer, &REGISTRIES)
}

/// The original takes an address for none of its kind, or for another one; we read it.
fn recognises(case: &Case, answer: &Answer, expected: Reading, key: &str) -> bool {
    let Some(ours) = answer.accepted() else {
        return false;
    };
    let known =
        ours["inferred"]["kind"] == key || key == "gar" && ours["inferred"]["refused"].is_string();
    reading(text(case)) == expected
        && !ours[key].is_null()
        && ours[key] != case.output[key]
        && known
        && ours["destination"]["warned"] != true
        && changed(case, answer, &[key, "inferred", "destination"])
}

/// To another registry, the original would push `image:tag:other-tag`.
fn keeps_tags_apart(case: &Case, answer: &Answer) -> bool {
    let Some(ours) = answer.accepted() else {
        return false;
    };
    let (theirs, ours) = (&case.output["inferred"], &ours["inferred"]);
    let rest = theirs["repo_uri"].as_str().zip(ours["repo_uri"].as_str());
    let rest = rest.and_then(|(whole, bare)| whole.strip_prefix(bare));
    theirs["kind"] == "anonymous"
        && ours["kind"] == "anonymous"
        && theirs["uri"] == ours["uri"]
        && rest.is_some_and(|rest| rest.starts_with([':', '@']) && !rest.contains('/'))
        && changed(case, answer, &["inferred"])
}

/// The original takes a bucket or a path with a character such names never have, or cuts
/// it at a line break.
fn refuses_stores(case: &Case, answer: &Answer) -> bool {
    const STORES: [&str; 3] = ["s3", "gcs", "azure_blob"];
    let Some(ours) = answer.accepted() else {
        return false;
    };
    let odd = |name: &Value| {
        let fine = |c: char| c.is_ascii_alphanumeric() || "$-._".contains(c);
        name.as_str().is_some_and(|name| !name.chars().all(fine))
    };
    let named = STORES.iter().any(|store| {
        let names = ["bucket", "account", "container"];
        names.iter().any(|name| odd(&case.output[*store][*name]))
    });
    let theirs = STORES.iter().any(|store| !case.output[*store].is_null());
    theirs
        && (named || text(case).contains(char::is_control))
        && STORES.iter().all(|store| ours[*store].is_null())
        && changed(case, answer, &STORES)
}
