//! Forgetting old jobs.

use std::time::Duration;

use rusqlite::{Transaction, params};

use super::failure::Failure;
use super::record::signed;
use crate::clock::deadline_ms;

/// The oldest first, by the index of what has ended.
const OLD: &str = "SELECT seq FROM jobs WHERE state = 'ended' AND ended_at <= ?1
    ORDER BY ended_at LIMIT ?2";

const FORGET: [&str; 3] = [
    "DELETE FROM reports WHERE job = ?1",
    "DELETE FROM specs WHERE job = ?1",
    "DELETE FROM jobs WHERE seq = ?1",
];

/// Forgets up to `limit` jobs that ended at least `age` ago; answers how many. The file does
/// not shrink: what they took is used again.
pub(super) fn prune(
    tx: &Transaction<'_>,
    age: Duration,
    limit: usize,
    now_ms: u64,
) -> Result<u64, Failure> {
    let before = now_ms.saturating_sub(deadline_ms(0, age));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let old: Vec<i64> = tx
        .prepare_cached(OLD)?
        .query_map(params![signed(before), limit], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for seq in &old {
        for sql in FORGET {
            tx.prepare_cached(sql)?.execute([seq])?;
        }
    }
    Ok(old.len() as u64)
}
