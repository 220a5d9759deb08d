//! What runs write, and what watchers get of it.

use futures_util::future::join;
use launch_config::outcome::Reason;

use super::watching::{fresh_key, run_script, submit, wait_for_output, watch};
use super::{Fidelity, Harness};

/// A lot of output ([`Harness::large_output`]) arrives whole, in order and once.
///
/// # Panics
/// If a byte is missing, twice, or out of place.
pub async fn large_output_is_complete(harness: &dyn Harness) {
    let size = harness.large_output();
    let line = format!("{}\n", "0123456789abcdef".repeat(256).split_at(4095).0);
    let script = format!("yes {} | head -c {size}; exit 9", line.trim_end());
    let seen = run_script(harness, &script).await;
    seen.assert_reason(Reason::Failed { code: 9 });
    assert_eq!(seen.output.len(), size, "bytes of output");
    let wrong = seen
        .output
        .chunks(line.len())
        .position(|chunk| chunk != line.as_bytes());
    assert_eq!(wrong, None, "the first line that is not as written");
}

/// Bytes that are no text, and a last line that is none, arrive.
///
/// # Panics
/// If they do not.
pub async fn odd_bytes_survive(harness: &dyn Harness) {
    let seen = run_script(harness, r"printf 'a\377\376b\r\nend'").await;
    seen.assert_reason(Reason::Succeeded);
    match harness.fidelity() {
        Fidelity::Bytes => assert_eq!(seen.output, b"a\xff\xfeb\r\nend"),
        Fidelity::Lines => {
            let text = seen.text();
            assert!(
                text.starts_with('a') && text.ends_with("b\r\nend"),
                "{text:?}"
            );
        }
    }
}

/// Two watchers at once, and one that comes when all is over, see the same.
///
/// # Panics
/// If one of them misses something.
pub async fn every_watcher_gets_everything(harness: &dyn Harness) {
    let script = "for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.2; done; exit 2";
    let run = submit(harness, &fresh_key(), script).await;
    let (one, two) = join(watch(&*run, 0), watch(&*run, 0)).await;
    let late = watch(&*run, 0).await;
    let wanted = (1..9)
        .map(|i| format!("line {i}"))
        .collect::<Vec<_>>()
        .join("\n")
        + "\n";
    for seen in [&one, &two, &late] {
        seen.assert_reason(Reason::Failed { code: 2 });
        assert_eq!(String::from_utf8_lossy(&seen.output), wanted);
    }
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// A watcher that comes back gets what it has not seen, running or ended.
///
/// # Panics
/// If it gets more or less.
pub async fn watching_from_an_offset(harness: &dyn Harness) {
    let script = "echo 0123456789; sleep 2; echo abcdefghij";
    let run = submit(harness, &fresh_key(), script).await;
    wait_for_output(&*run).await;
    for wanted in ["56789\nabcdefghij\n", "56789\nabcdefghij\n"] {
        let seen = watch(&*run, 5).await;
        assert_eq!(String::from_utf8_lossy(&seen.output), wanted);
    }
    let seen = watch(&*run, 1000).await;
    assert!(
        seen.output.is_empty() && seen.end.reason.is_success(),
        "{seen:?}"
    );
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// `logs` gives what was asked for, and no more than there is.
///
/// # Panics
/// If it gives anything else.
pub async fn logs_are_slices(harness: &dyn Harness) {
    let run = submit(harness, &fresh_key(), "echo 0123456789; echo out >&2").await;
    watch(&*run, 0).await;
    let whole = run.logs(0, 1 << 20).await.expect("the output is there");
    assert_eq!(whole.len(), 15, "{whole:?}");
    for (offset, limit) in [(0, 4), (3, 4), (9, 100), (15, 5), (99, 5), (2, 0)] {
        let start = whole.len().min(offset);
        let wanted = &whole[start..whole.len().min(start + limit)];
        let slice = run
            .logs(offset as u64, limit)
            .await
            .expect("the output is there");
        assert_eq!(slice, wanted, "from {offset}, at most {limit}");
    }
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}

/// Variables arrive as given, whatever is in them, and no debug output holds them.
///
/// # Panics
/// If they do not, or if it does.
pub async fn the_environment_arrives(harness: &dyn Harness) {
    let value = "it's \"$HOME\" `id`; * \\ = é";
    let request = harness
        .script(
            fresh_key(),
            r#"printf '%s\n[%s]\n' "$PLANTED" "${EMPTY-unset}""#,
        )
        .with_env("PLANTED", value)
        .with_env("EMPTY", "");
    let shown = format!("{request:?}");
    assert!(!shown.contains("$HOME"), "{shown}");
    let run = harness
        .open()
        .await
        .submit(request)
        .await
        .expect("the script is taken");
    let seen = watch(&*run, 0).await;
    assert_eq!(
        String::from_utf8_lossy(&seen.output),
        format!("{value}\n[]\n")
    );
    assert!(!format!("{run:?}").contains("$HOME"), "{run:?}");
    run.clean_up()
        .await
        .expect("an ended run can be cleaned up");
}
