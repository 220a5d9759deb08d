//! What a text probably is, where a person typed it: never a decision of safety.

use crate::wandb_ref::WandbUrl;

/// Whether a text reads like the address of a git repository.
///
/// Loose on purpose: only for choosing names and messages. What git may be given is
/// [`GitRemote`](super::GitRemote)'s to say.
///
/// ```
/// use launch_config::source::looks_like_git;
///
/// assert!(looks_like_git("https://github.com/acme/vision"));
/// assert!(!looks_like_git("/srv/git/vision.git"));
/// ```
pub fn looks_like_git(text: &str) -> bool {
    let mut chars = text.chars();
    if chars
        .next()
        .is_none_or(|first| ['/', '^', '|', '~', '.'].contains(&first))
    {
        return false;
    }
    let line = chars.as_str().split('\n').next().unwrap_or_default();
    ["git", "bitbucket", "dev.azure.com", ".visualstudio.com"]
        .iter()
        .any(|forge| line.contains(forge))
}

/// The project a run from this address belongs to when nobody names one: the last path
/// segment without its extension; empty if there is none or it is no git address.
///
/// `None` for W&B's own addresses, which name their project themselves.
pub fn default_project(text: &str) -> Option<&str> {
    if WandbUrl::is_wandb(text) {
        return None;
    }
    if !looks_like_git(text) {
        return Some("");
    }
    let name = text.rsplit('/').next().unwrap_or_default();
    let stem = name.rsplit_once('.').map(|(stem, _)| stem);
    // A name of which only dots stand before the last dot has no extension.
    Some(
        stem.filter(|stem| stem.contains(|c| c != '.'))
            .unwrap_or(name),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_named_after_the_repository() {
        assert_eq!(
            default_project("https://github.com/a/vision.git"),
            Some("vision")
        );
        assert_eq!(default_project("https://github.com/a/vision/"), Some(""));
        assert_eq!(default_project("https://github.com/a/.git"), Some(".git"));
        assert_eq!(default_project("github.com/a/vision"), Some(""));
        assert_eq!(default_project("https://wandb.ai/a/p"), None);
    }
}
