//! Whole-system tests: the real program, real parts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod architecture;
mod cli;
mod containers;
mod contexts;
mod jobs;
mod kaniko;
mod policy;
mod recovery;
