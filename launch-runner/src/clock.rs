//! The wall clock, which signatures and the ends of credentials are counted in.

use std::time::SystemTime;

/// What time it is.
#[expect(clippy::disallowed_methods, reason = "this is the clock module")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
