//! Amazon Elastic Container Registry.
//!
//! Hosts are those of AWS's list of service endpoints ("Amazon ECR endpoints and
//! quotas"): `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, `ecr-fips` for FIPS, and
//! `amazonaws.com.cn` in China. An address without `.dkr` is read as one with it.

use std::fmt;
use std::str::FromStr;

use super::{RegistryUri, is_label};

const HOST: &str = ".amazonaws.com";
const HOST_CHINA: &str = ".amazonaws.com.cn";

/// A separate part of AWS, with accounts and endpoints of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Partition {
    /// The commercial regions.
    Aws,
    /// The regions in China.
    China,
    /// The `us-gov` regions.
    UsGov,
}

impl Partition {
    /// The partition as ARNs name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::UsGov => "aws-us-gov",
        }
    }

    /// The partition a region is in.
    pub fn of_region(region: &str) -> Self {
        if region.starts_with("cn-") {
            Self::China
        } else if region.starts_with("us-gov-") {
            Self::UsGov
        } else {
            Self::Aws
        }
    }

    fn host(self) -> &'static str {
        match self {
            Self::China => HOST_CHINA,
            Self::Aws | Self::UsGov => HOST,
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no partition of AWS known here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a known partition of AWS")]
pub struct UnknownPartition(pub String);

impl FromStr for Partition {
    type Err = UnknownPartition;

    fn from_str(text: &str) -> Result<Self, UnknownPartition> {
        [Self::Aws, Self::China, Self::UsGov]
            .into_iter()
            .find(|partition| partition.as_str() == text)
            .ok_or_else(|| UnknownPartition(text.to_owned()))
    }
}

/// A repository of Amazon Elastic Container Registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ecr {
    account: String,
    region: String,
    repository: String,
    partition: Partition,
    fips: bool,
}

impl Ecr {
    /// The repository of these parts, if together they are an address.
    pub fn of_parts(account: &str, region: &str, repository: &str) -> Option<Self> {
        let host = Partition::of_region(region).host();
        let text = format!("{account}.dkr.ecr.{region}{host}/{repository}");
        match RegistryUri::of(&text.parse().ok()?) {
            RegistryUri::Ecr(ecr) if ecr.to_string() == text => Some(ecr),
            _ => None,
        }
    }

    pub(super) fn read(host: &str, path: &str) -> Option<Self> {
        // The documentation of W&B leaves `.dkr` out; no other host is called so.
        let without_dkr = || {
            let (account, rest) = host.split_once('.')?;
            rest.starts_with("ecr.").then_some((account, rest))
        };
        let (account, rest) = host.split_once(".dkr.").or_else(without_dkr)?;
        let (fips, rest) = match rest.strip_prefix("ecr-fips.") {
            Some(rest) => (true, rest),
            None => (false, rest.strip_prefix("ecr.")?),
        };
        let (region, china) = match rest.strip_suffix(HOST_CHINA) {
            Some(region) => (region, true),
            None => (rest.strip_suffix(HOST)?, false),
        };
        let partition = match Partition::of_region(region) {
            _ if china => Partition::China,
            // The host counts: this one is not in China, whatever the region is called.
            Partition::China => Partition::Aws,
            other => other,
        };
        let is_host = is_label(account) && is_label(region);
        is_host.then(|| Self {
            account: account.to_owned(),
            region: region.to_owned(),
            repository: path.to_owned(),
            partition,
            fips,
        })
    }

    /// The account that owns the registry: twelve digits.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The region, such as `us-east-1`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The repository's name, which may have slashes.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The part of AWS the host is of.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// Whether the host is the one with FIPS 140 cryptography.
    pub fn is_fips(&self) -> bool {
        self.fips
    }
}

impl fmt::Display for Ecr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = if self.fips { "ecr-fips" } else { "ecr" };
        write!(
            f,
            "{}.dkr.{service}.{}{}/{}",
            self.account,
            self.region,
            self.partition.host(),
            self.repository
        )
    }
}
