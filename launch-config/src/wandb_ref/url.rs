//! Addresses of the W&B web application.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::{JobRef, ParseWandbError, RunPath};

/// First path segments that are pages, not entities.
const PAGES: [&str; 5] = [
    "create-team",
    "fully-connected",
    "registry",
    "settings",
    "subscriptions",
];
/// Second path segments that are pages of an entity, not projects.
const ENTITY_PAGES: [&str; 2] = ["likes", "projects"];
/// What stands where the alias of a job would, and is a page.
const JOB_PAGES: [&str; 1] = ["_view"];
/// The alias of a job whose address names none.
const LATEST: &str = "latest";

/// What kind of thing an address shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A run.
    Run,
    /// A job.
    Job,
}

/// An address as it is copied from a browser, without query and fragment; `/entity/project`
/// without a host is one too.
///
/// Its parts are what the path's segments say, empty ones included; [`WandbUrl::run`] and
/// [`WandbUrl::job`] are strict.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WandbUrl {
    scheme: &'static str,
    host: Option<String>,
    /// The path's segments after its first slash; none if there is no path.
    segments: Vec<String>,
}

impl WandbUrl {
    /// The host with its port, if one was written.
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    fn segment(&self, index: usize) -> Option<&str> {
        self.segments.get(index).map(String::as_str)
    }

    /// The path of a page that belongs to no entity.
    pub fn page(&self) -> Option<String> {
        let first = self.segment(0)?;
        PAGES.contains(&first).then(|| self.segments.join("/"))
    }

    /// The user or team.
    pub fn entity(&self) -> Option<&str> {
        self.segment(0).filter(|first| !PAGES.contains(first))
    }

    /// The project.
    pub fn project(&self) -> Option<&str> {
        self.entity()?;
        self.segment(1)
            .filter(|second| !ENTITY_PAGES.contains(second))
    }

    /// What it shows, if that is a run or a job.
    pub fn kind(&self) -> Option<Kind> {
        self.project()?;
        match (self.segment(2)?, self.segment(3)?, self.segment(4)) {
            ("runs", _, _) => Some(Kind::Run),
            ("artifacts", "job", Some(_)) => Some(Kind::Job),
            _ => None,
        }
    }

    /// The id of the run it shows.
    pub fn run_id(&self) -> Option<&str> {
        self.segment(3).filter(|_| self.kind() == Some(Kind::Run))
    }

    /// The name of the job it shows.
    pub fn job_name(&self) -> Option<&str> {
        self.segment(4).filter(|_| self.kind() == Some(Kind::Job))
    }

    /// The alias of the job it shows; `latest` if it names none.
    pub fn job_alias(&self) -> &str {
        let alias = self.segment(5).filter(|_| self.kind() == Some(Kind::Job));
        alias
            .filter(|alias| !JOB_PAGES.contains(alias))
            .unwrap_or(LATEST)
    }

    /// The run it shows.
    ///
    /// # Errors
    /// [`ParseWandbError::Run`] if it shows none, or a part of its name is empty.
    pub fn run(&self) -> Result<RunPath, ParseWandbError> {
        let part = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let parts = (
            part(self.entity()),
            part(self.project()),
            part(self.run_id()),
        );
        let (Some(entity), Some(project), Some(run)) = parts else {
            return Err(ParseWandbError::Run(self.to_string()));
        };
        Ok(RunPath {
            entity,
            project,
            run,
        })
    }

    /// The job it shows.
    ///
    /// # Errors
    /// [`ParseWandbError::Job`] if it shows none, or a part of its name is empty.
    pub fn job(&self) -> Result<JobRef, ParseWandbError> {
        let none = || ParseWandbError::Job(self.to_string());
        let name = self.job_name().ok_or_else(none)?;
        let (entity, project) = (self.entity(), self.project());
        let (entity, project) = (entity.ok_or_else(none)?, project.ok_or_else(none)?);
        format!("{entity}/{project}/{name}:{}", self.job_alias()).parse()
    }

    /// Whether a text looks like an address of W&B's cloud or of a server of one's own:
    /// a host that starts with `wandb`, a numeric address or this machine.
    ///
    /// Only for choosing words and names: anyone can have a host called `wandb.example`.
    pub fn is_wandb(text: &str) -> bool {
        host_of(text).is_some_and(|host| {
            let named = host.strip_prefix("api.").unwrap_or(host);
            let qa = host
                .strip_prefix("ap")
                .and_then(|rest| rest.split_once('.'));
            named.starts_with("wandb")
                || qa.is_some_and(|(one, rest)| is_word(one) && rest.starts_with("qa.wandb"))
                || is_dev(host)
                || host.starts_with("localhost")
                || starts_with_address(host)
        })
    }

    /// Whether a text looks like an address of a server on this machine.
    pub fn is_local(text: &str) -> bool {
        host_of(text).is_some_and(|host| host.starts_with("localhost"))
    }

    /// Whether a text looks like an address of W&B's development servers.
    pub fn is_development(text: &str) -> bool {
        host_of(text).is_some_and(is_dev)
    }
}

/// What follows the scheme.
fn host_of(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("https://");
    rest.or_else(|| text.strip_prefix("http://"))
}

fn is_word(text: &str) -> bool {
    let mut chars = text.chars();
    let first = chars
        .next()
        .is_some_and(|c| c.is_alphanumeric() || c == '_');
    first && chars.next().is_none()
}

fn is_dev(host: &str) -> bool {
    let rest = host
        .strip_prefix("ap")
        .and_then(|rest| rest.split_once('.'));
    rest.is_some_and(|(one, rest)| is_word(one) && rest.starts_with("wandb.test"))
}

/// Whether it starts with four numbers and dots, as an IPv4 address does.
fn starts_with_address(host: &str) -> bool {
    let mut rest = host;
    (0..4).all(|index| {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        rest = &rest[digits..];
        let dot = index == 3 || rest.starts_with('.');
        rest = rest.strip_prefix('.').unwrap_or(rest);
        digits > 0 && dot
    })
}

impl FromStr for WandbUrl {
    type Err = ParseWandbError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let scheme = ["https:", "http:", ""]
            .into_iter()
            .find(|scheme| match *scheme {
                "" => text.starts_with('/'),
                scheme => text
                    .strip_prefix(scheme)
                    .is_some_and(|rest| rest.starts_with("//")),
            });
        let scheme = scheme.ok_or_else(|| ParseWandbError::Url(text.to_owned()))?;
        // Browsers drop these wherever they stand.
        let rest = text[scheme.len()..].replace(['\t', '\n', '\r'], "");
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        if !is_host(host) {
            return Err(ParseWandbError::Host(text.to_owned()));
        }
        Ok(Self {
            scheme,
            host: Some(host.to_owned()).filter(|host| !host.is_empty()),
            segments: segments(path),
        })
    }
}

/// The path's segments; the last one without its parameters (`;…`).
fn segments(path: &str) -> Vec<String> {
    let Some(path) = path.strip_prefix('/') else {
        return Vec::new();
    };
    let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
    if let Some(last) = segments.last_mut() {
        let end = last.find(';').unwrap_or(last.len());
        last.truncate(end);
    }
    segments
}

/// Refuses brackets that hold no IPv6 address, and characters that turn into `/`, `?`, `#`,
/// `@` or `:` when a host is normalised.
fn is_host(host: &str) -> bool {
    let name = host.rsplit('@').next().unwrap_or(host);
    let look_alike = |c: char| "℀℁℅℆⁈⁇⁉︓︖﹕﹖﹟﹫．／：？＃＠".contains(c);
    if host.contains(look_alike) {
        return false;
    }
    match name.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.contains(['[', ']']),
    }
}

impl fmt::Display for WandbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme)?;
        // An empty host keeps a path that starts with an empty segment a path.
        let double = self.segments.len() > 1 && self.segments[0].is_empty();
        if self.host.is_some() || !self.scheme.is_empty() || double || self.segments.is_empty() {
            write!(f, "//{}", self.host.as_deref().unwrap_or_default())?;
        }
        self.segments
            .iter()
            .try_for_each(|segment| write!(f, "/{segment}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> WandbUrl {
        text.parse().unwrap()
    }

    #[test]
    fn pages_are_neither_entities_nor_projects() {
        assert_eq!(
            url("https://wandb.ai/registry/model").page().unwrap(),
            "registry/model"
        );
        let likes = url("https://wandb.ai/acme/likes/runs/x");
        assert_eq!((likes.project(), likes.kind()), (None, None));
        assert!(likes.run().is_err());
        let view = url("/a/p/artifacts/job/train/_view/versions");
        assert_eq!(view.job().unwrap().to_string(), "a/p/train:latest");
    }

    #[test]
    fn a_run_needs_all_its_parts() {
        assert_eq!(url("//h/a/p/runs/r;x=1?y#z").run().unwrap().run(), "r");
        for text in ["https://h/a/p/runs/", "https://h//p/runs/r", "/a//runs/r"] {
            assert!(url(text).run().is_err(), "{text}");
        }
    }

    #[test]
    fn hosts_that_deceive_are_refused() {
        for text in [
            "https://[bad/a/p",
            "https://]h/a",
            "https://[x]/a",
            "https://h℀/a",
        ] {
            assert!(text.parse::<WandbUrl>().is_err(), "{text}");
        }
        assert_eq!(url("https://[::1]:80/a").host(), Some("[::1]:80"));
    }

    #[test]
    fn look_alike_hosts_are_told_loosely() {
        for text in [
            "https://wandbx.io/a",
            "http://10.0.0.1:80/a",
            "https://ap1.qa.wandb",
        ] {
            assert!(WandbUrl::is_wandb(text), "{text}");
        }
        for text in [
            "https://1.2.3/",
            "HTTPS://wandb.ai",
            "https://x.wandb.ai",
            "https://api",
        ] {
            assert!(!WandbUrl::is_wandb(text), "{text}");
        }
        assert!(WandbUrl::is_development("http://ap1.wandb.test/"));
    }

    proptest! {
        #[test]
        fn parse_and_display_agree(
            text in "(https:/|http:/|/)?[a-z:@;?#\\[\\]/]{0,12}|/.{0,12}"
        ) {
            if let Ok(url) = text.parse::<WandbUrl>() {
                prop_assert_eq!(url.to_string().parse::<WandbUrl>(), Ok(url));
            }
            let _ = (WandbUrl::is_wandb(&text), WandbUrl::is_development(&text));
        }
    }
}
