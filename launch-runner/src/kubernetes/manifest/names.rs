//! Names the cluster accepts.

/// The longest value of a label, and the longest name of most things.
const LONGEST: usize = 63;

/// `text` as W&B's agents make it fit for labels: small letters, digits and single dashes,
/// at most 63. `None` if nothing of it is left.
pub(super) fn label_safe(text: &str) -> Option<String> {
    let mut safe = String::new();
    for c in text.to_lowercase().replace('_', "-").chars() {
        let fine = c.is_ascii_lowercase() || c.is_ascii_digit();
        if fine || (c == '-' && !safe.ends_with('-')) {
            safe.push(c);
        }
    }
    safe.truncate(LONGEST);
    let safe = safe.trim_matches('-');
    (!safe.is_empty()).then(|| safe.to_owned())
}

/// Whether a text can be the value of a label as it is.
pub(super) fn is_label_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= LONGEST
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(inner)
}

/// Whether a text can be the name of an object as it is.
pub(super) fn is_object_name(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    text.len() <= 253
        && edge(text.chars().next())
        && edge(text.chars().next_back())
        && text.chars().all(inner)
}

/// `prefix` cut so that it and `name` together fit a label, joined by a dash. Jobs put
/// their name in a label of their pods.
pub(super) fn prefixed(prefix: &str, name: &str) -> String {
    let room = LONGEST.saturating_sub(name.len() + 1);
    let safe = label_safe(prefix).unwrap_or_default();
    let prefix = safe[..safe.len().min(room)].trim_end_matches('-');
    if prefix.is_empty() {
        return name.to_owned();
    }
    format!("{prefix}-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_safe_as_in_other_agents() {
        let known = [
            ("aux-Ent_1-P.2-abc", Some("aux-ent-1-p2-abc".to_owned())),
            ("_container_1_", Some("container-1".to_owned())),
            (&"a".repeat(65), Some("a".repeat(63))),
            ("--_-", None),
        ];
        for (text, safe) in known {
            assert_eq!(label_safe(text), safe, "{text}");
        }
    }

    #[test]
    fn a_prefix_gives_way() {
        assert_eq!(
            prefixed("launch-acme-vision-", "k3x9-0"),
            "launch-acme-vision-k3x9-0"
        );
        let long = prefixed(&"p".repeat(200), "x0123-1");
        assert_eq!(
            (long.len(), long.ends_with("-x0123-1")),
            (63, true),
            "{long}"
        );
        assert_eq!(prefixed("___", "k3x9-0"), "k3x9-0");
    }

    #[test]
    fn values_of_labels_are_checked() {
        for fine in ["", "abc123", "A_b.c-9"] {
            assert!(is_label_value(fine), "{fine}");
        }
        for wrong in ["UnVuUXVldWU=", "-a", "a.", "é", &"a".repeat(64)] {
            assert!(!is_label_value(wrong), "{wrong}");
        }
        assert!(is_object_name("my.job-1") && !is_object_name("My") && !is_object_name(""));
    }
}
