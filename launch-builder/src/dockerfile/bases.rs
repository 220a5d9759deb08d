//! The images a Dockerfile's `FROM` lines name.

use std::collections::BTreeMap;

/// The images of all stages, each once, in order. `ARG`s before the first `FROM` are filled
/// in, with `given` before their defaults; names of earlier stages and `scratch` are left
/// out. A Dockerfile that means nothing has none: its builder will say so.
pub(crate) fn bases(text: &str, given: &BTreeMap<String, String>) -> Vec<String> {
    let mut bases = Vec::new();
    let mut stages: Vec<String> = Vec::new();
    let mut arguments = BTreeMap::new();
    for line in instructions(text) {
        let mut words = line.split_whitespace();
        let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
        match keyword.as_str() {
            "ARG" if stages.is_empty() => words.for_each(|word| {
                let (name, default) = word.split_once('=').unwrap_or((word, ""));
                let value = given
                    .get(name)
                    .map_or_else(|| fill(unquote(default), &arguments), Clone::clone);
                arguments.insert(name.to_owned(), value);
            }),
            "FROM" => {
                let mut words = words.skip_while(|word| word.starts_with("--"));
                let image = fill(unquote(words.next().unwrap_or_default()), &arguments);
                let known = stages.contains(&image.to_lowercase()) || bases.contains(&image);
                stages.push(words.nth(1).unwrap_or_default().to_lowercase());
                if !known && !image.is_empty() && image != "scratch" {
                    bases.push(image);
                }
            }
            _ => {}
        }
    }
    bases
}

/// Instructions, one a line: continued lines joined, comments and here-documents left out.
fn instructions(text: &str) -> Vec<String> {
    let escape = escape(text);
    let mut instructions = Vec::new();
    let mut current = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if trimmed.starts_with('#') || (trimmed.is_empty() && !current.is_empty()) {
            continue;
        }
        if let Some(start) = trimmed.strip_suffix(escape) {
            current.push_str(start);
            current.push(' ');
            continue;
        }
        let instruction = std::mem::take(&mut current) + trimmed;
        for end in here_documents(&instruction) {
            while lines
                .next()
                .is_some_and(|line| line.trim_start_matches('\t') != end)
            {}
        }
        instructions.push(instruction);
    }
    instructions.push(current);
    instructions
}

/// The escape character: the `escape` directive, which only counts at the very top.
fn escape(text: &str) -> char {
    let directives = text.lines().map_while(|line| line.trim().strip_prefix('#'));
    let values = directives.map_while(|line| line.split_once('='));
    let mut escapes = values.filter(|(name, _)| name.trim().eq_ignore_ascii_case("escape"));
    escapes
        .next()
        .and_then(|(_, value)| value.trim().chars().next())
        .unwrap_or('\\')
}

/// The words that end the here-documents an instruction opens.
fn here_documents(instruction: &str) -> Vec<String> {
    let keyword = instruction.split_whitespace().next().unwrap_or_default();
    if !["RUN", "COPY", "ADD"]
        .iter()
        .any(|known| keyword.eq_ignore_ascii_case(known))
    {
        return Vec::new();
    }
    let openings = instruction
        .split("<<")
        .skip(1)
        .filter(|rest| !rest.starts_with('<'));
    let word = |rest: &str| {
        let rest = rest
            .strip_prefix('-')
            .unwrap_or(rest)
            .trim_start_matches(['"', '\'']);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        rest[..end.unwrap_or(rest.len())].to_owned()
    };
    openings
        .map(word)
        .filter(|word| word.starts_with(|c: char| !c.is_ascii_digit()))
        .collect()
}

fn unquote(text: &str) -> &str {
    let inner = |quote| {
        text.strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote))
    };
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// Fills in `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}`.
fn fill(text: &str, arguments: &BTreeMap<String, String>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        let (value, after) = variable(&rest[at + 1..], arguments);
        filled.push_str(&value);
        rest = after;
    }
    filled + rest
}

fn variable<'a>(text: &'a str, arguments: &BTreeMap<String, String>) -> (String, &'a str) {
    let value = |name: &str| arguments.get(name).cloned().unwrap_or_default();
    let Some((inner, after)) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, after) = text.split_at(end.unwrap_or(text.len()));
        return (value(name), after);
    };
    let filled = match inner.split_once(':') {
        Some((name, rest)) => {
            let (present, other) = (value(name), rest.get(1..).unwrap_or_default());
            match (rest.chars().next(), present.is_empty()) {
                (Some('-'), true) | (Some('+'), false) => other.to_owned(),
                (Some('+'), true) => String::new(),
                _ => present,
            }
        }
        None => value(inner),
    };
    (filled, after)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        bases(
            text,
            &BTreeMap::from([("GIVEN".to_owned(), "3.13".to_owned())]),
        )
    }

    #[test]
    fn stages_and_scratch_are_no_images() {
        let text = "FROM a:1 AS Build\nFROM scratch\nFROM --platform=linux/amd64 b:2\n\
                    from build\nFROM a:1\nCOPY --from=c:3 / /\n";
        assert_eq!(found(text), ["a:1", "b:2"]);
    }

    #[test]
    fn arguments_are_filled_in() {
        let text = "ARG GIVEN=3.11\nARG OS=\"slim\" R\nARG BASE=py:${GIVEN}\nFROM $BASE-$OS\n\
                    ARG OS=late\nFROM x:${R:-none}${OS:+-os}\n";
        assert_eq!(found(text), ["py:3.13-slim", "x:none-os"]);
    }

    #[test]
    fn comments_continuations_and_here_documents() {
        let text = "# syntax=docker/dockerfile:1\n# FROM no\nFROM \\\n# in between\n  a:1\n\
                    RUN <<EOF cat\nFROM no\nEOF\nRUN select <<<FROM\nFROM b\n";
        assert_eq!(found(text), ["a:1", "b"]);
        assert_eq!(
            found("# escape=`\nFROM `\n a:1\nRUN dir c:\\\nFROM b\n"),
            ["a:1", "b"]
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(FROM|ARG|RUN|<<|\\$\\{|:-|[ a-z=}{$\\\\\n\"'#]|\\PC){0,40}") {
            let _ = found(&text);
        }
    }
}
