//! Many runs on a cluster that do nothing, watched by one agent: what that costs.
//!
//! ```text
//! LAUNCH_TEST_KUBECONFIG=… cargo run --release -p launch-tests --bin watchers -- [RUNS]…
//! ```
//!
//! The runs are Jobs that make no pods (`parallelism: 0`; a cluster from 1.21 on calls them
//! suspended). For each number of runs, the table says what the agent needs while nothing
//! changes. Requests are counted by the API server, of the kinds and scopes that runs have;
//! whatever else uses the cluster adds to them, so the first row has no runs at all.

#![expect(clippy::print_stdout, reason = "its table is its purpose")]

use std::process::Child;
use std::time::{Duration, Instant};

use launch_tests::cluster::{Cluster, IMAGE, kubeconfig};
use launch_tests::{Agent, signal};
use rustix::process::Signal;
use serde_json::json;

/// How long is measured.
const WINDOW: Duration = Duration::from_mins(1);

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .skip(1)
        .map(|text| text.parse().expect("a number"))
        .collect();
    let sizes = if sizes.is_empty() {
        vec![0, 10, 100, 1000]
    } else {
        sizes
    };
    let Some(kubeconfig) = kubeconfig() else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    println!(
        "| runs | submitted in s | requests/s | memory MiB | CPU % of a core |\n|---|---|---|---|---|"
    );
    for size in sizes {
        let cluster = runtime.block_on(Cluster::open(&kubeconfig, &format!("launch-watch-{size}")));
        runtime.block_on(measure(&kubeconfig, &cluster, size));
        runtime.block_on(cluster.remove());
    }
}

async fn measure(kubeconfig: &str, cluster: &Cluster, size: usize) {
    let agent = Agent::new().env("KUBECONFIG", kubeconfig);
    let args = json!({
        "metadata": {"namespace": cluster.namespace},
        "spec": {"parallelism": 0, "template": {"spec": {"containers": [{"name": "main"}]}}},
    });
    let args = args.to_string();
    for _ in 0..size {
        agent.submit(&["-q", "q", "-d", IMAGE, "-r", "kubernetes", "-R", &args]);
    }
    let mut child = agent.start(&["run", "-q", "q", "-j", "-1", "--quiet"]);
    let start = Instant::now();
    while cluster.list("Job", "launch.run").await.len() < size {
        assert!(
            start.elapsed() < Duration::from_mins(10),
            "not all were submitted"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let submitted = start.elapsed();
    // What follows a submission is over.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let (requests, cpu) = (of_runs(cluster).await, cpu(&child));
    tokio::time::sleep(WINDOW).await;
    let requests = of_runs(cluster).await - requests;
    let cpu = cpu_since(&child, cpu);
    let seconds = WINDOW.as_secs_f64();
    println!(
        "| {size} | {:.1} | {:.2} | {:.1} | {:.1} |",
        submitted.as_secs_f64(),
        f64::from(u32::try_from(requests).unwrap_or(u32::MAX)) / seconds,
        memory(&child),
        100.0 * cpu.as_secs_f64() / seconds,
    );
    signal(&child, Signal::KILL);
    child.wait().expect("a killed child ends");
}

/// Requests for what runs are made of, within one namespace.
async fn of_runs(cluster: &Cluster) -> u64 {
    let kinds = ["jobs", "pods", "secrets", "events"];
    let wanted = |line: &str| {
        let is = |name: &str, value: &str| line.contains(&format!("{name}=\"{value}\""));
        kinds.iter().any(|kind| is("resource", kind))
            && (is("scope", "namespace") || is("scope", "resource"))
    };
    cluster.counter("apiserver_request_total", wanted).await
}

fn proc(child: &Child, file: &str) -> String {
    fs_err::read_to_string(format!("/proc/{}/{file}", child.id())).expect("the agent lives")
}

/// The memory of a process, in MiB.
fn memory(child: &Child) -> f64 {
    let status = proc(child, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u32>().ok());
    f64::from(number.unwrap_or(0)) / 1024.0
}

/// The processor time of a process so far.
fn cpu(child: &Child) -> Duration {
    let stat = proc(child, "stat");
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<u64> = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    // The kernel counts in hundredths of a second.
    Duration::from_millis(10 * fields.iter().sum::<u64>())
}

fn cpu_since(child: &Child, before: Duration) -> Duration {
    cpu(child).saturating_sub(before)
}
