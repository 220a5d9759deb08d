use std::io::{Seek, Write};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;

fn rules(text: &[u8]) -> Rules {
    Rules::parse(text, Path::new(".dockerignore")).unwrap()
}

/// Asks as the walk asks: from the root downwards.
fn is_out(rules: &Rules, path: &[u8]) -> bool {
    let mut verdict = Verdict::default();
    let mut inherited = Inherited::default();
    let mut is_out = false;
    for end in (0..=path.len()).filter(|at| *at == path.len() || path[*at] == b'/') {
        is_out = rules.leave_out(&path[..end], &inherited, &mut verdict);
        inherited = verdict.inherited();
    }
    is_out
}

fn check(text: &str, out: &[&str], kept: &[&str]) {
    let rules = rules(text.as_bytes());
    for path in out {
        assert!(is_out(&rules, path.as_bytes()), "{text:?} keeps `{path}`");
    }
    for path in kept {
        assert!(
            !is_out(&rules, path.as_bytes()),
            "{text:?} leaves out `{path}`"
        );
    }
}

#[test]
fn patterns_are_anchored_and_cover_what_is_below() {
    check("foo", &["foo", "foo/a/b"], &["a/foo", "foobar"]);
    check("*.pyc", &["x.pyc"], &["a/x.pyc", "xpyc"]);
    check("**/*.pyc", &["x.pyc", "a/b/x.pyc"], &["x.py"]);
    check("a/*/c", &["a/b/c", "a/b/c/d"], &["a/c", "a/b/b/c"]);
    check("a?c", &["abc", "aéc"], &["ac", "a/c", "abbc"]);
    check("**", &["a", "a/b"], &[]);
    check("a/**", &["a/b", "a/b/c"], &["a", "b"]);
    check("a/**/b", &["a/b", "a/x/y/b"], &["ab", "b"]);
}

#[test]
fn classes_negate_with_a_caret_alone() {
    check("a[!b]c", &["abc", "a!c"], &["axc"]);
    check("a[^b]c", &["axc"], &["abc"]);
    check("a[b-d]", &["ab", "ad"], &["ae", "a-"]);
    check(r"a\*", &["a*"], &["ab"]);
    check(r"a[\]]", &["a]"], &["a\\"]);
}

#[test]
fn lines_are_cleaned_as_docker_cleans_them() {
    check(" foo\t", &["foo"], &[]);
    check(
        "./x\na/../b\n/c\nd//e/\n",
        &["x", "b", "c", "d/e"],
        &["a", "d"],
    );
    check(
        "\u{feff}#no\nfoo\r\n# a comment\n #b",
        &["foo", "#b"],
        &["#no"],
    );
    check("\u{a0}foo\u{3000}", &["foo"], &[]);
    check("./!a", &[], &["a", "!a"]);
    check("../x\n.\n/\n", &[], &["x", "a"]);
    check("*\n! /a/../keep", &["a"], &["keep"]);
}

#[test]
fn the_last_rule_that_matches_wins() {
    check(
        "dir\n!dir/keep",
        &["dir", "dir/a"],
        &["dir/keep", "dir/keep/b"],
    );
    check(
        "*.md\n!README*.md\nREADME-secret.md",
        &["a.md", "README-secret.md"],
        &["README.md"],
    );
    check(
        "*.md\nREADME-secret.md\n!README*.md",
        &["a.md"],
        &["README-secret.md"],
    );
    // `a` was never out, so `!a` is not asked of it, and says nothing of what is below.
    check("a/b\n!a", &["a/b"], &["a"]);
}

#[test]
fn git_is_left_out_unless_a_rule_takes_it_back() {
    check(
        "",
        &[".git", ".git/config", "sub/.git"],
        &[".gitignore", "a.git"],
    );
    check("!.git", &["sub/.git"], &[".git", ".git/config"]);
    check("!**/.git", &[], &[".git", "sub/.git"]);
}

#[test]
fn what_is_no_pattern_is_refused_with_its_line() {
    for rule in [
        "[a-", "!", "! ", "[]", "[]a]", "[-a]", "a\\", "x[", "[z-a]*", r"\pL", r"\8", "a|*",
        "?{2,3}", "[a-*]",
    ] {
        let text = format!("# first\n\n{rule}\n");
        let error = Rules::parse(text.as_bytes(), Path::new("sub/.dockerignore")).unwrap_err();
        let message = error.to_string();
        let said = format!(
            "`sub/.dockerignore` line 3: `{}` is not a pattern",
            rule.trim()
        );
        assert_eq!(message, said);
    }
    let long = vec![b'a'; LONGEST_LINE + 1];
    assert!(Rules::parse(&long, Path::new("x")).is_err());
}

#[test]
fn names_need_not_be_text() {
    let rules = rules(b"a\xff\nb?\n*\xfe");
    for path in [&b"a\xff"[..], b"b\xff", b"x\xff"] {
        assert!(is_out(&rules, path));
    }
    assert!(!is_out(&rules, b"a\xfe\xfdz"));
}

#[test]
fn directories_out_of_reach_are_not_looked_into() {
    let reaches = |text: &[u8], path: &[u8]| rules(text).reach_below(path);
    assert!(!reaches(b"*\n!*.py\n!src", b"data"));
    assert!(reaches(b"*\n!data/keep", b"data"));
    assert!(!reaches(b"*\n!data/keep", b"data/keep"));
    assert!(!reaches(b"*\n!data/keep", b"data/other"));
    assert!(reaches(b"*\n!*/x/y", b"data/x"));
    for text in [&b"!**/x"[..], b"!a[/]b", b"!\\da"] {
        assert!(reaches(text, b"some/where"));
    }
}

#[test]
fn the_digest_follows_the_rules_and_not_their_spelling() {
    let digest = |text: &[u8]| rules(text).digest();
    assert_eq!(digest(b"a\n!b\n"), digest(b"# x\n\n ./a/\r\n! b"));
    let others = [&b""[..], b"a", b"!b\na", b"a\nb", b"a\n!b\n!b", b"a!b"];
    for (index, text) in others.iter().enumerate() {
        assert_ne!(digest(text), digest(b"a\n!b"), "{index}");
    }
    assert_eq!(digest(b""), Rules::default().digest());
}

#[test]
fn a_hostile_pattern_takes_no_time() {
    let pattern = "*a".repeat(2000) + "**/b";
    let rules = rules(pattern.as_bytes());
    assert!(!is_out(&rules, "a".repeat(2000).as_bytes()));
}

fn rule() -> impl Strategy<Value = Vec<u8>> {
    let plain = select(vec![
        "a", "b", "ab", "*", "**", "?", "/", "/", "a/b", "**/", ".", "é",
    ]);
    let odd = select(vec![
        "[ab]",
        "[^a]",
        "[a-c]",
        "[!a]",
        "[a*]",
        "[?]",
        "[a**]",
        "[",
        "]",
        "[[:alpha:]]",
        "[^/]",
        "\\",
        "\\*",
        "\\d",
        "\\W",
        "\\b",
        "\\x61",
        "\\141",
        "\\z",
        "^",
        "-",
        "+",
        "(",
        "$",
        "|",
        "{2}",
        "..",
        "!",
        " ",
        "{",
        "&&",
        "~",
        "[a-",
        "[\\d]",
        "[\\]]",
        "\u{fffd}",
        ",",
        "***",
        "[:",
        ":]",
    ]);
    let atom = prop_oneof![4 => plain.prop_map(str::as_bytes), 1 => odd.prop_map(str::as_bytes),
        1 => Just(&b"\xff"[..]).boxed()];
    let text = prop::collection::vec(atom, 1..6).prop_map(|atoms| atoms.concat());
    (any::<prop::sample::Index>(), text).prop_map(|(sign, mut text)| {
        if sign.index(3) == 0 {
            text.insert(0, b'!');
        }
        text
    })
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&[u8]> = vec![
        b"a",
        b"b",
        b"ab",
        b"abc",
        "é".as_bytes(),
        b"a.b",
        b".git",
        b"*",
        b"a b",
        b"!a",
        b"^a",
        b"[",
        b"1",
        b"-",
        b"\xff",
        b"a\n",
        b"]",
        b"+",
    ];
    prop::collection::vec(select(names), 1..5).prop_map(|names| names.join(&b'/'))
}

proptest! {
    #[test]
    fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..80), path in path()) {
        if let Ok(rules) = Rules::parse(&text, Path::new("x")) {
            is_out(&rules, &path);
        }
    }

    #[test]
    fn nothing_kept_is_below_what_is_out_of_reach(
        texts in prop::collection::vec(rule(), 1..5),
        path in path(),
    ) {
        let Ok(rules) = Rules::parse(&texts.join(&b'\n'), Path::new("x")) else { return Ok(()) };
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            let directory = &path[..at];
            if is_out(&rules, directory) && !rules.reach_below(directory) {
                prop_assert!(is_out(&rules, &path));
            }
        }
    }
}

fn hex(list: &[Vec<u8>]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    let pair = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    let hex = |text: &Vec<u8>| text.iter().flat_map(pair).collect::<String>();
    list.iter().map(hex).collect::<Vec<_>>().join(",")
}

fn our_answer(texts: &[Vec<u8>], paths: &[Vec<u8>]) -> String {
    let rules: Result<Vec<_>, _> = texts.iter().map(|text| parse_rule(text)).collect();
    let Ok(rules) = rules else {
        return "error".to_owned();
    };
    let rules = Rules(rules.into_iter().flatten().collect());
    paths
        .iter()
        .map(|path| if is_out(&rules, path) { '1' } else { '0' })
        .collect()
}

/// The matcher of Docker itself, compiled from `tests/dockerignore/oracle.go`.
#[test]
fn dockers_own_matcher_says_the_same() {
    let Some(oracle) = std::env::var_os("LAUNCH_TEST_PATTERN_ORACLE") else {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "no pattern oracle"
        );
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        let () = eprintln!("skipped: LAUNCH_TEST_PATTERN_ORACLE is not set");
        return;
    };
    let mut runner = TestRunner::deterministic();
    let case = (
        prop::collection::vec(rule(), 1..5),
        prop::collection::vec(path(), 1..8),
    );
    let cases: Vec<_> = (0..20_000)
        .map(|_| case.new_tree(&mut runner).unwrap().current())
        .collect();
    let mut questions = tempfile::tempfile().unwrap();
    for (texts, paths) in &cases {
        writeln!(questions, "{}\t{}", hex(texts), hex(paths)).unwrap();
    }
    questions.rewind().unwrap();
    let output = Command::new(oracle)
        .stdin(Stdio::from(questions))
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), cases.len());
    let mut matched = 0;
    for ((texts, paths), answer) in cases.iter().zip(answers.lines()) {
        let shown = |list: &[Vec<u8>]| {
            list.iter()
                .map(|t| t.escape_ascii().to_string())
                .collect::<Vec<_>>()
        };
        let ours = our_answer(texts, paths);
        // What is documented to be refused here alone.
        let beyond = |t: &Vec<u8>| {
            t.contains(&b'|') || t.contains(&b'{') || t.windows(2).any(|w| w == b"\\Q")
        };
        if !(ours == "error" && texts.iter().any(beyond)) {
            assert_eq!(ours, answer, "{:?} on {:?}", shown(texts), shown(paths));
            matched += usize::from(answer.contains('1'));
        }
    }
    // Else the cases would show nothing.
    assert!(
        matched > cases.len() / 10,
        "only {matched} cases match anything"
    );
}
