//! Places between two steps at which tests kill the agent, to see that nothing is lost there.
//! Without the feature `failpoints` there are none.

/// Dies here, as by `kill -9`, if `LAUNCH_FAILPOINT` names the place.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(place: &str) {
    if std::env::var("LAUNCH_FAILPOINT").is_ok_and(|name| name == place) {
        // Nothing after it is reached: a signal to oneself is there when the call returns.
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing happens here.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn reach(_place: &str) {}
