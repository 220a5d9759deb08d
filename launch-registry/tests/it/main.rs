//! The registry client against registries: one in this process, and real ones.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod auth;
mod detours;
mod engine;
mod faults;
mod fifty;
mod memory;
mod mount;
mod real;
#[cfg(all(feature = "s3", feature = "gcs", feature = "blob"))]
mod store;
mod support;
