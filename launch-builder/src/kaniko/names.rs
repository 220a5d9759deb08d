//! What a build's objects are called, and how they are found again.

use launch_config::image::{Digest, ImageRef};
use sha2::{Digest as _, Sha256};

use super::settings::KanikoSettings;

/// The longest name of a Job: it becomes the value of a label.
const LONGEST: usize = 63;

pub(super) const OWNER_LABEL: &str = "launch.owner";
pub(super) const IMAGE_LABEL: &str = "launch.image";

/// The name of the Secret with the logins of a Job.
pub fn docker_config_name(job: &str) -> String {
    format!("docker-config-{job}")
}

/// The name of a build's Job.
pub fn job_name(settings: &KanikoSettings, id: &str) -> String {
    label(&format!("{}-{id}", settings.job_name))
}

/// An image as the value of a label: references are too long, and have other characters.
pub(super) fn image_label(image: &ImageRef) -> String {
    digest(&image.to_string(), 32)
}

pub(super) fn owner_label(owner: &str) -> String {
    digest(owner, 16)
}

/// A text as a name of Kubernetes (RFC 1123 label); one that is none already, or too long,
/// is made one and keeps a digest of itself, so that two texts never share a name.
pub(super) fn label(text: &str) -> String {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let dash = |text: &str| text.starts_with('-') || text.ends_with('-');
    if text.chars().all(fine) && !dash(text) && (1..=LONGEST).contains(&text.len()) {
        return text.to_owned();
    }
    let plain = text.to_lowercase();
    let plain: String = plain
        .chars()
        .map(|c| if fine(c) { c } else { '-' })
        .collect();
    let plain = plain.trim_matches('-');
    let cut = &plain[..plain.len().min(LONGEST - 9)];
    format!("{cut}-{}", digest(text, 8))
        .trim_start_matches('-')
        .to_owned()
}

/// The first hex digits of a text's SHA-256.
fn digest(text: &str, digits: usize) -> String {
    let bytes = Sha256::digest(text).into();
    let mut hex = Digest::from_sha256(bytes).to_hex();
    hex.truncate(digits);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_and_stay_apart() {
        assert_eq!(label("run-1a"), "run-1a");
        let odd = ["Run_1", "run_1", "-run-1", "run-1-", "", &"x".repeat(64)];
        let names: Vec<String> = odd.iter().map(|text| label(text)).collect();
        for (index, name) in names.iter().enumerate() {
            assert_eq!(&label(name), name, "{name} is a name");
            assert!(!names[..index].contains(name), "{name} is there twice");
        }
        assert!(names[0].starts_with("run-1-"));
    }
}
