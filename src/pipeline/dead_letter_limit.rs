//! The limit on dead letters while writing: a definition that is wrong for most records must not turn a stream
//! into dead letters while nobody looks.

use std::{collections::VecDeque, time::Duration};

use frazil_dataset::{Limits, OverLimit};
use frazil_table::commit::Counts;
use tokio::time::Instant;

/// Of fewer records a share says nothing.
const RECORDS_MIN: u64 = 1_000;

/// The checkpoints of the window.
#[derive(Debug)]
pub(super) struct DeadLetterLimit {
    limits: Limits,
    /// Whether somebody decided that too many are right, until they no longer are too many.
    is_accepted: bool,
    committed: VecDeque<(Instant, u64, u64)>,
}

/// What becomes of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Verdict {
    /// It is committed.
    Within,
    /// It is committed, and said.
    Warn(Window),
    /// It is not committed.
    Stop(Window),
}

/// What the window holds, the checkpoint included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// Records.
    pub(super) records: u64,
    /// Dead letters among them.
    pub(super) dead_letters: u64,
}

impl Window {
    /// Dead letters, as a share of the records.
    fn share(self) -> f64 {
        self.dead_letters as f64 / self.records.max(1) as f64
    }

    /// The share, where there are enough records for it to say something.
    pub(super) fn meaning(self) -> Option<f64> {
        (self.records >= RECORDS_MIN).then(|| self.share())
    }
}

impl DeadLetterLimit {
    /// A window without records.
    pub(super) fn new(limits: Limits, is_accepted: bool) -> Self {
        Self {
            limits,
            is_accepted,
            committed: VecDeque::new(),
        }
    }

    /// What becomes of a checkpoint with these counts.
    pub(super) fn judge(&mut self, counts: &Counts, now: Instant) -> (Verdict, Window) {
        let is_past = |at: Instant| now.duration_since(at) > self.limits.window;
        while self.committed.front().is_some_and(|(at, ..)| is_past(*at)) {
            self.committed.pop_front();
        }
        let mut window = Window {
            records: counts.records_read,
            dead_letters: counts.dead_letters,
        };
        for (_, records, dead_letters) in &self.committed {
            window.records += records;
            window.dead_letters += dead_letters;
        }
        let share = window.meaning();
        let is_over = share.is_some_and(|share| share > self.limits.dead_letters_max.0);
        let verdict = match self.limits.then {
            // What is over only by what was accepted before is not held against records without any.
            OverLimit::Stop if is_over && !self.is_accepted && counts.dead_letters > 0 => {
                Verdict::Stop(window)
            }
            _ if is_over && counts.dead_letters > 0 => Verdict::Warn(window),
            _ => Verdict::Within,
        };
        if !is_over && share.is_some() {
            self.is_accepted = false;
        }
        (verdict, window)
    }

    /// The checkpoint was committed.
    pub(super) fn committed(&mut self, counts: &Counts, now: Instant) {
        if counts.records_read > 0 {
            let one = (now, counts.records_read, counts.dead_letters);
            self.committed.push_back(one);
        }
    }

    /// Over how long it looks.
    pub(super) fn window(&self) -> Duration {
        self.limits.window
    }

    /// The share that is too many.
    pub(super) fn max(&self) -> f64 {
        self.limits.dead_letters_max.0
    }
}

#[cfg(test)]
mod tests {
    use frazil_dataset::Share;

    use super::*;

    fn limit(then: OverLimit, is_accepted: bool) -> DeadLetterLimit {
        let limits = Limits {
            dead_letters_max: Share(0.1),
            window: Duration::from_mins(1),
            then,
            record_bytes_max: 1,
        };
        DeadLetterLimit::new(limits, is_accepted)
    }

    fn counts(records_read: u64, dead_letters: u64) -> Counts {
        Counts {
            records_read,
            dead_letters,
            ..Counts::default()
        }
    }

    fn is_stopped(limit: &mut DeadLetterLimit, counts: &Counts, now: Instant) -> bool {
        let (verdict, _) = limit.judge(counts, now);
        let stops = matches!(verdict, Verdict::Stop(_));
        if !stops {
            limit.committed(counts, now);
        }
        stops
    }

    #[tokio::test]
    async fn a_share_counts_from_a_thousand_records_of_the_window_on() {
        let mut limit = limit(OverLimit::Stop, false);
        let start = Instant::now();
        assert!(!is_stopped(&mut limit, &counts(999, 999), start));
        // What is past is past.
        let later = start + Duration::from_secs(61);
        assert!(!is_stopped(&mut limit, &counts(500, 500), later));
        assert!(is_stopped(&mut limit, &counts(500, 1), later));
        assert!(!is_stopped(&mut limit, &counts(9_500, 1), later));
        // Exactly the limit is within it.
        assert!(!is_stopped(&mut limit, &counts(0, 0), later));
    }

    #[tokio::test]
    async fn who_accepts_accepts_until_they_are_few_again() {
        let mut limit = limit(OverLimit::Stop, true);
        let start = Instant::now();
        assert!(!is_stopped(&mut limit, &counts(2_000, 2_000), start));
        assert!(!is_stopped(&mut limit, &counts(2_000, 1), start));
        let later = start + Duration::from_secs(61);
        assert!(!is_stopped(&mut limit, &counts(2_000, 1), later));
        assert!(is_stopped(&mut limit, &counts(2_000, 2_000), later));
    }

    #[tokio::test]
    async fn who_only_warns_never_stops() {
        let mut limit = limit(OverLimit::Warn, false);
        let (verdict, window) = limit.judge(&counts(2_000, 2_000), Instant::now());
        assert_eq!(verdict, Verdict::Warn(window));
        assert!((window.share() - 1.0).abs() < 1e-12);
    }
}
