//! Google Artifact Registry, by its own hosts and by the ones of Container Registry it
//! took over ("Repository and image names", "Transition from Container Registry").

use std::fmt;

use super::{RegistryUri, is_label};

const HOST: &str = "-docker.pkg.dev";

/// The hosts of Container Registry, and the location each stands for. The repository
/// behind such a host has the host's name.
const CONTAINER_REGISTRY: [(&str, &str); 4] = [
    ("gcr.io", "us"),
    ("us.gcr.io", "us"),
    ("eu.gcr.io", "europe"),
    ("asia.gcr.io", "asia"),
];

/// A repository of Google Artifact Registry, mostly with the name of an image in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArtifactRegistry {
    region: String,
    project: String,
    repository: String,
    image: Option<String>,
    /// Whether it was reached by a host of Container Registry.
    by_gcr: bool,
}

impl ArtifactRegistry {
    /// The image of these parts, if together they are an address.
    pub fn of_parts(region: &str, project: &str, repository: &str, image: &str) -> Option<Self> {
        let text = format!("{region}{HOST}/{project}/{repository}/{image}");
        match RegistryUri::of(&text.parse().ok()?) {
            RegistryUri::ArtifactRegistry(registry)
                if registry.to_string() == text && registry.repository == repository =>
            {
                Some(registry)
            }
            _ => None,
        }
    }

    pub(super) fn read(host: &str, path: &str) -> Option<Self> {
        // A project of a domain is written `example.com/project`.
        let domain = path
            .split_once('/')
            .filter(|(first, _)| first.contains('.'));
        let start = domain.map_or(0, |(first, _)| first.len() + 1);
        let (project, rest) = match path[start..].find('/') {
            Some(at) => (&path[..start + at], Some(&path[start + at + 1..])),
            None => (path, None),
        };
        let legacy = CONTAINER_REGISTRY.iter().find(|(name, _)| *name == host);
        let (region, repository, image) = if let Some((name, location)) = legacy {
            (*location, *name, rest)
        } else {
            let rest = rest?;
            let split = rest.split_once('/');
            let (repository, image) = split.map_or((rest, None), |(r, image)| (r, Some(image)));
            (region(host)?, repository, image)
        };
        Some(Self {
            region: region.to_owned(),
            project: project.to_owned(),
            repository: repository.to_owned(),
            image: image.map(str::to_owned),
            by_gcr: legacy.is_some(),
        })
    }

    /// The location, such as `us-central1` or `europe`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The project, `example.com/project` if it is one of a domain.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The repository within the project.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The image's name within the repository, which may have slashes.
    pub fn image(&self) -> Option<&str> {
        self.image.as_deref()
    }
}

/// The region of a host of Artifact Registry, in letters of any size.
fn region(host: &str) -> Option<&str> {
    let at = host.len().checked_sub(HOST.len())?;
    let (region, suffix) = (host.get(..at)?, host.get(at..)?);
    (suffix.eq_ignore_ascii_case(HOST) && is_label(region)).then_some(region)
}

impl fmt::Display for ArtifactRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by_gcr {
            write!(f, "{}/{}", self.repository, self.project)?;
        } else {
            let (region, project) = (&self.region, &self.project);
            write!(f, "{region}{HOST}/{project}/{}", self.repository)?;
        }
        let image = self.image.as_deref();
        image.map_or(Ok(()), |image| write!(f, "/{image}"))
    }
}
