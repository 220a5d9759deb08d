//! `launch-agent`: see the crate's README.

use std::process::ExitCode;

fn main() -> ExitCode {
    launch_agent::main()
}
