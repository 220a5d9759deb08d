//! Whether an object beside a run can be used.

use kube::Error as ApiError;
use kube::api::DynamicObject;

use super::cluster::Cluster;
use super::failure::{absent_is_none, answered};
use super::manifest::{Kind, Object};

/// A Deployment has its replicas, a Service an address behind it, a pod runs; anything
/// else is ready when it is there.
pub(super) async fn is_ready(cluster: &Cluster, object: &Object) -> Result<bool, ApiError> {
    let (name, namespace) = (object.name(), object.namespace.as_str());
    let of_service = object.kind.group.is_empty() && object.kind.kind == "Service";
    let kind = if of_service {
        Kind::new("", "v1", "Endpoints")
    } else {
        object.kind.clone()
    };
    let found = answered(cluster.api(&kind, namespace).get(name)).await;
    let Some(found) = absent_is_none(found)? else {
        return Ok(false);
    };
    Ok(
        match (object.kind.group.as_str(), object.kind.kind.as_str()) {
            ("", "Service") => has_address(&found),
            ("", "Pod") => runs(&found),
            ("apps", "Deployment" | "StatefulSet" | "ReplicaSet") => has_replicas(&found),
            _ => true,
        },
    )
}

fn has_address(endpoints: &DynamicObject) -> bool {
    let subsets = endpoints.data["subsets"].as_array().into_iter().flatten();
    let mut addresses = subsets.filter_map(|subset| subset["addresses"].as_array());
    addresses.any(|addresses| !addresses.is_empty())
}

fn runs(pod: &DynamicObject) -> bool {
    let status = &pod.data["status"];
    let containers = status["containerStatuses"].as_array();
    let ready = containers.is_some_and(|all| all.iter().all(|one| one["ready"] == true));
    status["phase"] == "Running" && ready
}

fn has_replicas(object: &DynamicObject) -> bool {
    let wanted = object.data["spec"]["replicas"].as_u64().unwrap_or(1);
    let ready = object.data["status"]["readyReplicas"].as_u64().unwrap_or(0);
    ready >= wanted
}
