//! Every adapter against the suite, each case as a test of its own.

mod common;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use launch_queue::QueueAdmin;
use launch_queue::clock::ManualClock;
use launch_queue::conformance::Harness;
use launch_queue::memory::MemoryQueue;

/// A day in 2025.
const START_MS: u64 = 1_763_856_000_000;

struct Memory {
    queue: Arc<MemoryQueue>,
    clock: ManualClock,
}

#[async_trait]
impl Harness for Memory {
    async fn handle(&self) -> Arc<dyn QueueAdmin> {
        Arc::<MemoryQueue>::clone(&self.queue)
    }

    async fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

fn memory() -> Arc<dyn Harness> {
    let clock = ManualClock::at_ms(START_MS);
    let queue = Arc::new(MemoryQueue::new().with_clock(clock.clone()));
    Arc::new(Memory { queue, clock })
}

#[cfg(feature = "sqlite")]
mod on_a_file {
    use launch_queue::sqlite::{SqliteOptions, SqliteQueue};

    use super::*;

    pub(crate) struct Sqlite {
        home: tempfile::TempDir,
        clock: ManualClock,
    }

    #[async_trait]
    impl Harness for Sqlite {
        async fn handle(&self) -> Arc<dyn QueueAdmin> {
            let options = SqliteOptions::default().with_clock(self.clock.clone());
            let path = self.home.path().join("queue.db");
            let queue = SqliteQueue::open_with(path, options).await;
            Arc::new(queue.expect("open the queue"))
        }

        async fn advance(&self, by: Duration) {
            self.clock.advance(by);
        }
    }

    pub(crate) fn sqlite() -> Arc<dyn Harness> {
        let home = tempfile::tempdir().expect("make a directory");
        Arc::new(Sqlite {
            home,
            clock: ManualClock::at_ms(START_MS),
        })
    }
}

macro_rules! test_each {
    ([$module:ident, $fresh:path] $($case:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    launch_queue::conformance::$case($fresh()).await;
                }
            )*
        }
    };
}

launch_queue::for_each_queue_case!(test_each, [memory, super::memory]);

#[cfg(feature = "sqlite")]
launch_queue::for_each_queue_case!(test_each, [sqlite, super::on_a_file::sqlite]);

#[cfg(feature = "postgres")]
mod on_a_server {
    use super::*;

    struct Postgres {
        server: common::Server,
        schema: String,
        clock: ManualClock,
    }

    #[async_trait]
    impl Harness for Postgres {
        async fn handle(&self) -> Arc<dyn QueueAdmin> {
            let queue = self.server.open(&self.schema, Some(self.clock.clone()));
            Arc::new(queue.await.expect("connect"))
        }

        async fn advance(&self, by: Duration) {
            self.clock.advance(by);
        }
    }

    pub(crate) fn postgres() -> Option<Arc<dyn Harness>> {
        Some(Arc::new(Postgres {
            server: common::server()?,
            schema: common::fresh_schema(),
            clock: ManualClock::at_ms(START_MS),
        }))
    }
}

#[cfg(feature = "postgres")]
macro_rules! test_each_if_there {
    ([$module:ident, $fresh:path] $($case:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    if let Some(harness) = $fresh() {
                        launch_queue::conformance::$case(harness).await;
                    }
                }
            )*
        }
    };
}

#[cfg(feature = "postgres")]
launch_queue::for_each_queue_case!(test_each_if_there, [postgres, super::on_a_server::postgres]);
