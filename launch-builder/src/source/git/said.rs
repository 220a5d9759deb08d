//! The useful part of what git says.

/// The longest sentence an error carries.
const LONGEST: usize = 400;

/// Phrases of servers that do not hand out a single object, or nothing shallow.
const REFUSALS: [&str; 6] = [
    "not our ref",
    "unadvertised object",
    "couldn't find remote ref",
    "does not support shallow",
    "dumb http transport",
    "it did not contain",
];

/// Whether the server refused one object, not us.
pub(super) fn refuses_object(stderr: &str) -> bool {
    REFUSALS.iter().any(|phrase| stderr.contains(phrase))
}

/// The sentence that says why: git's first `fatal:`, unless that only says that ssh failed,
/// which ssh said better in the line before.
pub(super) fn useful(stderr: &str) -> String {
    let lines = || {
        stderr
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
    };
    let fatal = lines().position(|line| line.starts_with("fatal:"));
    let chosen = match fatal {
        Some(at) if is_about_ssh(lines().nth(at)) && at > 0 => lines().nth(at - 1),
        Some(at) => lines().nth(at),
        None => lines()
            .rfind(|line| line.starts_with("error:"))
            .or_else(|| lines().next_back()),
    };
    let chosen = chosen.unwrap_or("nothing");
    let sentence = ["fatal: ", "error: ", "remote: "]
        .iter()
        .find_map(|prefix| chosen.strip_prefix(prefix))
        .unwrap_or(chosen);
    sentence
        .trim_end_matches('.')
        .chars()
        .take(LONGEST)
        .collect()
}

fn is_about_ssh(line: Option<&str>) -> bool {
    line.is_some_and(|line| line.contains("Could not read from remote repository"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_that_says_why_is_found() {
        for (stderr, said) in [
            (
                "remote: Not Found\nfatal: repository 'http://h/r/' not found\n",
                "repository 'http://h/r/' not found",
            ),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote \
                 repository.\n\nPlease make sure you have the correct access rights\n",
                "git@h: Permission denied (publickey)",
            ),
            ("error: one\nerror: two\n", "two"),
            ("something odd\n", "something odd"),
            ("", "nothing"),
        ] {
            assert_eq!(useful(stderr), said);
        }
    }

    #[test]
    fn a_refused_object_is_told_from_a_refused_user() {
        assert!(refuses_object(
            "fatal: remote error: upload-pack: not our ref 0123"
        ));
        assert!(!refuses_object(
            "fatal: Authentication failed for 'http://h/'"
        ));
    }
}
