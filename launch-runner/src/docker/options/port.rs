//! Ports, as `docker run` writes them: `[[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]`, each a
//! number or a range.

use bollard::models::PortBinding;

use super::{ContainerOptions, add};

/// A number or a range of them.
type Range = std::ops::RangeInclusive<u16>;

/// Ports of a container, and where the machine has them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Publish {
    address: String,
    /// `None`: any free one.
    host: Option<Range>,
    container: Range,
    protocol: String,
}

impl Publish {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not written [[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]");
        let (ports, protocol) = protocol(text)?;
        let (rest, container) = ports.rsplit_once(':').unwrap_or(("", ports));
        let (address, host) = rest.rsplit_once(':').unwrap_or(("", rest));
        let container = range(container).ok_or_else(wrong)?;
        let host = if host.is_empty() {
            None
        } else {
            Some(range(host).ok_or_else(wrong)?)
        };
        // One container port may have any of several host ports, which the engine chooses.
        let fits = host
            .as_ref()
            .is_none_or(|host| container.len() == 1 || host.len() == container.len());
        let address = address.trim_start_matches('[').trim_end_matches(']');
        if !fits || (!address.is_empty() && address.parse::<std::net::IpAddr>().is_err()) {
            return Err(wrong());
        }
        Ok(Self {
            address: address.to_owned(),
            host,
            container,
            protocol,
        })
    }

    fn host_port(&self, index: usize) -> String {
        match &self.host {
            None => String::new(),
            Some(host) if self.container.len() == 1 && host.len() > 1 => {
                format!("{}-{}", host.start(), host.end())
            }
            Some(host) => host
                .clone()
                .nth(index)
                .map_or_else(String::new, |p| p.to_string()),
        }
    }

    pub(super) fn add_to(self, options: &mut ContainerOptions) {
        for (index, port) in self.container.clone().enumerate() {
            let port = format!("{port}/{}", self.protocol);
            let binding = PortBinding {
                host_ip: Some(self.address.clone()),
                host_port: Some(self.host_port(index)),
            };
            let bindings = options.host.port_bindings.get_or_insert_default();
            add(bindings.entry(port.clone()).or_default(), [binding]);
            add(&mut options.body.exposed_ports, [port]);
        }
    }
}

/// `PORT[-PORT][/PROTOCOL]`.
pub(super) fn exposed(text: &str) -> Result<Vec<String>, String> {
    let (ports, protocol) = protocol(text)?;
    let ports = range(ports).ok_or_else(|| format!("`{text}` is no port"))?;
    Ok(ports.map(|port| format!("{port}/{protocol}")).collect())
}

fn protocol(text: &str) -> Result<(&str, String), String> {
    let (ports, protocol) = text.trim().rsplit_once('/').unwrap_or((text.trim(), "tcp"));
    let protocol = protocol.to_lowercase();
    if matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Ok((ports, protocol));
    }
    Err(format!("`{protocol}` is not tcp, udp or sctp"))
}

fn range(text: &str) -> Option<Range> {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let range = start.parse().ok()?..=end.parse().ok()?;
    (!range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(text: &str) -> Vec<(String, String, String)> {
        let mut options = ContainerOptions::default();
        Publish::parse(text).unwrap().add_to(&mut options);
        let bindings = options.host.port_bindings.unwrap_or_default();
        let mut all: Vec<_> = bindings
            .into_iter()
            .flat_map(|(port, list)| {
                list.into_iter().flatten().map(move |binding| {
                    let (ip, host) = (binding.host_ip, binding.host_port);
                    (
                        port.clone(),
                        ip.unwrap_or_default(),
                        host.unwrap_or_default(),
                    )
                })
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn ports_are_written_as_for_docker_run() {
        let entry = |port: &str, ip: &str, host: &str| (port.into(), ip.into(), host.into());
        assert_eq!(published("80"), [entry("80/tcp", "", "")]);
        assert_eq!(published("8080:80/udp"), [entry("80/udp", "", "8080")]);
        assert_eq!(
            published("127.0.0.1::80"),
            [entry("80/tcp", "127.0.0.1", "")]
        );
        assert_eq!(published("[::1]:8:80"), [entry("80/tcp", "::1", "8")]);
        assert_eq!(
            published("9000-9001:80"),
            [entry("80/tcp", "", "9000-9001")]
        );
        let two = [entry("7/tcp", "", "1"), entry("8/tcp", "", "2")];
        assert_eq!(published("1-2:7-8"), two);
        for bad in ["", "x", "80/icmp", "1-2:7-9", "8-7", "70000", "a:1:2"] {
            assert!(Publish::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(exposed("8-9/udp").unwrap(), ["8/udp", "9/udp"]);
    }
}
