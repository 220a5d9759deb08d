//! A connection that knows its schema and its time.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::failure::Failure;
use crate::clock::{Clock, deadline_ms};

/// The parameters of a statement.
pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The farthest a moment may lie ahead: 285 thousand years, so that sums do not overflow.
const MAX_AHEAD_MS: i64 = 1 << 53;

/// A connection of the pool, for one call.
pub(super) struct Session {
    client: Object,
    schema: String,
    now_ms: Option<i64>,
}

impl Session {
    pub(super) fn new(client: Object, schema: &str, clock: &Clock) -> Self {
        let now_ms = match clock {
            Clock::System => None,
            Clock::Manual(clock) => i64::try_from(clock.now_ms()).ok(),
        };
        Self {
            client,
            schema: schema.to_owned(),
            now_ms,
        }
    }

    /// The time, if it is not to be the server's.
    pub(super) fn now_ms(&self) -> Option<i64> {
        self.now_ms
    }

    /// The name of the channel on which arrivals are told.
    pub(super) fn channel(&self) -> String {
        channel(&self.schema)
    }

    pub(super) async fn rows(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, Failure> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.query(&statement, params).await?)
    }

    pub(super) async fn row(&self, sql: &str, params: Params<'_>) -> Result<Option<Row>, Failure> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.query_opt(&statement, params).await?)
    }

    pub(super) async fn execute(&self, sql: &str, params: Params<'_>) -> Result<u64, Failure> {
        let statement = self.prepare(sql).await?;
        Ok(self.client.execute(&statement, params).await?)
    }

    /// Statements are written for the schema `launch`, and prepared once per connection.
    async fn prepare(&self, sql: &str) -> Result<Statement, Failure> {
        let sql = in_schema(sql, &self.schema);
        Ok(self.client.prepare_cached(&sql).await?)
    }
}

/// A statement that was written for the schema `launch`, for `schema`.
pub(super) fn in_schema(sql: &str, schema: &str) -> String {
    sql.replace("launch.", &format!("{schema}."))
}

/// The name of the channel of a schema.
pub(super) fn channel(schema: &str) -> String {
    format!("{schema}_arrivals")
}

/// A duration as the server adds it to its time: whole milliseconds, rounded up.
pub(super) fn ahead(wait: Duration) -> i64 {
    i64::try_from(deadline_ms(0, wait)).map_or(MAX_AHEAD_MS, |ms| ms.min(MAX_AHEAD_MS))
}
