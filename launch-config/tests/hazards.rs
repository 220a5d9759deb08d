//! Texts made to hurt: each is refused with its place and its reason, and soon.

use std::fmt::Write as _;
use std::time::Duration;

use launch_config::load::{LoadError, MAX_FILE, Report, mapping_text, read_text};

/// What a text of at most [`MAX_FILE`] bytes may take of a processor; unoptimised code is
/// given more. Values between brackets are counted before the parser
/// reads them, since it reads to a bracket's end before it gives the first event.
const LIMIT: Duration = Duration::from_millis(if cfg!(debug_assertions) { 3000 } else { 500 });

/// What this thread has computed so far: waiting for others is not its doing.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into()
        .expect("a thread has not computed less than nothing")
}

fn timed<T>(what: &str, read: impl FnOnce() -> T) -> T {
    let start = processor_time();
    let answer = read();
    let took = processor_time().saturating_sub(start);
    assert!(took < LIMIT, "{what}: took {took:?}");
    answer
}

/// The report's text for a text that must be refused.
#[track_caller]
fn refused(text: &str) -> String {
    let report: Report =
        timed("refusing", || mapping_text("f.yaml", text)).expect_err("the text must be refused");
    assert!(report.has_errors());
    report.to_string()
}

#[track_caller]
fn refused_with(text: &str, expected: &str) {
    let shown = refused(text);
    assert!(
        shown.contains(expected),
        "expected {expected:?} in:\n{shown}"
    );
}

fn full(piece: &str) -> String {
    let size = usize::try_from(MAX_FILE).expect("a mebibyte fits in a usize");
    piece.repeat(size / piece.len())
}

#[test]
fn an_alias_bomb_is_refused_where_it_is_written() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let item = format!("*a{}", level - 1);
        let list = [item.as_str(); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{list}]").unwrap();
    }
    refused_with(&text, "f.yaml:4:");
    refused_with(&text, "more than 10000 values, aliases expanded");
}

#[test]
fn a_bomb_of_merges_and_one_of_long_texts_are_refused() {
    let mut text = "a0: &a0 {k: 1}\n".to_owned();
    for level in 1..40 {
        let before = level - 1;
        writeln!(text, "a{level}: &a{level} {{<<: [*a{before}, *a{before}]}}").unwrap();
    }
    refused_with(&text, "aliases expanded");
    let long = "x".repeat(500_000);
    let text = format!("a: &a {long}\nb: [{}]\n", ["*a"; 1000].join(", "));
    refused_with(
        &text,
        "the texts have more than 2097152 bytes, aliases expanded",
    );
}

#[test]
fn aliases_without_an_end_or_a_start_are_refused() {
    refused_with(
        "a: &a [*a]\n",
        "f.yaml:1:8: error: the alias stands inside what it refers to",
    );
    refused_with(
        "a: &a {b: {<<: *a}}\n",
        "the alias stands inside what it refers to",
    );
    refused_with("a: *b\n", "f.yaml:1:4: error: ");
    refused_with("a: *b\n", "the alias refers to no anchor above it");
}

#[test]
fn depth_counts_through_aliases() {
    let nested = |levels: usize| format!("a: {}{}\n", "[".repeat(levels), "]".repeat(levels));
    assert!(mapping_text("f.yaml", &nested(63)).is_ok());
    refused_with(&nested(64), "nested more than 64 deep");
    let text = format!("a: &a {}{}\nb: [*a]\n", "[".repeat(63), "]".repeat(63));
    refused_with(
        &text,
        "f.yaml:2:5: error: mappings and lists are nested more than 64 deep",
    );
}

/// The place is that of the value too many: the parser has not seen the bracket.
#[test]
fn a_mebibyte_between_brackets_is_refused_where_it_is_too_much() {
    let items = format!("a: [{}", &full("1,")[8..]);
    refused_with(&items, "f.yaml:1:20004: error: ");
    refused_with(&items, "more than 10000 values");
    refused_with(
        &full("[\n"),
        "f.yaml:65:1: error: mappings and lists are nested",
    );
    let keys = format!("{{{}", &full("\"k\": \"v, w\",\n")[13..]);
    refused_with(&keys, "f.yaml:5000:12: error: ");
}

#[test]
fn text_that_is_too_large_is_refused_before_it_is_read() {
    let text = format!("a: {}", full("x"));
    refused_with(&text, "a configuration has at most 1048576");
    let text = format!("{{\"a\": \"{}\"}}", full("x"));
    let report = mapping_text("f.json", &text).unwrap_err();
    assert!(
        report
            .to_string()
            .contains("a configuration has at most 1048576")
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(MAX_FILE + 1).unwrap();
    let error = read_text(file.path()).unwrap_err();
    assert!(matches!(error, LoadError::TooLarge { size, .. } if size == MAX_FILE + 1));
}

#[test]
fn a_key_set_twice_names_both_lines() {
    let shown = refused("a:\n  b: 1\n  c: 2\n  b: 3\n");
    let expected = "f.yaml:4:3: error: the key `b` of line 2 is set again on line 4";
    assert!(shown.starts_with(expected), "{shown}");
    refused_with(
        "a: 1\n\"a\": 2\n",
        "the key `a` of line 1 is set again on line 2",
    );
    refused_with("x: &x {}\n<<: *x\n<<: *x\n", "merge a list");
}

#[test]
fn tabs_in_the_indentation_are_named() {
    for text in [
        "a:\n\tb: 1\n",
        "a:\n  - x\n\t- y\n",
        "a:\n \tb: 1\n",
        "a:\n  b: 1\n\tc: 2\n",
    ] {
        let shown = refused(text);
        assert!(
            shown.contains("a tab stands in the indentation"),
            "{text:?}: {shown}"
        );
        assert!(shown.contains("replace the tab with blanks"), "{shown}");
    }
    refused_with("a:\n \tb: 1\n", "f.yaml:2:2:");
    // Elsewhere a tab is a character like any other.
    let text = "a: |\n  all:\n  \tmake\nb: \"x\ty\"\nc: 1 \t# two\n";
    assert!(mapping_text("f.yaml", text).is_ok());
    assert!(mapping_text("f.json", "{\n\t\"a\": 1\n}").is_ok());
}

#[test]
fn a_file_that_is_not_utf_8_is_refused_with_the_offset() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), b"a: caf\xe9\n").unwrap();
    let error = read_text(file.path()).unwrap_err();
    assert!(
        matches!(error, LoadError::NotUtf8 { offset: 6, .. }),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .ends_with("is not UTF-8 text: byte 6 does not belong there")
    );
}

#[test]
fn one_document_and_no_more() {
    refused_with(
        "a: 1\n---\nb: 2\n",
        "f.yaml:2:1: error: a second document starts here",
    );
    refused_with("a: 1\n...\n---\n", "a second document");
    assert!(mapping_text("f.yaml", "%YAML 1.1\n---\na: 1\n...\n").is_ok());
}

#[test]
fn merges_of_what_is_no_mapping_are_refused() {
    refused_with(
        "<<: 1\n",
        "f.yaml:1:5: error: `<<` merges a mapping or a list of mappings",
    );
    refused_with("a: &a [1]\nb: {<<: *a}\n", "`<<` merges a mapping");
    refused_with(
        "a: &a x\nb: {<<: [{}, *a]}\n",
        "f.yaml:2:14: error: `<<` merges",
    );
}

#[test]
fn tags_of_programs_are_refused() {
    refused_with(
        "a: !!python/name:os.system x\n",
        "unknown tag `!!python/name:os.system`",
    );
    refused_with("a: !mine x\n", "f.yaml:1:4: error: unknown tag `!mine`");
    refused_with("a: !!binary aGk=\n", "unknown tag `!!binary`");
    refused_with("a: !!map x\n", "the tag wants a mapping");
    refused_with("a: !!str [x]\n", "the tag does not fit a list");
}

#[test]
fn keys_are_texts() {
    let number = "f.yaml:2:3: error: a key is a text, and `1` is a number in YAML";
    refused_with("a:\n  1: x\n", number);
    refused_with("on: x\n", "hint: put the key in quotes: \"on\"");
    refused_with("a: {~: x}\n", "`~` is nothing in YAML");
    refused_with(
        "? [a]\n: x\n",
        "a key is a text, and this is a list or a mapping",
    );
    assert!(mapping_text("f.yaml", "'on': 1\n\"1\": 2\n2020-01-01: 3\n").is_ok());
}

#[test]
fn nul_bytes_and_their_like_are_refused() {
    refused_with(
        "a: 1\nb: \0\n",
        "f.yaml:2:4: error: the character U+0000 does not belong",
    );
    refused_with("a: \u{1b}[31m\n", "U+001B");
    assert!(
        !refused("a: \u{1b}[31m\n").contains('\u{1b}'),
        "it is not for terminals"
    );
    refused_with("a: \"\\0\"\nb: é\u{7f}\n", "f.yaml:2:5:");
}

/// A megabyte of each is answered soon, whatever the answer.
#[test]
fn no_megabyte_takes_long() {
    let pieces = [
        "[",
        "{",
        "- ",
        "? ",
        "-",
        ":",
        "a: ",
        "a:\n",
        "- - ",
        "[]",
        "{}",
        "[a,",
        "{a: ",
        "a\n",
        "\n",
        " ",
        "#",
        "# c\n",
        "\"",
        "'",
        "\"a\" ",
        "&a ",
        "*a ",
        "!a ",
        "!!str ",
        "|\n",
        "---\n",
        "...\n",
        "%a\n",
        ",",
        "\t",
        " \t",
        "\\",
        "\"\\x41\"",
        "é",
        "a",
        "a ",
        "k: v\n",
        "- 1\n",
        "1,",
        "?",
        "!",
        "@",
        "a: b: ",
        "]",
        "\r",
        "\u{85}",
        "  a: |\n",
        "- !a &b ",
        "- >-\n   x\n",
        "<<: ",
        "{<<: ",
        "''",
    ];
    for piece in pieces {
        for start in ["", "["] {
            let text = format!("{start}{}", full(piece));
            let end = text.floor_char_boundary(usize::try_from(MAX_FILE).unwrap());
            let what = format!("{start:?} and {piece:?}");
            let _ = timed(&what, || mapping_text("f.yaml", &text[..end]));
        }
    }
}

#[test]
fn stairs_and_a_flood_of_keys_are_refused_soon() {
    let stair = |level: usize| format!("{}a:\n", " ".repeat(level));
    let stairs: String = (0..1400).map(stair).collect();
    refused_with(&stairs, "nested more than 64 deep");
    let flood = |key: usize| format!("k{key}: {key}\n");
    let keys: String = (0..70_000).map(flood).collect();
    refused_with(&keys, "more than 10000 values");
}
