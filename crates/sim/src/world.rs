//! The simulated world: what is durable, the seam calls that reach it, and the processes that make them.
//!
//! Each call of a process to its storage or catalog passes through [`Process::call`], which numbers
//! it, lets the [`FaultPlan`] decide what goes wrong, and writes a line of trace. A process that
//! crashes never hears from its call again: its future is dropped where it stands, and with it
//! everything that it held in memory.

use std::{
    collections::{VecDeque, hash_map::DefaultHasher},
    fmt,
    future::Future,
    hash::{Hash, Hasher},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::{Either, pending, select};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::{sync::Notify, time::Instant};

use crate::{
    clock::{SimClock, SimIds},
    durable::Durable,
    fault::{CallClass, Event, Fault, FaultPlan},
    foreign,
    pointer::SimPointerStore,
    storage::SimStorage,
};

/// How many trace lines a failing run shows.
const TRACE_LINES_MAX: usize = 500;
/// 2026-01-01T00:00:00Z in microseconds: where simulated time begins.
const EPOCH_MICROS: i64 = 1_767_225_600_000_000;
/// How long after a delayed request's call it lands, in calls.
const DELAY_CALLS_MAX: u64 = 12;

/// The durable world and the rules by which processes reach it.
#[derive(Clone)]
pub struct World(Arc<Mutex<Inner>>);

struct Inner {
    seed: u64,
    durable: Durable,
    plan: FaultPlan,
    rng: StdRng,
    calls: u64,
    calls_max: u64,
    exhausted: bool,
    classes: Vec<CallClass>,
    callers: Vec<u32>,
    trace: VecDeque<String>,
    trace_hash: DefaultHasher,
    late: Vec<Late>,
    processes: u32,
    faults_drawn: u32,
    foreign_drawn: u32,
    origin: Option<Instant>,
}

/// A request that is still under way although its caller was told of an error.
struct Late {
    due: u64,
    what: String,
    effect: Box<dyn FnOnce(&mut Durable) + Send>,
}

/// How a call came back to its caller.
pub(crate) enum Reply<T> {
    /// With its result.
    Done(T),
    /// With an error; certainly without effect.
    Failed,
    /// With an error; with or without effect.
    Lost,
}

/// What the fault plan has decided for one call.
struct Admission {
    call: u64,
    fault: Option<Fault>,
}

/// The process died in the middle of what it was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crashed;

impl World {
    /// A world in which everything that is random follows from `seed`.
    pub fn new(seed: u64, plan: FaultPlan) -> Self {
        let mut durable = Durable::default();
        durable.acknowledges_early = plan.acknowledges_early;
        Self(Arc::new(Mutex::new(Inner {
            seed,
            durable,
            plan,
            rng: StdRng::seed_from_u64(seed),
            calls: 0,
            calls_max: 50_000,
            exhausted: false,
            classes: Vec::new(),
            callers: Vec::new(),
            trace: VecDeque::new(),
            trace_hash: DefaultHasher::new(),
            late: Vec::new(),
            processes: 0,
            faults_drawn: 0,
            foreign_drawn: 0,
            origin: None,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a process whose clock is `skew_micros` ahead of the world's.
    pub fn start_process(&self, skew_micros: i64) -> Process {
        let mut inner = self.lock();
        inner.processes += 1;
        let id = inner.processes;
        let ids_seed = inner.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(id);
        inner.note(&format!("process {id} starts"));
        Process {
            world: self.clone(),
            id,
            life: Arc::new(Life {
                alive: AtomicBool::new(true),
                died: Notify::new(),
            }),
            clock: Arc::new(SimClock::new(self.clone(), skew_micros)),
            ids: Arc::new(SimIds::new(ids_seed)),
        }
    }

    /// Looks at, or changes, what is durable, past all seams and faults.
    pub fn durable<T>(&self, f: impl FnOnce(&mut Durable) -> T) -> T {
        f(&mut self.lock().durable)
    }

    /// How many seam calls have been made.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// The classes of all calls made, by their number.
    pub fn call_classes(&self) -> Vec<CallClass> {
        self.lock().classes.clone()
    }

    /// The numbers of the processes that made them.
    pub fn callers(&self) -> Vec<u32> {
        self.lock().callers.clone()
    }

    /// After so many calls every process dies and [`Self::is_exhausted`] tells: a livelock ends.
    pub fn set_calls_max(&self, calls_max: u64) {
        self.lock().calls_max = calls_max;
    }

    /// Whether the limit on calls was met.
    pub fn is_exhausted(&self) -> bool {
        self.lock().exhausted
    }

    /// From here on nothing goes wrong, except what is already under way.
    pub fn stop_faults(&self) {
        self.lock().plan = FaultPlan::none();
    }

    /// All requests that are still under way land now.
    pub fn land_late_requests(&self) {
        self.lock().land_late(u64::MAX);
    }

    pub(crate) fn swaps_in_two_steps(&self) -> bool {
        self.lock().plan.swaps_in_two_steps
    }

    /// Adds a line to the trace.
    pub fn note(&self, line: &str) {
        self.lock().note(line);
    }

    /// The last lines of the trace, under the seed.
    pub fn report(&self) -> String {
        let inner = self.lock();
        let lines: Vec<&str> = inner.trace.iter().map(String::as_str).collect();
        format!(
            "seed {}, {} calls; the last of them:\n{}",
            inner.seed,
            inner.calls,
            lines.join("\n")
        )
    }

    /// A hash of the whole trace: equal for equal runs.
    pub fn trace_hash(&self) -> u64 {
        self.lock().trace_hash.finish()
    }

    /// Draws from the world's randomness.
    pub fn random<T>(&self, f: impl FnOnce(&mut StdRng) -> T) -> T {
        f(&mut self.lock().rng)
    }

    /// The world's time in microseconds: tokio's (paused) time, and a millisecond for each call.
    pub fn now_micros(&self) -> i64 {
        self.lock().now_micros()
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

impl Inner {
    fn now_micros(&mut self) -> i64 {
        let now = Instant::now();
        let origin = *self.origin.get_or_insert(now);
        let elapsed = now.saturating_duration_since(origin).as_micros() as i64;
        EPOCH_MICROS + elapsed + self.calls as i64 * 1_000
    }

    fn note(&mut self, line: &str) {
        line.hash(&mut self.trace_hash);
        if self.trace.len() == TRACE_LINES_MAX {
            self.trace.pop_front();
        }
        self.trace.push_back(line.to_owned());
    }

    /// Numbers a call, and decides what goes wrong with it.
    fn admit(&mut self, class: CallClass) -> Admission {
        let call = self.calls;
        self.calls += 1;
        self.classes.push(class);
        self.durable.call = call;
        self.durable.now_millis = self.now_micros().div_euclid(1_000);
        self.land_late(call);
        let planned: Vec<Event> = self
            .plan
            .at
            .iter()
            .filter(|(at, _)| *at == call)
            .map(|(_, event)| event.clone())
            .collect();
        let mut fault = None;
        for event in planned.into_iter().chain(self.draw(class)) {
            match event {
                Event::Fault(kind) if kind.applies_to(class) => fault = Some(kind),
                Event::Fault(_) => {}
                Event::Foreign(action) => {
                    let outcome = foreign::act(&mut self.durable, &action);
                    self.note(&format!("      foreign {action:?}: {outcome}"));
                }
            }
        }
        Admission { call, fault }
    }

    fn draw(&mut self, class: CallClass) -> Vec<Event> {
        let Some(random) = &self.plan.random else {
            return Vec::new();
        };
        let mut events = Vec::new();
        if self.foreign_drawn < random.foreign_max
            && self.rng.random_range(0..1_000) < random.foreign_per_mille
            && let Some(action) = random.foreign.choose(&mut self.rng)
        {
            self.foreign_drawn += 1;
            events.push(Event::Foreign(action.clone()));
        }
        if self.faults_drawn < random.faults_max
            && self.rng.random_range(0..1_000) < random.per_mille
        {
            let fitting: Vec<Fault> = random
                .faults
                .iter()
                .copied()
                .filter(|fault| fault.applies_to(class))
                .collect();
            if let Some(fault) = fitting.choose(&mut self.rng) {
                self.faults_drawn += 1;
                events.push(Event::Fault(*fault));
            }
        }
        events
    }

    fn land_late(&mut self, now: u64) {
        let (due, waiting) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|late| late.due <= now);
        self.late = waiting;
        let due: Vec<Late> = due;
        for late in due {
            self.durable.note = None;
            (late.effect)(&mut self.durable);
            let note = self.durable.note.take().unwrap_or_default();
            self.note(&format!("      lands late: {} {note}", late.what));
        }
    }

    fn delay(&mut self, call: u64, what: String, effect: Box<dyn FnOnce(&mut Durable) + Send>) {
        let due = call + self.rng.random_range(2..=DELAY_CALLS_MAX);
        self.late.push(Late { due, what, effect });
    }
}

/// One process of ours. All of its seams go through it; when it dies, so do they.
#[derive(Clone)]
pub struct Process {
    world: World,
    id: u32,
    life: Arc<Life>,
    clock: Arc<SimClock>,
    ids: Arc<SimIds>,
}

struct Life {
    alive: AtomicBool,
    died: Notify,
}

impl Process {
    /// Its number, from 1, in the order of starts.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The world that it lives in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Its storage.
    pub fn storage(&self) -> Arc<SimStorage> {
        Arc::new(SimStorage::new(self.clone()))
    }

    /// Its catalog's pointers.
    pub fn pointers(&self) -> SimPointerStore {
        SimPointerStore::new(self.clone())
    }

    /// Its clock.
    pub fn clock(&self) -> Arc<SimClock> {
        Arc::clone(&self.clock)
    }

    /// Its ids.
    pub fn ids(&self) -> Arc<SimIds> {
        Arc::clone(&self.ids)
    }

    /// Runs the process's work until it ends or the process dies, and drops it then.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Crashed> {
        let died = pin!(self.life.died.notified());
        let work = pin!(work);
        match select(died, work).await {
            Either::Right((output, _)) if self.is_alive() => Ok(output),
            Either::Left(_) | Either::Right(_) => Err(Crashed),
        }
    }

    /// Kills the process.
    pub fn kill(&self) {
        self.life.alive.store(false, Ordering::Relaxed);
        self.life.died.notify_one();
        let mut inner = self.world.lock();
        inner.durable.lose_unsynced();
        inner.note(&format!("process {} dies", self.id));
    }

    fn is_alive(&self) -> bool {
        self.life.alive.load(Ordering::Relaxed)
    }

    async fn die<T>(&self) -> T {
        if self.is_alive() {
            self.kill();
        }
        pending().await
    }

    async fn pass_time(&self) {
        let latency = {
            let mut inner = self.world.lock();
            match inner.plan.latency_ms_max {
                0 => return,
                most => inner.rng.random_range(0..=most),
            }
        };
        if latency == 0 {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(Duration::from_millis(latency)).await;
        }
    }

    /// One seam call: `effect` on what is durable, unless the plan has it otherwise.
    pub(crate) async fn call<T, E>(
        &self,
        class: CallClass,
        operation: &'static str,
        subject: &str,
        effect: E,
    ) -> Reply<T>
    where
        T: Send + 'static,
        E: FnOnce(&mut Durable, CallContext) -> T + Send + 'static,
    {
        self.pass_time().await;
        if !self.is_alive() {
            return self.die().await;
        }
        let Some(Admission { call, fault }) = self.admit(class, operation, subject) else {
            return self.die().await;
        };
        let context = CallContext {
            process: self.id,
            stale: fault == Some(Fault::StaleRead),
            torn: fault == Some(Fault::TornWrite),
        };
        let reply = {
            let mut inner = self.world.lock();
            match fault {
                Some(Fault::CrashBefore) => None,
                Some(Fault::Failure) => Some(Reply::Failed),
                Some(Fault::Delay) => {
                    let what = format!("#{call} {operation} {}", short(subject));
                    let effect = move |durable: &mut Durable| drop(effect(durable, context));
                    inner.delay(call, what, Box::new(effect));
                    Some(Reply::Lost)
                }
                Some(Fault::CrashAfter | Fault::TornWrite) => {
                    inner.apply(effect, context);
                    None
                }
                Some(Fault::LostReply) => {
                    inner.apply(effect, context);
                    Some(Reply::Lost)
                }
                Some(Fault::StaleRead) | None => Some(Reply::Done(inner.apply(effect, context))),
            }
        };
        match reply {
            Some(reply) => reply,
            None => self.die().await,
        }
    }

    /// One seam call that cannot wait, without an effect: false is an error that may pass. A
    /// process that dies in it hears of an error, too, and comes no further than its next call.
    pub fn call_at_once(&self, operation: &'static str, subject: &str) -> bool {
        if !self.is_alive() {
            return false;
        }
        match self.admit(CallClass::Read, operation, subject) {
            Some(Admission { fault: None, .. }) => true,
            Some(Admission {
                fault: Some(Fault::Failure),
                ..
            }) => false,
            _ => {
                self.kill();
                false
            }
        }
    }

    fn admit(&self, class: CallClass, operation: &str, subject: &str) -> Option<Admission> {
        let mut inner = self.world.lock();
        if inner.calls >= inner.calls_max {
            inner.exhausted = true;
            return None;
        }
        inner.callers.push(self.id);
        let admission = inner.admit(class);
        let fault = admission
            .fault
            .map_or_else(String::new, |fault| format!("  ** {fault:?}"));
        let line = format!(
            "#{:<4} p{} {operation} {}{fault}",
            admission.call,
            self.id,
            short(subject)
        );
        inner.note(&line);
        Some(admission)
    }
}

impl Inner {
    fn apply<T>(
        &mut self,
        effect: impl FnOnce(&mut Durable, CallContext) -> T,
        context: CallContext,
    ) -> T {
        self.durable.note = None;
        let result = effect(&mut self.durable, context);
        if let Some(note) = self.durable.note.take() {
            self.note(&format!("      → {note}"));
        }
        result
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What an effect may want to know of its call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallContext {
    /// Who calls.
    pub(crate) process: u32,
    /// Answer with the version before.
    pub(crate) stale: bool,
    /// Only half of the bytes arrive.
    pub(crate) torn: bool,
}

/// The end of a path, which is what tells files apart in a trace.
fn short(path: &str) -> &str {
    let mut slashes = path.rmatch_indices('/');
    slashes.nth(2).map_or(path, |(at, _)| &path[at + 1..])
}

/// Runs a simulation to its end, on one thread and in paused time.
pub fn simulate<F: Future>(simulation: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing from the system")
        .block_on(simulation)
}
