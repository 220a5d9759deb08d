//! How urgent a job is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How urgent a job is. Critical jobs are leased first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Before everything else (0 in W&B's protocol).
    Critical,
    /// Before the ordinary (1).
    High,
    /// The ordinary (2).
    #[default]
    Medium,
    /// When nothing else waits (3).
    Low,
}

impl Priority {
    /// All of them, most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// W&B's number for it; lower is leased first.
    pub fn level(self) -> u8 {
        self as u8
    }

    /// The priority with this number.
    pub fn from_level(level: u8) -> Option<Self> {
        Self::ALL.get(usize::from(level)).copied()
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        ["critical", "high", "medium", "low"][usize::from(self.level())]
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Priority {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not one of critical, high, medium, low"))
    }
}
