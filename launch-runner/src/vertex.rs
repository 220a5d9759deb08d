//! Runs as custom jobs of Vertex AI.

mod request;
mod schema;

pub use self::request::{Location, custom_job};
