//! How long runs may take to start.

use std::time::Duration;

use super::stand::Trouble;

/// How long something may keep a run from starting before that is its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Patience {
    /// That no node takes the pod: nodes may have to be made, or other work to end.
    pub schedule: Option<Duration>,
    /// That something is missing or refused: an image, a secret, a volume, a quota.
    pub fault: Option<Duration>,
}

impl Default for Patience {
    /// Half an hour for a node, five minutes for anything else.
    fn default() -> Self {
        Self {
            schedule: Some(Duration::from_mins(30)),
            fault: Some(Duration::from_mins(5)),
        }
    }
}

impl Patience {
    /// Waits this long for a node; `None` waits for ever.
    #[must_use]
    pub fn with_schedule(mut self, limit: Option<Duration>) -> Self {
        self.schedule = limit;
        self
    }

    /// Waits this long for what is missing; `None` waits for ever.
    #[must_use]
    pub fn with_fault(mut self, limit: Option<Duration>) -> Self {
        self.fault = limit;
        self
    }

    pub(super) fn of(&self, trouble: Trouble) -> Option<Duration> {
        match trouble {
            Trouble::Unschedulable => self.schedule,
            // It will never be another name.
            Trouble::ImageName => Some(Duration::ZERO),
            Trouble::Image
            | Trouble::Container
            | Trouble::CrashLoop
            | Trouble::Volume
            | Trouble::NoPod
            | Trouble::Sandbox => self.fault,
        }
    }
}
