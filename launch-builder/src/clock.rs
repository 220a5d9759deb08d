//! The one place where wall time is read.

use std::time::SystemTime;

/// Now, for comparing with the times of files.
#[expect(clippy::disallowed_methods, reason = "this is the crate's clock")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
