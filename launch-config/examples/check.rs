//! Checks an agent file: `cargo run -p launch-config --example check FILE`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use launch_config::load::agent_file;

fn main() -> std::io::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    let Some(path) = std::env::args_os().nth(1).map(PathBuf::from) else {
        writeln!(out, "usage: check FILE")?;
        return Ok(ExitCode::from(2));
    };
    match agent_file(&path) {
        Ok(checked) => {
            writeln!(
                out,
                "{}: ok, {} queues",
                path.display(),
                checked.value.queues.len()
            )?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            writeln!(out, "{error}")?;
            Ok(ExitCode::from(2))
        }
    }
}
