//! What is accepted as a git remote or a reference is nothing git could take for an option;
//! a remote names an allowed transport, and both parse to themselves.
#![no_main]

use launch_config::source::{GitReference, GitRemote, default_project, looks_like_git};
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
    if let Ok(reference) = text.parse::<GitReference>() {
        assert_eq!(reference.as_str(), text);
        assert!(!text.is_empty() && !text.starts_with('-') && !text.contains(char::is_control));
    }
    let _ = (looks_like_git(text), default_project(text));
});
