//! One file for each command.

pub(crate) mod build;
pub(crate) mod config;
pub(crate) mod context;
pub(crate) mod doctor;
pub(crate) mod launch;
pub(crate) mod queue;
pub(crate) mod run;
pub(crate) mod spec;
pub(crate) mod status;
pub(crate) mod submit;
