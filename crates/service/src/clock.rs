//! Time and ids come in as arguments, so that simulated runs own both.

use std::fmt::Debug;

use uuid::Uuid;

/// The wall clock.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn now_micros(&self) -> i64;

    /// Milliseconds since 1970-01-01T00:00:00Z, the unit of Iceberg's metadata.
    fn now_millis(&self) -> i64 {
        self.now_micros().div_euclid(1_000)
    }
}

/// A source of unique ids.
pub trait Ids: Debug + Send + Sync + 'static {
    /// A fresh UUID (version 7 in life: names sort by time).
    fn uuid(&self) -> Uuid;

    /// A fresh positive snapshot id.
    fn snapshot_id(&self) -> i64 {
        let (high, low) = self.uuid().as_u64_pair();
        ((high.rotate_left(17) ^ low) & (i64::MAX as u64)).max(1) as i64
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_micros(&self) -> i64 {
        jiff::Timestamp::now().as_microsecond()
    }
}

/// Random ids.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where ids are made"
    )]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the one place where ids are made"
    )]
    fn snapshot_id(&self) -> i64 {
        // Version 4: all of its bits but six are random, where version 7 begins with the time.
        let (high, low) = Uuid::new_v4().as_u64_pair();
        ((high ^ low.rotate_left(32)) & (i64::MAX as u64)).max(1) as i64
    }
}
