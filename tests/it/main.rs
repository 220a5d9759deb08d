//! Whole-system tests: the real program, real parts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod architecture;
mod cli;
mod clouds;
mod containers;
mod contexts;
mod jobs;
mod policy;
mod recovery;
