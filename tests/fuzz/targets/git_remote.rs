//! What is accepted as a git remote is nothing git could take for an option, names an
//! allowed transport, and parses to itself.
#![no_main]

use launch_config::source::GitRemote;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<GitRemote>() {
        Ok(remote) => {
            let given = remote.expose();
            assert!(!given.starts_with('-') && !given.contains(char::is_control));
            let transports = ["https://", "http://", "ssh://"];
            assert!(transports.iter().any(|t| given.starts_with(t)) || given.contains('@'));
            assert_eq!(given.parse::<GitRemote>().expect("it was accepted"), remote);
            let _ = (
                remote.short_name(),
                remote.to_string(),
                format!("{remote:?}"),
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
