//! The clouds' adapters and credentials, against stand-ins that have the clouds' names.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]
#![expect(
    clippy::print_stderr,
    reason = "a skipped test says so, and a table is shown"
)]

mod aws;
mod azure;
mod conforms;
mod denied;
mod gcp;
mod permissions;
mod renewed;
mod secrets;
mod support;
