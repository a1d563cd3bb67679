//! The connection to a real catalog is cut at a seeded byte of a commit, in either direction.
//!
//! A seed is one commit of one checkpoint and one cut. What passes between writer and server in a whole
//! commit is recorded first. One half of the seeds picks one of its messages, and then a byte of that; the
//! other half a byte of the swap's own request or reply: picked evenly among all bytes, the few of
//! COMMIT's reply would hardly ever be hit. Then the writer does what the pipeline does, and at the end
//! the table itself, read by way of a connection that was never cut, says whether each number is there
//! once and whether any outcome was a lie.
//!
//! A catalog that is a file has no connection to cut: see `tests/kill/calls.rs`.
//!
//! `FRAZIL_CUTS` asks for more seeds than an ordinary run has, and `FRAZIL_CUTS_STATE` names a folder in
//! which is kept how far they came, so that a run that was stopped goes on (`tests/cuts` sets both).

mod proxy;
mod witness;

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use frazil_table::{
    catalog::Catalog,
    commit::{Outcome, RetryPolicy, guard},
    error::TableErrorKind,
};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use self::{
    proxy::{Broken, Cut, Direction, Message, Proxy},
    witness::{Said, Verdict, Witness},
};
use crate::{
    on::On,
    support::{Lake, Writer, name, numbers},
};

/// Seeds in an ordinary run.
const SEEDS: u64 = 50;

/// Seeds on one table: the metadata file, written anew by each commit, grows with them.
const SEEDS_A_TABLE: u64 = 50;

/// Of so many seeds at least one loses the reply to a swap that was done, or the test shows nothing.
const SEEDS_A_LOST_REPLY: u64 = 10;

/// How long one seed may take before it counts as stuck.
const SEED_WAIT_MAX: Duration = Duration::from_mins(2);

macro_rules! on_each_server {
    ($($server:ident: $on:ident,)+) => {
        $(mod $server {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn no_outcome_is_a_lie_wherever_the_connection_is_cut() {
                super::run($crate::on::On::$on, stringify!($server)).await;
            }
        })+
    };
}
on_each_server! {
    postgres: Postgres,
    rest: Rest,
    hive2: Hive2,
    hive3: Hive3,
    hive4: Hive4,
}

/// What stands in the request of a swap, and in no other that is made once a writer has begun.
fn mark(on: On) -> &'static [u8] {
    match on {
        On::Postgres => b"COMMIT\0",
        On::Rest => b"POST ",
        _ => b"alter_table_with_environment_context",
    }
}

/// Where the cuts of so many seeds hit, and what became of the commits.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tally {
    /// All of them.
    seeds: u64,
    /// The commit needed fewer bytes than the one that was recorded.
    missed: u64,
    /// Before the swap was done, which was known.
    before: u64,
    /// In the request of the swap, which was not done; that had to be found out.
    request_lost: u64,
    /// In the reply to the swap, which was done, as the catalog found out by itself.
    reply_lost_seen: u64,
    /// In the reply to the swap, which was done, and that had to be found out.
    reply_lost: u64,
    /// After the reply to the swap.
    after: u64,
    /// Writers that had to start again.
    restarts: u64,
    /// Milliseconds.
    took_ms: u64,
}

fn variable(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's own size is no setting of frazil's"
    )]
    std::env::var(name).ok()
}

async fn run(on: On, server: &str) {
    let seeds = variable("FRAZIL_CUTS").map_or(SEEDS, |seeds| seeds.parse().unwrap());
    let state = variable("FRAZIL_CUTS_STATE").map(|folder| PathBuf::from(folder).join(server));
    let kept = state.as_ref().and_then(|file| std::fs::read(file).ok());
    let mut tally: Tally = kept.map_or_else(Tally::default, |json| {
        serde_json::from_slice(&json).unwrap()
    });
    while tally.seeds < seeds {
        let end = (tally.seeds + SEEDS_A_TABLE).min(seeds);
        run_on_one_table(on, &mut tally, end).await;
        println!("{server}: {tally:?}");
        if let Some(file) = &state {
            std::fs::write(file, serde_json::to_vec(&tally).unwrap()).unwrap();
        }
    }
    let lost = tally.reply_lost + tally.reply_lost_seen;
    assert!(lost >= seeds / SEEDS_A_LOST_REPLY, "{tally:?}");
    assert!(tally.before > 0 && tally.missed < seeds / 2, "{tally:?}");
}

/// One seed's end, before it is known which swaps were done.
struct Ended {
    broken: Option<Broken>,
    said: Arc<Said>,
}

async fn run_on_one_table(on: On, tally: &mut Tally, end: u64) {
    let started = std::time::Instant::now();
    let lake = Lake::with_table(on, &[]).await;
    let proxy = Arc::new(Proxy::start(lake.address.port(), mark(on)).await);
    // The second commit of a process has no questions and no statements to prepare any more.
    let scene = Scene { lake, proxy };
    let tapes = [scene.record(false).await, scene.record(true).await];
    let mut all = Vec::new();
    for seed in tally.seeds..end {
        let ended = tokio::time::timeout(SEED_WAIT_MAX, scene.seed(seed, &tapes, tally));
        all.push(
            ended
                .await
                .unwrap_or_else(|_| panic!("seed {seed} is stuck")),
        );
    }
    let history = scene.check().await;
    for ended in all {
        ended.said.check(&history);
        count(tally, &ended, &history);
    }
    tally.seeds = end;
    tally.took_ms += started.elapsed().as_millis() as u64;
}

fn count(tally: &mut Tally, ended: &Ended, history: &HashSet<i64>) {
    let Some(broken) = &ended.broken else {
        tally.missed += 1;
        return;
    };
    let Some(swap) = ended.said.swaps().into_iter().find(|swap| swap.broke) else {
        // While the base was read.
        tally.before += 1;
        return;
    };
    let done = history.contains(&swap.snapshot_id);
    let in_reply = broken.marked && broken.direction == Direction::ToClient;
    let count = match (done, swap.verdict) {
        (false, Verdict::NotDone) => &mut tally.before,
        (false, _) => &mut tally.request_lost,
        // Also where the whole request passed, and the answer had no way back.
        (true, Verdict::Unknown) if broken.marked => &mut tally.reply_lost,
        (true, _) if in_reply => &mut tally.reply_lost_seen,
        (true, _) => &mut tally.after,
    };
    *count += 1;
}

/// A number below `below` that the seed gives for that.
fn draw(seed: u64, what: &str, below: u64) -> u64 {
    xxh3_64_with_seed(what.as_bytes(), seed) % below
}

/// The byte of the recorded commit at which this seed cuts.
fn cut(seed: u64, tape: &[Message]) -> Cut {
    let swap = tape.iter().rposition(|message| message.marked).unwrap();
    let (picked, from, marks) = if draw(seed, "half", 2) == 0 {
        (draw(seed, "message", tape.len() as u64) as usize, 0, 0)
    } else {
        // Counted from the swap on: the answers before it grow with the table.
        let marks = tape.iter().filter(|message| message.marked).count();
        (swap + draw(seed, "reply", 2) as usize, swap, marks)
    };
    let Message {
        direction, bytes, ..
    } = tape[picked];
    let before = &tape[from..picked];
    let before = before.iter().filter(|m| m.direction == direction);
    let within = match direction {
        // What does not pass at all is the end of the message before.
        Direction::ToServer => 1 + draw(seed, "byte", bytes),
        Direction::ToClient => draw(seed, "byte", bytes + 1),
    };
    Cut {
        direction,
        after: before.map(|m| m.bytes).sum::<u64>() + within,
        marks,
        refused: [0, 0, 1, 3][draw(seed, "refused", 4) as usize],
    }
}

struct Scene {
    lake: Lake,
    proxy: Arc<Proxy>,
}

impl Scene {
    /// A writer's process, by way of the proxy. It may take the table up only after some attempts.
    async fn writer(&self, said: &Arc<Said>) -> Writer {
        let catalog = loop {
            // Some catalogs ask their server when they are opened.
            let opened = self
                .lake
                .address
                .through(self.proxy.port, self.lake.clock.clone());
            if let Some(catalog) = opened.await {
                break catalog;
            }
        };
        let catalog: Arc<dyn Catalog> = Arc::new(Witness {
            catalog,
            proxy: Arc::clone(&self.proxy),
            said: Arc::clone(said),
        });
        let policy = RetryPolicy {
            wait_min: Duration::from_millis(1),
            wait_max: Duration::from_millis(50),
            unknown_wait_max: Duration::from_secs(30),
            ..RetryPolicy::default()
        };
        let committer = self.lake.committer_on(catalog).with_policy(policy);
        loop {
            match committer.open(&name()).await {
                Ok(open) => {
                    let open = open.unwrap();
                    return Writer { committer, open };
                }
                Err(error) => assert!(
                    matches!(error.kind, TableErrorKind::CatalogUnavailable),
                    "{error}"
                ),
            }
        }
    }

    /// A new process that has committed before, or has not.
    async fn warmed(&self, warm: bool, said: &Arc<Said>) -> Writer {
        let mut writer = self.writer(said).await;
        if warm {
            let checkpoint = writer.checkpoint(1, writer.position(1) + 1).await;
            let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
            assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
            writer = Writer::start(writer.committer).await;
        }
        writer
    }

    /// What passes in a whole commit.
    async fn record(&self, warm: bool) -> Vec<Message> {
        let writer = self.warmed(warm, &Arc::default()).await;
        let checkpoint = writer.checkpoint(1, writer.position(1) + 1).await;
        self.proxy.record();
        let outcome = writer.committer.commit(&name(), &checkpoint).await.unwrap();
        assert!(matches!(outcome, Outcome::Committed { .. }), "{outcome:?}");
        self.proxy.recorded()
    }

    async fn seed(&self, seed: u64, tapes: &[Vec<Message>; 2], tally: &mut Tally) -> Ended {
        let said = Arc::new(Said::default());
        let warm = draw(seed, "warm", 2);
        let mut writer = self.warmed(warm == 1, &said).await;
        let end = writer.position(1) + 1;
        let mut checkpoint = writer.checkpoint(1, end).await;
        let cut = cut(seed, &tapes[warm as usize]);
        self.proxy.arm(cut);
        loop {
            match writer.committer.commit(&name(), &checkpoint).await {
                Ok(Outcome::Committed { .. } | Outcome::AlreadyCommitted { .. }) => break,
                // By itself, before it started again: its own swap landed late.
                Ok(Outcome::Superseded | Outcome::Fenced { .. }) => {}
                // Whoever runs the writer starts it again.
                Err(error) => {
                    assert!(
                        matches!(
                            error.kind,
                            TableErrorKind::CatalogUnavailable | TableErrorKind::Unknown
                        ),
                        "seed {seed}: {error}"
                    );
                }
            }
            tally.restarts += 1;
            writer = self.writer(&said).await;
            if writer.position(1) == end {
                break;
            }
            checkpoint = writer.checkpoint(1, end).await;
        }
        let broken = self.proxy.broken();
        // What did not come to pass is not for the next seed.
        self.proxy.record();
        let left = self.lake.address.locks().await;
        assert_eq!(left, 0, "seed {seed} left a lock: {cut:?}");
        Ended { broken, said }
    }

    /// Each number is there once, and the ranges of the history tile. Gives the history's snapshots.
    async fn check(&self) -> HashSet<i64> {
        let table = self.lake.load().await;
        let position = self.lake.state().await.sources[&1].position;
        assert_eq!(
            numbers(&table).await,
            (0..position as i64).collect::<Vec<_>>()
        );
        let history: Vec<_> = guard::ancestors(&table.metadata).collect();
        let mut next = 0;
        for snapshot in history.iter().rev() {
            let ranges = &snapshot.summary().additional_properties["frazil.ranges"];
            let ranges: Vec<(u64, u64, u64)> = serde_json::from_str(ranges).unwrap();
            for (source, start, end) in ranges {
                assert_eq!((source, start), (1, next), "snapshot {snapshot:?}");
                next = end;
            }
        }
        assert_eq!(next, position);
        history
            .iter()
            .map(|snapshot| snapshot.snapshot_id())
            .collect()
    }
}
