//! Writers that die, join and leave, and a broker that goes away: each number is in the table once.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use crate::{Broker, User};

const PARTITIONS: u64 = 6;

/// A writer that takes longer to end hangs.
const END_MAX: Duration = Duration::from_secs(90);

pub(crate) fn start(user: &User) -> Child {
    let mut command = user.command(&["write", "web", "--embedded", "--workers", "1"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Ends it as an operator does, and waits for its last checkpoint.
pub(crate) fn terminate(child: &mut Child) {
    let told = Command::new("kill").arg(child.id().to_string()).status();
    assert!(told.unwrap().success());
    let begun = Instant::now();
    let ended = loop {
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        assert!(begun.elapsed() < END_MAX, "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(ended.code(), Some(0), "{ended}");
}

#[test]
fn writers_of_one_group_come_and_go() {
    let broker = Broker::start();
    broker.create_topic("web", PARTITIONS as i32, &[]);
    let user = User::of_numbers(&broker);
    let mut random = StdRng::seed_from_u64(0x5eed_0006);
    let producer = broker.producer();
    let mut writers: Vec<Child> = (0..3).map(|_| start(&user)).collect();
    let mut sent = 0;
    for _ in 0..12 {
        let end = sent + random.random_range(1_000..20_000);
        producer.numbers("web", sent..end, PARTITIONS);
        sent = end;
        let one = random.random_range(0..writers.len());
        if random.random_bool(0.7) {
            writers[one].kill().unwrap();
            writers[one].wait().unwrap();
        } else {
            terminate(&mut writers[one]);
        }
        writers[one] = start(&user);
        std::thread::sleep(Duration::from_millis(random.random_range(0..3_000)));
    }
    // All that is there is written without anybody's help.
    until(&user, sent);
    writers.iter_mut().for_each(terminate);
    assert_eq!(user.numbers(), (sent, sent));
}

/// Writers at the topic's end while others join and leave and records come: nobody passes over one, or thinks that
/// positions are gone. There are more writers than partitions, and those without one end as well as the others.
#[test]
fn who_reads_at_the_end_misses_nothing_when_the_group_changes() {
    let broker = Broker::start();
    broker.create_topic("web", 2, &[]);
    let user = User::of_numbers(&broker);
    let producer = broker.producer();
    let mut first = start(&user);
    let mut sent = 0;
    for round in 0..8 {
        producer.numbers("web", sent..sent + 10, 2);
        sent += 10;
        let mut others: Vec<Child> = (0..2).map(|_| start(&user)).collect();
        for _ in 0..20 {
            producer.numbers("web", sent..sent + 2, 2);
            sent += 2;
            std::thread::sleep(Duration::from_millis(100));
        }
        for other in &mut others {
            if round % 2 == 0 {
                terminate(other);
            } else {
                other.kill().unwrap();
                other.wait().unwrap();
            }
        }
        assert!(first.try_wait().unwrap().is_none(), "it goes on");
    }
    until(&user, sent);
    terminate(&mut first);
    assert_eq!(user.numbers(), (sent, sent));
}

/// Waits until the table has that many rows.
pub(crate) fn until(user: &User, rows: u64) {
    let begun = Instant::now();
    while user.numbers().0 < rows {
        assert!(
            begun.elapsed() < Duration::from_mins(2),
            "{:?} of {rows}",
            user.numbers()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_broker_that_is_killed_comes_back() {
    let mut broker = Broker::start();
    broker.create_topic("web", PARTITIONS as i32, &[]);
    let user = User::of_numbers(&broker);
    let mut writer = start(&user);
    for round in 0..3 {
        let numbers = round * 10_000..(round + 1) * 10_000;
        broker.producer().numbers("web", numbers, PARTITIONS);
        broker.command(if round == 1 { "stop" } else { "kill" });
        std::thread::sleep(Duration::from_secs(3));
        assert!(writer.try_wait().unwrap().is_none(), "it goes on trying");
        broker.command("start");
    }
    until(&user, 30_000);
    terminate(&mut writer);
    assert_eq!(user.numbers(), (30_000, 30_000));
}
