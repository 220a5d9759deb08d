//! The Launch agent: composes the queue, builder, registry and runner crates into one
//! program that takes a job from a queue to a finished run.
//!
//! The program is all there is to embed here; tools that want a layer depend on that
//! layer's crate. What is stable: flags, `--output json`, [`exit`] codes. Text for people
//! is not.

mod admin;
mod app;
mod backend;
mod choose;
mod cli;
mod clock;
#[cfg(any(feature = "aws", feature = "gcp"))]
mod clouds;
mod commands;
mod console;
mod contexts;
mod credential;
pub mod exit;
mod failpoint;
mod failure;
mod flights;
mod global;
mod job_log;
mod journal;
#[cfg(feature = "kubernetes")]
mod kaniko;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod masking;
mod notify;
mod pause;
mod pipeline;
mod printer;
mod report;
mod retry;
mod server;
mod service;
mod settings;
mod shutdown;
mod slots;
mod socket;
mod state;
mod stopping;
mod sweep;
mod takeover;
mod telemetry;
mod vitals;
#[cfg(feature = "wandb")]
mod wandb;
mod wishes;
mod worker;

pub use cli::main;
