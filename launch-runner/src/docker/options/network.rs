//! What a container sees of the network, and the network of it.

use bollard::models::{EndpointIpamConfig, EndpointSettings};
use serde_json::Value;

use super::port::Publish;
use super::{ContainerOptions, add, filled, flag, many};

pub(super) const NAMES: &[&str] = &[
    "add-host",
    "dns",
    "dns-option",
    "dns-search",
    "domainname",
    "expose",
    "hostname",
    "ip",
    "ip6",
    "link",
    "mac-address",
    "network",
    "network-alias",
    "publish",
    "publish-all",
];

/// Where settings of an endpoint wait until its network is known.
const FIRST: &str = "";

pub(super) fn set(
    options: &mut ContainerOptions,
    name: &str,
    given: &Value,
) -> Result<bool, String> {
    let ContainerOptions { body, host, .. } = options;
    match name {
        "network" => {
            for text in many(given)? {
                join(options, &text)?;
            }
        }
        "network-alias" => add(&mut first(options).aliases, many(given)?),
        "ip" => address(first(options)).ipv4_address = filled(given)?,
        "ip6" => address(first(options)).ipv6_address = filled(given)?,
        "mac-address" => first(options).mac_address = filled(given)?,
        "link" => add(&mut host.links, many(given)?),
        "add-host" => {
            let hosts = many(given)?;
            let hosts = hosts.iter().map(|text| extra_host(text));
            add(&mut host.extra_hosts, hosts.collect::<Result<Vec<_>, _>>()?);
        }
        "dns" => add(&mut host.dns, many(given)?),
        "dns-option" => add(&mut host.dns_options, many(given)?),
        "dns-search" => add(&mut host.dns_search, many(given)?),
        "domainname" => body.domainname = filled(given)?,
        "hostname" => body.hostname = filled(given)?,
        "publish" => {
            for text in many(given)? {
                Publish::parse(&text)?.add_to(options);
            }
        }
        "publish-all" => host.publish_all_ports = Some(flag(given)?),
        "expose" => {
            for text in many(given)? {
                let ports = super::port::exposed(&text)?;
                add(&mut options.body.exposed_ports, ports);
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn first(options: &mut ContainerOptions) -> &mut EndpointSettings {
    options.endpoints.entry(FIRST.to_owned()).or_default()
}

fn address(endpoint: &mut EndpointSettings) -> &mut EndpointIpamConfig {
    endpoint.ipam_config.get_or_insert_default()
}

/// A network by name, or as `name=…,alias=…,ip=…,ip6=…,mac-address=…`. The first is the
/// container's mode; others are joined as well.
fn join(options: &mut ContainerOptions, text: &str) -> Result<(), String> {
    let text = text.trim();
    if !text.contains('=') {
        return join_named(options, text, None);
    }
    let (mut name, mut endpoint) = (None, EndpointSettings::default());
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.to_owned();
        match key.trim() {
            "name" => name = Some(value),
            "alias" => add(&mut endpoint.aliases, [value]),
            "ip" => address(&mut endpoint).ipv4_address = Some(value),
            "ip6" => address(&mut endpoint).ipv6_address = Some(value),
            "mac-address" => endpoint.mac_address = Some(value),
            other => return Err(format!("`{other}` is not a key of `network`")),
        }
    }
    let name = name.ok_or_else(|| format!("`{text}` has no `name`"))?;
    join_named(options, &name, Some(endpoint))
}

fn join_named(
    options: &mut ContainerOptions,
    name: &str,
    endpoint: Option<EndpointSettings>,
) -> Result<(), String> {
    if name.is_empty() {
        return Err("a network has a name".to_owned());
    }
    let is_first = options.host.network_mode.is_none();
    if is_first {
        options.host.network_mode = Some(name.to_owned());
    }
    if endpoint.is_some() || !is_first {
        let endpoint = endpoint.unwrap_or_default();
        options.endpoints.insert(name.to_owned(), endpoint);
    }
    Ok(())
}

/// Gives what was said about the first network to it: options come in any order. Where
/// networks are said more about, the engine wants the first one among them.
pub(super) fn finish(options: &mut ContainerOptions) {
    let mode = options.host.network_mode.clone();
    let mode = mode.unwrap_or_else(|| "default".to_owned());
    if options.host.links.is_some() && is_own_network(&mode) {
        first(options).links = options.host.links.take();
    }
    if let Some(said) = options.endpoints.remove(FIRST) {
        let endpoint = options.endpoints.entry(mode).or_default();
        let EndpointSettings {
            ipam_config,
            mac_address,
            aliases,
            links,
            ..
        } = said;
        endpoint.links = links;
        endpoint.ipam_config = ipam_config.or(endpoint.ipam_config.take());
        endpoint.mac_address = mac_address.or(endpoint.mac_address.take());
        add(&mut endpoint.aliases, aliases.into_iter().flatten());
    } else if !options.endpoints.is_empty() {
        options.endpoints.entry(mode).or_default();
    }
}

/// Links are between containers of the default bridge, or belong to a network that somebody
/// made.
fn is_own_network(mode: &str) -> bool {
    !["default", "bridge", "host", "none"].contains(&mode) && !mode.starts_with("container:")
}

/// `name:address` or `name=address`, which the engine takes as the former.
fn extra_host(text: &str) -> Result<String, String> {
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    match parts {
        Some((name, address)) if !name.is_empty() && !address.is_empty() => {
            let address = address.trim_start_matches('[').trim_end_matches(']');
            Ok(format!("{name}:{address}"))
        }
        _ => Err(format!("`{text}` is not written HOST:ADDRESS")),
    }
}

/// Where the server of the run's variables is, as the container has to see it.
pub(in super::super) fn reach_local_server(options: &mut ContainerOptions, has_gateway: bool) {
    options.host.network_mode = Some("host".to_owned());
    options.endpoints.clear();
    if has_gateway {
        let gateway = "host.docker.internal:host-gateway".to_owned();
        add(&mut options.host.extra_hosts, [gateway]);
    }
}
