//! The exit codes of the documented table, from the program itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::process::{Command, Stdio};

fn code(args: &[&str], state: &std::path::Path) -> i32 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_launch-agent"));
    command
        .args(args)
        .env("LAUNCH_STATE_DIR", state)
        .env("DOCKER_HOST", "unix:///nonexistent");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap().code().unwrap()
}

#[test]
fn every_code_of_the_table_is_used_as_documented() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("state");
    let project = home.path().join("project");
    fs_err::create_dir(&project).unwrap();
    fs_err::write(project.join("main.sh"), "exit 3\n").unwrap();
    let project = project.to_str().unwrap();
    assert_eq!(code(&["--help"], &state), 0);
    assert_eq!(code(&["launch", project, "-E", "sh -c true"], &state), 0);
    assert_eq!(code(&["launch", project, "-E", "sh main.sh"], &state), 1);
    assert_eq!(code(&["launch", project, "--no-such-flag"], &state), 2);
    fs_err::write(home.path().join("file"), "").unwrap();
    assert_eq!(code(&["queue", "list"], &home.path().join("file")), 3);
}
