//! What an agent costs that has nothing to do.

use std::process::Child;
use std::time::Duration;

/// The share of a core, in percent, and the memory in MiB.
pub(crate) fn cost(child: &Child, time: Duration) -> (f64, f64) {
    // What the start cost is not idling.
    std::thread::sleep(Duration::from_secs(3));
    let before = nanoseconds(child);
    std::thread::sleep(time);
    let used = nanoseconds(child) - before;
    let status = fs_err::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    let share = used / 1e9 / time.as_secs_f64() * 100.0;
    (share, kib.unwrap_or(0.0) / 1024.0)
}

/// Processor time of all threads, as the scheduler counts it.
fn nanoseconds(child: &Child) -> f64 {
    let tasks = format!("/proc/{}/task", child.id());
    let mut sum = 0.0;
    for task in fs_err::read_dir(tasks).expect("it lives") {
        let file = task.expect("a thread").path().join("schedstat");
        let text = fs_err::read_to_string(file).unwrap_or_default();
        let first = text.split(' ').next().unwrap_or_default();
        sum += first.parse::<f64>().unwrap_or(0.0);
    }
    sum
}
