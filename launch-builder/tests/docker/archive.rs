//! Archives of contexts, given to the engine as others would.

use std::io::Write as _;
use std::process::{Command, Stdio};

use launch_builder::context::{self, ContextOptions};
use launch_builder::event::Events;

use super::engine::Engine;

/// It is many gzip members, one after the other.
#[test]
fn the_engine_reads_every_member_of_an_archive() {
    if Engine::connect().is_none() {
        return;
    }
    let source = tempfile::tempdir().unwrap();
    let text = "FROM launch-test/busybox:1\nCOPY . /job\n\
        RUN [ $(cat /job/part-* | wc -c) = 6000000 ] && [ $(cat /job/z) = end ]\n";
    fs_err::write(source.path().join("Dockerfile"), text).unwrap();
    fs_err::write(source.path().join("z"), "end\n").unwrap();
    for number in 0..3 {
        let part = source.path().join(format!("part-{number}"));
        fs_err::write(
            part,
            "a word, and "
                .repeat(2_000_000 / 12 + 1)
                .split_at(2_000_000)
                .0,
        )
        .unwrap();
    }
    let mut archive = Vec::new();
    let options = ContextOptions::new();
    context::pack(source.path(), &options, &mut archive, &Events::silent()).unwrap();
    let mut build = Command::new("docker");
    let build = build.args(["build", "-q", "--no-cache", "-"]);
    let piped = build.env("DOCKER_BUILDKIT", "0").stdin(Stdio::piped());
    let mut child = piped.stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&archive).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let id = String::from_utf8(output.stdout).unwrap();
    let removed = Command::new("docker")
        .args(["rmi", id.trim()])
        .output()
        .unwrap();
    assert!(removed.status.success(), "{removed:?}");
}
