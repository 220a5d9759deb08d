//! Where a registry's host is reached: API host, scheme, and who counts as near.

use std::net::IpAddr;

use launch_config::image::DOCKER_HUB;
use url::{Host, Url};

/// The host that serves the API of the registry `host`.
///
/// Docker Hub is the only registry whose image names carry another host than its API.
pub(crate) fn api_host(host: &str) -> &str {
    if is_docker_hub(host) {
        "registry-1.docker.io"
    } else {
        host
    }
}

/// Whether `host` is one of the names Docker Hub goes by.
pub(crate) fn is_docker_hub(host: &str) -> bool {
    matches!(
        host,
        DOCKER_HUB | "index.docker.io" | "registry-1.docker.io"
    )
}

/// The API's root, ending in a slash; `None` if `host` is no host.
pub(crate) fn base(scheme: &str, host: &str) -> Option<Url> {
    Url::parse(&format!("{scheme}://{}/", api_host(host))).ok()
}

/// Whether `url` names this very machine: `localhost`, 127.0.0.0/8 or `[::1]`.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

/// Whether credentials may travel to `url`: encrypted, or without leaving the machine,
/// or to a host that was declared `insecure` by name.
pub(crate) fn is_private(url: &Url, insecure: &[String]) -> bool {
    url.scheme() == "https" || is_loopback(url) || is_listed(url, insecure)
}

/// Whether the host of `url`, with or without its port, is in `hosts`.
pub(crate) fn is_listed(url: &Url, hosts: &[String]) -> bool {
    let Some(name) = url.host_str() else {
        return false;
    };
    let with_port = url.port().map(|port| format!("{name}:{port}"));
    hosts
        .iter()
        .any(|host| host == name || Some(host) == with_port.as_ref())
}

/// Where the next request of an upload goes, from the `Location` of the last answer.
///
/// It may be relative or on another host (distribution-spec, "Pushing blobs"). A registry
/// behind a TLS-terminating proxy may name itself with `http`; that is set right. Going
/// from an encrypted registry to another host in clear text is refused with `None`.
pub(crate) fn next_location(from: &Url, location: &str) -> Option<Url> {
    let mut next = from.join(location).ok()?;
    if !matches!(next.scheme(), "http" | "https") {
        return None;
    }
    if from.scheme() == "https" && next.scheme() == "http" {
        if next.host() != from.host() {
            return None;
        }
        next.set_scheme("https").ok()?;
        if next.port() == Some(80) {
            next.set_port(from.port()).ok()?;
        }
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn hub_is_reached_at_its_api_host() {
        assert_eq!(
            base("https", "docker.io").unwrap().as_str(),
            "https://registry-1.docker.io/"
        );
        assert_eq!(
            base("http", "[::1]:5000").unwrap().as_str(),
            "http://[::1]:5000/"
        );
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for near in [
            "http://localhost:5000/",
            "http://127.9.9.9/",
            "http://[::1]:1/",
        ] {
            assert!(is_loopback(&url(near)), "{near}");
        }
        for far in [
            "http://localhost.example.com/",
            "http://128.0.0.1/",
            "http://127.example.io/",
        ] {
            assert!(!is_loopback(&url(far)), "{far}");
        }
    }

    #[test]
    fn locations_may_be_relative_or_elsewhere_and_never_lose_their_encryption() {
        let from = url("https://r.io/v2/a/blobs/uploads/");
        let next = |location| next_location(&from, location).map(String::from);
        assert_eq!(
            next("/v2/a/u?x=1").as_deref(),
            Some("https://r.io/v2/a/u?x=1")
        );
        assert_eq!(
            next("https://s3.example/p").as_deref(),
            Some("https://s3.example/p")
        );
        assert_eq!(
            next("http://r.io/v2/a/u").as_deref(),
            Some("https://r.io/v2/a/u")
        );
        assert_eq!(next("http://elsewhere.io/u"), None);
        assert_eq!(next("file:///etc/passwd"), None);
    }

    #[test]
    fn credentials_travel_encrypted_or_near_or_where_it_was_allowed() {
        let listed = ["auth.lan".to_owned()];
        let private = |text| is_private(&url(text), &listed);
        assert!(private("https://auth.docker.io/token") && private("http://127.0.0.1:5050/token"));
        assert!(private("http://auth.lan:5050/token"));
        assert!(!private("http://auth.docker.io/token") && !private("http://192.0.2.1/"));
    }

    #[test]
    fn insecure_hosts_are_named_with_or_without_port() {
        let listed = |name: &str| is_listed(&url("http://r.lan:5000/"), &[name.to_owned()]);
        assert!(listed("r.lan") && listed("r.lan:5000"));
        assert!(!listed("r.lan:5001") && !listed("lan"));
    }
}
