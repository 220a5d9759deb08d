//! Whole-system tests: the real program, real parts.

mod architecture;
mod cli;
mod containers;
mod contexts;
mod jobs;
mod recovery;
