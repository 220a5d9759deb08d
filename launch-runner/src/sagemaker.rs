//! Runs as training jobs of Amazon SageMaker.

mod request;
mod spelling;

pub use self::request::{Defaults, Identity, training_job};

/// The ARN in the answer to `CreateTrainingJob`.
///
/// # Errors
/// A sentence if there is none.
pub fn created(answer: &serde_json::Value) -> Result<String, String> {
    let arn = answer["TrainingJobArn"].as_str();
    arn.map(str::to_owned)
        .ok_or_else(|| "SageMaker's answer names no training job".to_owned())
}
