//! The executor's arguments: ours, and what `kaniko-config` makes of them.

/// An argument of the executor: a flag, with the words it was written in.
///
/// `--flag=value`, `--flag` alone, and `--flag value` in two words are flags; a word
/// without a flag before it is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Argument {
    name: String,
    words: Vec<String>,
}

/// Lays a user's arguments over ours. A flag of theirs takes the place of ours with the
/// same name; written several times, each counts; new flags follow in their order.
pub(super) fn merge(ours: &[String], theirs: &[String]) -> Vec<String> {
    let theirs = parse(theirs);
    let mut merged: Vec<Argument> = Vec::new();
    for own in parse(ours) {
        let mut given = theirs.iter().filter(|argument| argument.name == own.name);
        match given.next() {
            Some(first) => {
                merged.push(first.clone());
                merged.extend(given.cloned());
            }
            None => merged.push(own),
        }
    }
    let known: Vec<String> = merged
        .iter()
        .map(|argument| argument.name.clone())
        .collect();
    let new = theirs
        .into_iter()
        .filter(|argument| !known.contains(&argument.name));
    let all = merged.into_iter().chain(new);
    all.flat_map(|argument| argument.words).collect()
}

fn parse(words: &[String]) -> Vec<Argument> {
    let mut arguments: Vec<Argument> = Vec::new();
    for word in words {
        match arguments.last_mut() {
            // The value of a flag that was written without one.
            Some(last) if takes_value(last) && !word.starts_with('-') => {
                last.words.push(word.clone());
            }
            _ => arguments.push(Argument {
                name: word.split('=').next().unwrap_or_default().to_owned(),
                words: vec![word.clone()],
            }),
        }
    }
    arguments
}

fn takes_value(argument: &Argument) -> bool {
    matches!(argument.words.as_slice(), [word] if word.starts_with('-') && !word.contains('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn merged(theirs: &[&str]) -> Vec<String> {
        let ours = words(&["--context=c", "--cache=true", "--destination=d:1"]);
        merge(&ours, &words(theirs))
    }

    #[test]
    fn a_flag_of_theirs_takes_the_place_of_ours() {
        assert_eq!(
            merged(&["--verbosity=debug", "--cache=false", "--label=a=b=c"]),
            [
                "--context=c",
                "--cache=false",
                "--destination=d:1",
                "--verbosity=debug",
                "--label=a=b=c"
            ]
        );
        assert_eq!(merged(&["--cache"])[1], "--cache");
    }

    #[test]
    fn flags_may_repeat_and_need_no_value() {
        assert_eq!(
            merged(&["--build-arg=A=1", "--no-push", "--build-arg=B=2"])[3..],
            ["--build-arg=A=1", "--no-push", "--build-arg=B=2"]
        );
        assert_eq!(
            merged(&["--destination=x:1", "--destination=y:1"]),
            [
                "--context=c",
                "--cache=true",
                "--destination=x:1",
                "--destination=y:1"
            ]
        );
        assert_eq!(
            merged(&["--build-arg", "A=1", "--build-arg", "B=2", "-v", "debug"])[3..],
            ["--build-arg", "A=1", "--build-arg", "B=2", "-v", "debug"]
        );
    }
}
