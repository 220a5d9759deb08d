//! What a test does that finds its surroundings missing.

/// Says that a test is skipped; in CI that is a failure.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn skip(why: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{why}"
    );
    eprintln!("skipped: {why}");
}
