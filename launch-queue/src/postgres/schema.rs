//! Tables and functions, and how a database gets them.

use deadpool_postgres::{Object, Pool, Transaction};
use tokio_postgres::error::SqlState;

use super::failure::Failure;
use super::statement::in_schema;

/// The steps from an empty schema to today's. A step that was released is never edited; a
/// change is a new step.
const MIGRATIONS: [&str; VERSION as usize] =
    [include_str!("schema/v1.sql"), include_str!("schema/v2.sql")];

/// The schema version this code writes.
pub(super) const VERSION: u32 = 2;

const FIND: &str = "SELECT version FROM launch.version";

/// One agent at a time brings a database up to date; the others wait for it.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('launch schema ' || $1))";

const MAKE_VERSION: &str = "CREATE TABLE IF NOT EXISTS launch.version (
        version integer NOT NULL,
        only_row boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (only_row)
    )";

const SET_VERSION: &str = "INSERT INTO launch.version (version) VALUES ($1)
    ON CONFLICT (only_row) DO UPDATE SET version = excluded.version";

/// Brings the schema up to date, or refuses one of a newer version.
pub(super) async fn prepare(pool: &Pool, schema: &str) -> Result<(), Failure> {
    let mut client = pool.get().await?;
    if version(&client, schema).await? < VERSION {
        let transaction = client.transaction().await?;
        migrate(&transaction, schema).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// The version found; 0 if there is nothing yet.
async fn version(client: &Object, schema: &str) -> Result<u32, Failure> {
    let found = client.query_opt(&in_schema(FIND, schema), &[]).await;
    match found.map_err(Failure::from) {
        Ok(Some(row)) => known(row.try_get(0)?),
        Ok(None) => Ok(0),
        Err(failure) if is_absent(&failure) => Ok(0),
        Err(failure) => Err(failure),
    }
}

fn is_absent(failure: &Failure) -> bool {
    failure.is_state(&SqlState::UNDEFINED_TABLE) || failure.is_state(&SqlState::INVALID_SCHEMA_NAME)
}

fn known(version: i32) -> Result<u32, Failure> {
    match u32::try_from(version).unwrap_or(u32::MAX) {
        newer if newer > VERSION => Err(Failure::Newer(newer)),
        version => Ok(version),
    }
}

async fn migrate(transaction: &Transaction<'_>, schema: &str) -> Result<(), Failure> {
    transaction.query(LOCK, &[&schema]).await?;
    // A database owner may have made the schema for a role that may not.
    let exists = "SELECT to_regnamespace($1) IS NOT NULL";
    if !transaction
        .query_one(exists, &[&schema])
        .await?
        .try_get::<_, bool>(0)?
    {
        transaction
            .batch_execute(&format!("CREATE SCHEMA {schema}"))
            .await?;
    }
    transaction
        .batch_execute(&in_schema(MAKE_VERSION, schema))
        .await?;
    // Again, now that nobody else migrates: another agent may have been faster.
    let row = transaction.query_opt(&in_schema(FIND, schema), &[]).await?;
    let found = match row {
        Some(row) => known(row.try_get(0)?)?,
        None => 0,
    };
    for step in &MIGRATIONS[found as usize..] {
        transaction.batch_execute(&in_schema(step, schema)).await?;
    }
    let version = i32::try_from(VERSION).unwrap_or(i32::MAX);
    transaction
        .execute(&in_schema(SET_VERSION, schema), &[&version])
        .await?;
    tracing::debug!(schema, from = found, to = VERSION, "migrated the queue");
    Ok(())
}
