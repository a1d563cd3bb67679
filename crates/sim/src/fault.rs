//! What can go wrong at a seam call, and when.

use crate::foreign::ForeignAction;

/// What a seam call does, as far as faults care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallClass {
    /// Reads a file, its status, or a folder.
    Read,
    /// Reads a catalog's pointer.
    PointerRead,
    /// Makes bytes into a file that is visible under its path.
    Write,
    /// Hands over a part of a file that is not visible yet.
    PartWrite,
    /// Removes a file.
    Delete,
    /// Creates or swaps a catalog's pointer.
    Swap,
}

/// One fault at one seam call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The writer dies; the call has no effect.
    CrashBefore,
    /// The call has its effect; then the writer dies.
    CrashAfter,
    /// The call has its effect; the caller is told of an error.
    LostReply,
    /// The call has no effect; the caller is told of an error that may pass.
    Failure,
    /// The caller is told of an error; the request lands later, after its successors, if it still can.
    Delay,
    /// The answer is one version old.
    StaleRead,
    /// Half of the file lands under its path; then the writer dies.
    TornWrite,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::CrashBefore,
        Self::CrashAfter,
        Self::LostReply,
        Self::Failure,
        Self::Delay,
        Self::StaleRead,
        Self::TornWrite,
    ];

    /// Whether the fault means anything at a call of this class, different from all other kinds.
    pub fn applies_to(self, class: CallClass) -> bool {
        let effect = !matches!(
            class,
            CallClass::Read | CallClass::PointerRead | CallClass::PartWrite
        );
        match self {
            Self::CrashBefore | Self::Failure => true,
            Self::CrashAfter | Self::LostReply | Self::Delay => effect,
            Self::StaleRead => class == CallClass::PointerRead,
            Self::TornWrite => class == CallClass::Write,
        }
    }
}

/// What happens at a call beside the call itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A fault of that call.
    Fault(Fault),
    /// Another engine acts on a table just before the call.
    Foreign(ForeignAction),
}

/// When faults happen.
#[derive(Debug, Clone, Default)]
pub struct FaultPlan {
    /// At these calls (numbered from 0 over the whole run), these events.
    pub at: Vec<(u64, Event)>,
    /// And at random ones.
    pub random: Option<RandomFaults>,
    /// Each seam call takes 0 to this many milliseconds of simulated time, which interleaves
    /// writers by the seed; 0: calls answer at once.
    pub latency_ms_max: u64,
    /// A catalog that looks whether the pointer is as expected and then sets it, in two steps.
    pub swaps_in_two_steps: bool,
    /// A storage that says "written" before it is so: a crash loses what was written last.
    pub acknowledges_early: bool,
}

/// Faults at random calls, drawn from the world's seed.
#[derive(Debug, Clone)]
pub struct RandomFaults {
    /// How many calls in 1,000 meet a fault.
    pub per_mille: u32,
    /// No more than so many in a run: after them the head must be reached (L1).
    pub faults_max: u32,
    /// How many calls in 1,000 are preceded by one of `foreign`.
    pub foreign_per_mille: u32,
    /// No more than so many of them in a run.
    pub foreign_max: u32,
    /// The foreign actions to draw from.
    pub foreign: Vec<ForeignAction>,
    /// The faults to draw from.
    pub faults: Vec<Fault>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    /// One event at one call.
    pub fn once(call: u64, event: Event) -> Self {
        Self {
            at: vec![(call, event)],
            ..Self::default()
        }
    }
}
