//! The PostgreSQL server the tests run against, if there is one.
#![cfg(feature = "postgres")]
#![allow(clippy::print_stdout, reason = "a test says why it was skipped")]
#![allow(dead_code, reason = "each test program uses a part of it")]

use launch_queue::Error;
use launch_queue::clock::ManualClock;
use launch_queue::config::secret::Secret;
use launch_queue::postgres::{PostgresOptions, PostgresQueue};

/// A server that was started for the tests.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
}

/// The server of `LAUNCH_TEST_POSTGRES`; in CI there must be one.
pub(crate) fn server() -> Option<Server> {
    if let Ok(url) = std::env::var("LAUNCH_TEST_POSTGRES") {
        return Some(Server { url });
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "LAUNCH_TEST_POSTGRES is not set, and CI skips nothing"
    );
    println!("skipped: no PostgreSQL (LAUNCH_TEST_POSTGRES)");
    None
}

/// A schema that no other test has. The server goes with the run, and its schemas too.
pub(crate) fn fresh_schema() -> String {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).expect("random numbers");
    format!("t{:016x}", u64::from_le_bytes(bytes))
}

impl Server {
    /// A queue in a schema, with a connection pool of its own.
    pub(crate) async fn open(
        &self,
        schema: &str,
        clock: Option<ManualClock>,
    ) -> Result<PostgresQueue, Error> {
        let mut options = PostgresOptions::default().with_schema(schema);
        if let Some(clock) = clock {
            options = options.with_clock(clock);
        }
        self.open_with(options).await
    }

    pub(crate) async fn open_with(&self, options: PostgresOptions) -> Result<PostgresQueue, Error> {
        PostgresQueue::connect_with(&Secret::new(self.url.clone()), options).await
    }

    /// The number that a query answers, asked by somebody who passes by.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls)
            .await
            .expect("connect");
        let work = async { client.query_one(sql, &[]).await.expect("ask").get(0) };
        tokio::select! {
            number = work => number,
            ended = connection => panic!("the connection ended: {ended:?}"),
        }
    }

    /// Runs statements as somebody who passes by with `psql`.
    pub(crate) async fn run(&self, sql: &str) {
        let (client, connection) = tokio_postgres::connect(&self.url, tokio_postgres::NoTls)
            .await
            .expect("connect");
        let work = async { client.batch_execute(sql).await.expect("run the statements") };
        tokio::select! {
            () = work => {}
            ended = connection => panic!("the connection ended: {ended:?}"),
        }
    }
}
