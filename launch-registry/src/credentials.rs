//! The clouds' credentials, found where the clouds' own tools find them.
//!
//! Each cloud has a chain of places to look: `aws::AwsCredentials` (feature `aws`),
//! `gcp::GcpCredentials` (`gcp`), `azure::AzureCredentials` (`azure`). They have the same
//! contract:
//!
//! - Nothing is read or asked before the first question; clones share what was found.
//! - What was found is kept until shortly before its end and then got anew, once for all who
//!   wait. If that fails while the old is good, the old is used: a push that takes hours goes
//!   on through a short outage of the token service.
//! - A place that has nothing is passed over. One that has something broken ends the search:
//!   to go on with another identity would fail later, for no visible reason.
//! - The error is one, [`NoCredentials`], and lists every place that was looked at and why it
//!   gave nothing.

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
mod cache;
#[cfg(any(feature = "gcp", feature = "azure"))]
pub(crate) mod http;
#[cfg(any(feature = "gcp", feature = "azure"))]
pub(crate) mod jwt;
#[cfg(any(feature = "gcp", feature = "azure"))]
mod surroundings;

use std::fmt;

use launch_config::image::ImageRef;
use launch_config::registry::RegistryUri;

#[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
pub(crate) use self::cache::{Cached, Fresh};
#[cfg(any(feature = "gcp", feature = "azure"))]
pub use self::surroundings::Surroundings;

/// A cloud that has credentials of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Google Cloud.
    Gcp,
    /// Microsoft Azure.
    Azure,
}

impl Cloud {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Aws, Self::Gcp, Self::Azure];

    /// The feature that brings its credentials: `aws`, `gcp`, `azure`.
    pub fn feature(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Gcp => "gcp",
            Self::Azure => "azure",
        }
    }

    /// The cloud whose registry has `image`, if it is one's.
    pub fn of_image(image: &ImageRef) -> Option<Self> {
        match RegistryUri::of(image) {
            RegistryUri::Ecr(_) => Some(Self::Aws),
            RegistryUri::ArtifactRegistry(_) => Some(Self::Gcp),
            RegistryUri::Acr(_) => Some(Self::Azure),
            _ => None,
        }
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "AWS",
            Self::Gcp => "Google Cloud",
            Self::Azure => "Azure",
        })
    }
}

/// A place where credentials were looked for in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The place: `environment`, `metadata server`.
    pub place: &'static str,
    /// Why it gave nothing.
    pub why: String,
}

impl Step {
    #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
    pub(crate) fn new(place: &'static str, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { place, why }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// There are no credentials for a cloud.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no credentials for {cloud} ({})", list(.steps))]
pub struct NoCredentials {
    cloud: Cloud,
    steps: Vec<Step>,
}

impl NoCredentials {
    #[cfg(any(feature = "aws", feature = "gcp", feature = "azure"))]
    pub(crate) fn new(cloud: Cloud, steps: Vec<Step>) -> Self {
        Self { cloud, steps }
    }

    /// The cloud.
    pub fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// What was tried, in this order. After the last nothing was tried: either there is
    /// nothing after it, or it has something that is broken.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What to try next.
    pub fn hint(&self) -> &'static str {
        match self.cloud {
            Cloud::Aws => "`aws sts get-caller-identity` looks in the same places",
            Cloud::Gcp => {
                "`gcloud auth application-default login` writes a file that is looked for"
            }
            Cloud::Azure => {
                "`az login` is enough on a desk; elsewhere set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
            }
        }
    }
}

fn list(steps: &[Step]) -> String {
    let steps: Vec<String> = steps.iter().map(Step::to_string).collect();
    steps.join("; ")
}

/// Whose credentials they are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Identity {
    /// The cloud.
    pub cloud: Cloud,
    /// Who we are to it: an ARN, an e-mail address, an application's id.
    pub name: String,
    /// Where the credentials were found: `environment`, `metadata server`.
    pub place: &'static str,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`, from {}", self.cloud, self.name, self.place)
    }
}

/// An error and its causes on one line.
#[cfg(feature = "aws")]
pub(crate) fn one_line(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for error in std::iter::successors(Some(error), |error| error.source()) {
        let text = error.to_string();
        // Libraries like to say the same twice.
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

#[cfg(all(test, any(feature = "aws", feature = "gcp", feature = "azure")))]
mod tests {
    use super::*;

    #[test]
    fn the_error_lists_what_was_tried() {
        let steps = vec![
            Step::new("environment", "AWS_ACCESS_KEY_ID is not set"),
            Step::new("profile", "no file"),
        ];
        let error = NoCredentials::new(Cloud::Aws, steps);
        assert_eq!(
            error.to_string(),
            "no credentials for AWS (environment: AWS_ACCESS_KEY_ID is not set; profile: no file)"
        );
    }
}
