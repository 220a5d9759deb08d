//! `resource_args` of the places that get a manifest or a request: what of them is about
//! submitting, and what is submitted.

use serde_json::{Map, Value};

use super::args::without_builder;

/// How long additional services may take to be ready if nobody says, in seconds.
const READY_WITHIN: u64 = 300;

/// `resource_args.kubernetes`: a manifest, and keys that are about submitting it.
///
/// Keys of another type count as absent: they are the manifest's then, and the cluster
/// judges it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct KubernetesArgs {
    /// The manifest: the args as they are, as the keys below are also fields of some
    /// objects.
    pub manifest: Map<String, Value>,
    /// `configFile`: the kubeconfig.
    pub config_file: Option<String>,
    /// `context`: the context of the kubeconfig.
    pub context: Option<String>,
    /// `namespace`, else `metadata.namespace`.
    pub namespace: Option<String>,
    /// `wait_for_ready`: whether additional services have to be ready first.
    pub wait_for_ready: bool,
    /// `wait_timeout`: how long that may take, in seconds.
    pub wait_timeout: u64,
}

impl KubernetesArgs {
    /// Reads the args of a Kubernetes queue.
    pub fn of(args: &Value) -> Self {
        let below = |key| args.get("metadata").and_then(|metadata| metadata.get(key));
        let waits = args.get("wait_for_ready").and_then(Value::as_bool);
        let within = args.get("wait_timeout").and_then(Value::as_u64);
        Self {
            manifest: mapping(args),
            config_file: text(args.get("configFile")),
            context: text(args.get("context")),
            namespace: text(args.get("namespace")).or_else(|| text(below("namespace"))),
            wait_for_ready: waits.unwrap_or(true),
            wait_timeout: within.unwrap_or(READY_WITHIN),
        }
    }
}

/// `resource_args.sagemaker`: a request to make a training job, and keys that are about
/// sending it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SagemakerArgs {
    /// Fields of the request, in either spelling (`RoleArn`, `role_arn`).
    pub request: Map<String, Value>,
    /// `region`.
    pub region: Option<String>,
    /// `profile`: the profile of the AWS configuration.
    pub profile: Option<String>,
}

impl SagemakerArgs {
    /// Reads the args of a SageMaker queue. `EcrRepoName`, from older clients, means
    /// nothing.
    pub fn of(args: &Value) -> Self {
        let mut request = mapping(args);
        for key in ["region", "profile", "EcrRepoName", "ecr_repo_name"] {
            request.shift_remove(key);
        }
        Self {
            request,
            region: text(args.get("region")),
            profile: text(args.get("profile")),
        }
    }
}

/// `resource_args.vertex`: what the job is, and how it runs.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct VertexArgs {
    /// `spec`: worker pools, staging bucket, labels.
    pub spec: Map<String, Value>,
    /// `run`: service account, network, time limits.
    pub run: Map<String, Value>,
}

impl VertexArgs {
    /// Reads the args of a Vertex queue.
    pub fn of(args: &Value) -> Self {
        let block = |key| args.get(key).map(mapping).unwrap_or_default();
        Self {
            spec: block("spec"),
            run: block("run"),
        }
    }
}

fn mapping(args: &Value) -> Map<String, Value> {
    match without_builder(args) {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manifest_keeps_everything_but_the_builder() {
        let args = json!({"builder": {}, "metadata": {"namespace": "n"}, "wait_timeout": 5});
        let read = KubernetesArgs::of(&args);
        assert_eq!(
            (read.namespace.as_deref(), read.wait_timeout),
            (Some("n"), 5)
        );
        assert!(read.wait_for_ready && !read.manifest.contains_key("builder"));
        assert_eq!(read.manifest.len(), 2);
    }

    #[test]
    fn a_request_holds_nothing_about_sending_it() {
        let args = json!({"region": "eu-west-1", "EcrRepoName": "x", "RoleArn": "r", "profile": 3});
        let read = SagemakerArgs::of(&args);
        assert_eq!(read.request, *json!({"RoleArn": "r"}).as_object().unwrap());
        assert_eq!(
            (read.region.as_deref(), read.profile),
            (Some("eu-west-1"), None)
        );
    }

    #[test]
    fn args_that_are_no_mapping_are_empty() {
        assert_eq!(VertexArgs::of(&json!([1])), VertexArgs::default());
        let read = VertexArgs::of(&json!({"spec": {"a": 1}, "run": null}));
        assert_eq!((read.spec.len(), read.run.len()), (1, 0));
    }
}
