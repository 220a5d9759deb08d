//! The runner for clusters, as the agent's surroundings set it up.

use std::time::Duration;

use launch_runner::kubernetes::{KubernetesRunner, Patience, Site};

use crate::failure::Failure;
use crate::settings::{Settings, variable};

/// How long a run may take to start, in seconds, from the environment; 0 or less waits for
/// ever.
const START_TIMEOUT: &str = "WANDB_LAUNCH_START_TIMEOUT";
/// The Helm release of the agent, from its chart.
const RELEASE: &str = "WANDB_RELEASE_NAME";

/// A runner for the cluster of the agent's kubeconfig or service account. Which, and
/// whether it answers, is found out when a job goes there.
pub(crate) fn runner(settings: &Settings) -> Result<KubernetesRunner, Failure> {
    // The state directory owns what runs for it: another one leaves it alone.
    let owner = settings.state.path().display().to_string();
    let mut site = Site::new("default", owner);
    if let Some(release) = variable(RELEASE).filter(|release| !release.is_empty()) {
        site = site.with_release(release);
    }
    Ok(KubernetesRunner::at(site).with_patience(patience(variable)?))
}

fn patience(env: impl Fn(&str) -> Option<String>) -> Result<Patience, Failure> {
    let patience = Patience::default();
    let Some(text) = env(START_TIMEOUT).filter(|text| !text.trim().is_empty()) else {
        return Ok(patience);
    };
    let seconds: Option<f64> = text
        .trim()
        .parse()
        .ok()
        .filter(|seconds: &f64| seconds.is_finite());
    let seconds = seconds.ok_or_else(|| {
        Failure::usage(format!("{START_TIMEOUT}: expected seconds, found `{text}`"))
    })?;
    let limit = Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|limit| !limit.is_zero());
    // What is missing is not waited for longer than a node is.
    let fault = match (patience.fault, limit) {
        (Some(fault), Some(limit)) => Some(fault.min(limit)),
        (_, None) => None,
        (None, limit) => limit,
    };
    Ok(patience.with_schedule(limit).with_fault(fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<(Option<u64>, Option<u64>), Failure> {
        let patience = patience(|_| Some(text.to_owned()))?;
        let seconds = |limit: Option<Duration>| limit.map(|limit| limit.as_secs());
        Ok((seconds(patience.schedule), seconds(patience.fault)))
    }

    #[test]
    fn the_start_timeout_is_heard() {
        assert_eq!(of("").unwrap(), (Some(1800), Some(300)));
        assert_eq!(of("7200").unwrap(), (Some(7200), Some(300)));
        assert_eq!(of("20.5").unwrap(), (Some(20), Some(20)));
        assert_eq!(of("0").unwrap(), (None, None));
        assert_eq!(of("-1").unwrap(), (None, None));
        assert!(of("soon").is_err());
    }
}
