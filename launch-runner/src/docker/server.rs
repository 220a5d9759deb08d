//! A W&B server on this machine, as a container sees it.

/// The variable with the server's address.
pub(super) const SERVER: &str = "WANDB_BASE_URL";

/// The system the engine's containers share a machine with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Host {
    /// Containers are processes of this machine.
    Linux,
    /// Containers are in a virtual machine, which calls us `host.docker.internal`.
    Mac,
    /// As on a Mac; addresses are left as they are.
    Windows,
}

impl Host {
    /// The system this program was built for.
    pub fn here() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::Mac
        } else {
            Self::Linux
        }
    }
}

/// Whether the server is on this machine: `localhost` by name. An address such as
/// `127.0.0.1` is taken at its word, as by the Python agent.
pub(super) fn is_local_server(address: &str) -> bool {
    ["http://localhost", "https://localhost"]
        .iter()
        .any(|start| address.starts_with(start))
}

/// The server's address inside a container, if it is another there.
pub(super) fn server_as_seen(address: &str, host: Host) -> Option<String> {
    if is_local_server(address) && host == Host::Mac {
        let port = address
            .rsplit_once(':')
            .map(|(_, port)| port.trim_end_matches('/'));
        let port = port.filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        return Some(format!("http://host.docker.internal{port}"));
    }
    is_developers(address).then(|| "http://host.docker.internal:9001".to_owned())
}

/// A development server of W&B's: `api.wandb.test`, `app.wandb.test`.
fn is_developers(address: &str) -> bool {
    let (_, rest) = address.split_once("://").unwrap_or(("", address));
    let mut rest = rest.chars();
    let head: String = rest.by_ref().take(2).collect();
    let word = rest.next().is_some_and(|c| c.is_alphanumeric() || c == '_');
    head == "ap" && word && rest.as_str().starts_with(".wandb.test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_a_container_can_use() {
        for (address, host, seen) in [
            (
                "http://localhost:8080",
                Host::Mac,
                Some("http://host.docker.internal:8080"),
            ),
            (
                "http://localhost",
                Host::Mac,
                Some("http://host.docker.internal"),
            ),
            ("http://localhost:8080", Host::Linux, None),
            ("http://localhost:8080", Host::Windows, None),
            (
                "https://api.wandb.test",
                Host::Linux,
                Some("http://host.docker.internal:9001"),
            ),
            (
                "https://apx.wandb.test:1",
                Host::Mac,
                Some("http://host.docker.internal:9001"),
            ),
            ("https://api.wandb.ai", Host::Mac, None),
            ("http://127.0.0.1:8080", Host::Mac, None),
        ] {
            assert_eq!(server_as_seen(address, host).as_deref(), seen, "{address}");
        }
        assert!(is_local_server("https://localhost:8443") && !is_local_server("http://127.0.0.1"));
    }
}
