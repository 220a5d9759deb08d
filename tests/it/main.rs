//! Whole-system tests: the real program, real parts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod architecture;
mod builds;
mod cli;
mod clouds;
mod config;
mod containers;
mod contexts;
mod identity;
mod jobs;
mod kaniko;
mod kubernetes;
mod observing;
mod policy;
mod recovery;
mod schema;
mod secrets;
mod takeover;
mod wandb;
