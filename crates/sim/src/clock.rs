//! Simulated time and ids, both functions of the seed.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use frazil_service::clock::{Clock, Ids};
use rand::{Rng, SeedableRng, rngs::StdRng};
use uuid::Uuid;

use crate::world::World;

/// One process's wall clock: the world's time, skewed.
#[derive(Clone)]
pub struct SimClock {
    world: World,
    skew_micros: i64,
}

impl SimClock {
    /// A clock that is `skew_micros` ahead of the world's.
    pub fn new(world: World, skew_micros: i64) -> Self {
        Self { world, skew_micros }
    }
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimClock")
            .field("skew_micros", &self.skew_micros)
            .finish_non_exhaustive()
    }
}

impl Clock for SimClock {
    fn now_micros(&self) -> i64 {
        self.world.now_micros() + self.skew_micros
    }
}

/// Ids drawn from a seed.
#[derive(Debug)]
pub struct SimIds(Mutex<StdRng>);

impl SimIds {
    /// Ids that only this seed gives.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }
}

impl Ids for SimIds {
    fn uuid(&self) -> Uuid {
        let mut rng = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uuid::Builder::from_random_bytes(rng.random()).into_uuid()
    }
}
