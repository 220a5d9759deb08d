//! Half an hour of outage, in a scale of fifty to one: the agent asks five times a second
//! instead of once in ten seconds, so 36 seconds are 180 polls, which is half an hour.

use std::time::Instant;

use super::server::Fault;
use super::*;

/// One poll interval of the test, and the half hour.
const POLL: Duration = Duration::from_millis(200);
const POLLS: u32 = 180;

#[test]
fn half_an_hour_of_outage_ends_nothing_and_the_first_answer_brings_the_agent_back() {
    let world = World::new();
    let program = "init()\nnote('began')\nwhile not os.path.exists(NOTES + '.go'): time.sleep(0.05)\n\
                   note('ended')\nsys.exit(5)\n";
    let spec = world.spec("p", program);
    let item = world.state().put("first", spec);
    let mut child = world.start();
    let run = world.run_of(&item);
    world.run_is(&run, "running");
    let key = world.agent.dir("config").join("key");
    let kinds = [
        Fault::Status(502),
        Fault::Reset,
        Fault::Slow(Duration::from_secs(2)),
        Fault::Rest(429, 1),
        Fault::Status(401),
        Fault::Status(503),
    ];
    let before = world.state().requests;
    let mut most = 0.0_f64;
    for (turn, kind) in kinds.into_iter().enumerate() {
        world.state().outage = Some(kind);
        if turn == 2 {
            // The run ends while nobody hears of it.
            fs_err::write(world.notes.with_extension("go"), "").unwrap();
        }
        let (began, asked) = (Instant::now(), world.state().requests);
        std::thread::sleep(POLL * (POLLS / 6));
        let polls = began.elapsed().as_secs_f64() / POLL.as_secs_f64();
        let asked = world.state().requests - asked;
        most = most.max(f64::from(u32::try_from(asked).unwrap()) / polls);
        assert!(child.try_wait().unwrap().is_none(), "it ended at {kind:?}");
    }
    let all = world.state().requests - before;
    assert!(all >= 20, "it went on asking: {all}");
    // A poll, a beat and a renewal in each interval, and an outcome; W&B's agent has more.
    assert!(most <= 5.0, "{most:.1} requests in a poll interval");
    // The server is back, with another key.
    let spec = world.spec("q", "init()\nfinish(0)\n");
    let next = {
        let mut server = world.state();
        server.outage = None;
        server.key = KEY.replace('0', "f");
        fs_err::write(&key, &server.key).unwrap();
        server.put("second", spec)
    };
    let began = Instant::now();
    world.wait("the next job is popped", |server| {
        (server.items[&next].state != "PENDING").then_some(())
    });
    let took = began.elapsed();
    assert!(took < POLL * 2, "back within one poll: {took:?}");
    let next = world.run_of(&next);
    world.run_is(&next, "finished");
    world.nothing_left();
    signal(&child, Signal::TERM);
    let said = collect(child).expect(0);
    assert!(said.err.contains("failed=1"), "{said:#?}");
    assert_eq!(world.notes(), ["began", "ended"], "it ran once");
    assert!(!said.err.contains(KEY), "{said:#?}");
    #[expect(clippy::print_stdout, reason = "the figures are for the note")]
    {
        println!("{all} requests in {POLLS} polls, at most {most:.1} a poll; back in {took:?}");
    }
}

#[test]
fn an_agent_that_starts_in_an_outage_watches_its_runs_and_waits() {
    let world = World::new();
    let spec = world.spec("p", "init()\nnote(run)\ntime.sleep(1)\nsys.exit(5)\n");
    let item = world.state().put("first", spec);
    let mut child = world.start();
    let run = world.run_of(&item);
    world.run_is(&run, "running");
    kill(&mut child);
    world.state().outage = Some(Fault::Status(503));
    let child = world.start();
    std::thread::sleep(Duration::from_secs(3));
    world.state().outage = None;
    world.nothing_left();
    signal(&child, Signal::TERM);
    let said = collect(child).expect(0);
    assert!(said.err.contains("failed=1"), "{said:#?}");
    assert_eq!(world.notes(), [run]);
}
