//! Devices of the machine.

use bollard::models::{DeviceMapping, DeviceRequest};
use serde_json::Value;

use super::super::value;
use super::{ContainerOptions, add, many, one};

pub(super) const NAMES: &[&str] = &["device", "device-cgroup-rule", "gpus"];

pub(super) fn set(
    options: &mut ContainerOptions,
    name: &str,
    given: &Value,
) -> Result<bool, String> {
    let host = &mut options.host;
    match name {
        "gpus" => add(&mut host.device_requests, [value::gpus(&one(given)?)?]),
        "device" => {
            for text in many(given)? {
                match cdi(&text) {
                    Some(request) => add(&mut host.device_requests, [request]),
                    None => add(&mut host.devices, [device(&text)?]),
                }
            }
        }
        "device-cgroup-rule" => add(&mut host.device_cgroup_rules, many(given)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// `vendor.example/class=name` of the Container Device Interface.
fn cdi(text: &str) -> Option<DeviceRequest> {
    let (kind, name) = text.split_once('=')?;
    let is_kind = kind.contains('/') && !kind.starts_with('/') && !name.is_empty();
    is_kind.then(|| DeviceRequest {
        driver: Some("cdi".to_owned()),
        device_ids: Some(vec![text.to_owned()]),
        ..DeviceRequest::default()
    })
}

/// `/dev/host[:/dev/container][:rwm]`.
fn device(text: &str) -> Result<DeviceMapping, String> {
    let wrong = || format!("`{text}` is not written HOST[:CONTAINER][:PERMISSIONS]");
    let permissions = |text: &str| !text.is_empty() && text.chars().all(|c| "rwm".contains(c));
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, allowed) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, allowed] if permissions(allowed) => (host, host, allowed),
        [host, container] => (host, container, "rwm"),
        [host, container, allowed] if permissions(allowed) => (host, container, allowed),
        _ => return Err(wrong()),
    };
    if host.is_empty() || !container.starts_with('/') {
        return Err(wrong());
    }
    Ok(DeviceMapping {
        path_on_host: Some(host.to_owned()),
        path_in_container: Some(container.to_owned()),
        cgroup_permissions: Some(allowed.to_owned()),
    })
}
