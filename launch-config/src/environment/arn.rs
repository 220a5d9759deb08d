//! Amazon resource names, for the partition they are in.

use std::fmt;
use std::str::FromStr;

/// A text that is not an ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an ARN (`arn:partition:service:region:account:resource`)")]
pub struct ParseArnError(pub String);

/// An Amazon resource name: `arn:partition:service:region:account:resource`.
///
/// The resource may hold colons, as IAM's and ECS's do. Displays as it was written.
///
/// ```
/// use launch_config::environment::Arn;
///
/// let arn: Arn = "arn:aws-cn:iam::123456789012:user/u".parse()?;
/// assert_eq!((arn.partition(), arn.account()), ("aws-cn", "123456789012"));
/// # Ok::<(), launch_config::environment::ParseArnError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Arn {
    partition: String,
    service: String,
    region: String,
    account: String,
    resource: String,
}

impl Arn {
    /// The separate part of AWS it is in: `aws`, `aws-cn`, `aws-us-gov`, …
    pub fn partition(&self) -> &str {
        &self.partition
    }

    /// The service, such as `sts`.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The region; empty for services that have none.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The account; empty for resources that have none.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// What is named, as its service spells it.
    pub fn resource(&self) -> &str {
        &self.resource
    }
}

impl FromStr for Arn {
    type Err = ParseArnError;

    fn from_str(text: &str) -> Result<Self, ParseArnError> {
        let wrong = || ParseArnError(text.to_owned());
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, service, region, account, resource] = parts[..] else {
            return Err(wrong());
        };
        let word = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let named = !partition.is_empty() && !service.is_empty() && !resource.is_empty();
        let fits = [partition, service, region, account].into_iter().all(word);
        if !named || !fits || resource.contains(char::is_control) {
            return Err(wrong());
        }
        Ok(Self {
            partition: partition.to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.to_owned(),
        })
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            partition,
            service,
            region,
            account,
            resource,
        } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}
