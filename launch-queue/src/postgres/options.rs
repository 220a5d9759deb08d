//! How a queue is to be opened.

use std::time::Duration;

use crate::clock::Clock;

/// How to open a [`PostgresQueue`](super::PostgresQueue).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PostgresOptions {
    /// Where it reads the time: the server's clock, unless a test gives a manual one.
    pub clock: Clock,
    /// The schema of the tables: `launch`. Lower-case letters, digits and underscores.
    pub schema: String,
    /// How many connections it opens at most, beside one that listens: 8.
    pub max_connections: usize,
    /// How long connecting may take, and waiting for a free connection: 15 s.
    pub connect_timeout: Duration,
    /// How long the server may work on one call: 30 s.
    pub statement_timeout: Duration,
    /// How long ended jobs are kept: 30 days.
    pub retention: Duration,
    /// How many of them are kept at most, at least one: without a limit. What ended in the
    /// same millisecond as the last of them is kept, too.
    pub most_ended: Option<u64>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            clock: Clock::System,
            schema: "launch".to_owned(),
            max_connections: 8,
            connect_timeout: Duration::from_secs(15),
            statement_timeout: Duration::from_secs(30),
            retention: Duration::from_hours(30 * 24),
            most_ended: None,
        }
    }
}

impl PostgresOptions {
    /// Reads the time elsewhere than from the server. For tests.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Into<Clock>) -> Self {
        self.clock = clock.into();
        self
    }

    /// Keeps the tables in another schema.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Sets how many connections it opens at most.
    #[must_use]
    pub fn with_max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets how long connecting may take.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long the server may work on one call.
    #[must_use]
    pub fn with_statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }

    /// Sets how long ended jobs are kept.
    #[must_use]
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Sets how many ended jobs are kept at most.
    #[must_use]
    pub fn with_most_ended(mut self, jobs: Option<u64>) -> Self {
        self.most_ended = jobs;
        self
    }

    /// Whether the schema's name can stand in a statement as it is.
    pub(super) fn has_plain_schema(&self) -> bool {
        let mut letters = self.schema.bytes();
        let begins_well = letters
            .next()
            .is_some_and(|letter| letter.is_ascii_lowercase() || letter == b'_');
        begins_well
            && self.schema.len() <= 40
            && letters.all(|letter| {
                letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_'
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_plain_name() {
        for (name, is_plain) in [
            ("launch", true),
            ("team_7", true),
            ("7up", false),
            ("a.b", false),
            ("a\"b", false),
            ("Launch", false),
            ("", false),
        ] {
            let options = PostgresOptions::default().with_schema(name);
            assert_eq!(options.has_plain_schema(), is_plain, "{name}");
        }
    }
}
