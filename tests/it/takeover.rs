//! Two agents with state directories of their own on one PostgreSQL queue: two hosts, as far
//! as the queue can tell.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use launch_tests::running::Running;
use launch_tests::{Agent, eventually, page, series, signal};
use rustix::process::Signal;
use serde_json::Value;

/// How soon the second agent has to have the job: a lease of a minute, and a poll.
const LIMIT: Duration = Duration::from_secs(75);

struct Pair {
    first: Agent,
    second: Agent,
    queue: String,
    config: PathBuf,
    starts: PathBuf,
    id: String,
}

/// A queue of its own on the server, with one job: its first start lasts, the later ones end.
fn pair(name: &str) -> Option<Pair> {
    let Ok(url) = std::env::var("LAUNCH_TEST_POSTGRES") else {
        launch_tests::skip("LAUNCH_TEST_POSTGRES is not set: no PostgreSQL for tests");
        return None;
    };
    let (first, second) = (Agent::new(), Agent::new());
    let config = first.dir("config").join("launch-config.yaml");
    let text = format!(
        "backend: {{type: postgres, url: '{url}'}}\nobservability: {{address: '127.0.0.1:0'}}\n"
    );
    fs_err::write(&config, &text).unwrap();
    let starts = first.dir("out").join("starts");
    let main = format!(
        "import os, time\nfile = {:?}\nopen(file, 'a').write(f'{{os.getpid()}}\\n')\n\
         time.sleep(600 if len(open(file).readlines()) == 1 else 6)\n",
        starts.display().to_string()
    );
    let project = first.project("p", &main);
    let queue = format!("{name}-{}", std::process::id());
    // `submit` reads the default agent file of its home.
    for agent in [&first, &second] {
        agent.configure(&text);
    }
    let id = first.submit(&["-q", &queue, &project]);
    Some(Pair {
        first,
        second,
        queue,
        config,
        starts,
        id,
    })
}

impl Pair {
    fn run(&self, agent: &Agent) -> Running {
        let config = self.config.display().to_string();
        agent.start(&["run", "-q", &self.queue, "-c", &config, "--grace", "1"])
    }

    fn record(&self) -> Value {
        self.second.job(&self.queue, &self.id)
    }

    /// The processes of the workload that were started, and are alive.
    fn alive(&self) -> Vec<String> {
        let text = fs_err::read_to_string(&self.starts).unwrap_or_default();
        let is_alive = |pid: &&str| is_running(Path::new("/proc").join(pid).as_path());
        text.lines().filter(is_alive).map(str::to_owned).collect()
    }

    fn started(&self, count: usize) {
        eventually("the workload starts", Duration::from_secs(30), || {
            let text = fs_err::read_to_string(&self.starts).unwrap_or_default();
            (text.lines().count() == count).then_some(())
        });
    }

    /// Waits until the second agent has the job; answers how long that took.
    fn taken_over(&self, since: Instant) -> Duration {
        eventually("the second agent takes over", LIMIT, || {
            (self.record()["fence"] == 2).then_some(())
        });
        since.elapsed()
    }

    fn assert_ended_once(&self) {
        let outcome = eventually("the job ends", Duration::from_secs(30), || {
            Some(self.record()["outcome"].clone()).filter(|outcome| !outcome.is_null())
        });
        assert_eq!(outcome["reason"], "succeeded");
        assert_eq!(self.record()["fence"], 2);
        assert_eq!(self.alive(), Vec::<String>::new(), "nothing runs any more");
    }
}

/// A zombie is none.
fn is_running(process: &Path) -> bool {
    let status = fs_err::read_to_string(process.join("stat")).unwrap_or_default();
    let state = status
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

fn end(mut child: Running) {
    signal(&child, Signal::TERM);
    child.wait().unwrap();
}

#[test]
#[expect(clippy::print_stdout, reason = "how long it took is of interest")]
fn a_killed_agents_job_is_taken_over_and_its_run_ended_when_it_comes_back() {
    let Some(pair) = pair("killed") else { return };
    let mut first = pair.run(&pair.first);
    pair.started(1);
    let second = pair.run(&pair.second);
    let since = Instant::now();
    signal(&first, Signal::KILL);
    first.wait().unwrap();
    let took = pair.taken_over(since);
    pair.started(2);
    // The run outlives its agent until an agent of that machine starts again.
    let first = pair.run(&pair.first);
    eventually("one workload is left", Duration::from_secs(20), || {
        (pair.alive().len() <= 1).then_some(())
    });
    pair.assert_ended_once();
    println!("taken over {:.1} s after kill -9", took.as_secs_f64());
    end(first);
    end(second);
}

#[test]
#[expect(clippy::print_stdout, reason = "how long it took is of interest")]
fn a_stopped_agent_that_wakes_after_its_lease_is_refused_and_ends_its_run() {
    let Some(pair) = pair("stopped") else { return };
    let first = pair.run(&pair.first);
    pair.started(1);
    let address = pair.first.say(&["status", "--output", "json"]).json()[0]["address"].clone();
    let second = pair.run(&pair.second);
    let since = Instant::now();
    signal(&first, Signal::STOP);
    let took = pair.taken_over(since);
    pair.started(2);
    let wakes = Instant::now();
    signal(&first, Signal::CONT);
    eventually("one workload is left", Duration::from_secs(20), || {
        (pair.alive().len() <= 1).then_some(())
    });
    let alone = wakes.elapsed();
    pair.assert_ended_once();
    let metrics = page(address.as_str().unwrap(), "/metrics");
    let lost = format!("launch_jobs_lost_total{{queue=\"{}\"}}", pair.queue);
    assert_eq!(series(&metrics, &lost), Some(1.0), "{metrics}");
    assert!(!metrics.contains("launch_jobs_ended_total{"), "{metrics}");
    println!(
        "taken over {:.1} s after SIGSTOP; one workload {:.2} s after SIGCONT",
        took.as_secs_f64(),
        alone.as_secs_f64()
    );
    end(first);
    end(second);
}
