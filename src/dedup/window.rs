//! The keys of the last hour (or whatever the window is), by the records' own clock.
//!
//! The window ends at the newest time that was seen, and no later than the wall clock. A row before its start cannot
//! be known; it is let through. So is one that is further ahead of the wall clock than a window: one record of a year
//! to come must not move the window away from all others.
//!
//! Where keys need more memory than they may take, the window's start moves up until there is room. Then more
//! duplicates are let through, and no row is ever dropped that is not one.

use super::shard::{HASH_BITS, Place, Shard, TICKS};

/// Keys are shared out by the upper bits of their hash, so that growing copies little at a time.
const SHARDS: usize = 1 << (128 - HASH_BITS);

/// The parts that a window's times are told apart by. A time of an entry is counted modulo eight windows.
const TICKS_A_WINDOW: i64 = (TICKS / 8) as i64;

/// How much of the keys goes when there is no room, as a part of a window with evenly spread keys.
const NARROWED_PARTS: usize = 64;

/// What a row is to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The first of its key; it is remembered.
    First,
    /// A row of its key is there.
    Duplicate,
    /// It is outside of the window: nothing can be said of it.
    Unknown,
}

/// The window.
#[derive(Debug)]
pub(super) struct Window {
    shards: Vec<Shard>,
    /// A time's unit in microseconds.
    tick_micros: i64,
    asked_ticks: i64,
    /// The window's length in microseconds.
    asked_micros: i64,
    /// The newest time, in ticks.
    newest: Option<i64>,
    /// Where memory made the window begin, in ticks.
    floor: i64,
    /// When entries that are too old were last let go, in ticks of `newest`.
    swept: i64,
    bytes: usize,
    bytes_max: usize,
    narrowed: u64,
    /// Until the newest time is that, nothing more is remembered than there is room for: making some did not help.
    full_until: i64,
}

impl Window {
    /// Without keys.
    pub(super) fn new(window_micros: i64, bytes_max: usize) -> Self {
        let window_micros = window_micros.max(1);
        // Rounded up, so that a window is at most as many ticks as it has.
        let tick_micros = (window_micros - 1) / TICKS_A_WINDOW + 1;
        let mut shards = Vec::new();
        shards.resize_with(SHARDS, Shard::default);
        Self {
            shards,
            tick_micros,
            asked_ticks: window_micros / tick_micros,
            asked_micros: window_micros,
            newest: None,
            floor: i64::MIN,
            swept: i64::MIN,
            bytes: 0,
            bytes_max,
            narrowed: 0,
            full_until: i64::MIN,
        }
    }

    /// Looks a row up, and remembers it where it is the first of its key.
    pub(super) fn see(&mut self, hash: u128, at_micros: i64, now_micros: i64) -> Seen {
        if at_micros > now_micros.saturating_add(self.asked_micros) {
            return Seen::Unknown;
        }
        let at = at_micros.div_euclid(self.tick_micros);
        self.advance(at.min(now_micros.div_euclid(self.tick_micros)));
        if at < self.start() {
            return Seen::Unknown;
        }
        let (shard, hash) = split(hash);
        let ticks = modulo(at);
        match self.shards[shard].find(hash) {
            Place::Held {
                at: slot,
                ticks: held,
            } => {
                // Both are within a few windows of each other, so that the shorter way round is right.
                let apart = i64::from(ticks.wrapping_sub(held) % TICKS);
                let apart = apart.min(i64::from(TICKS) - apart);
                if apart <= self.asked_ticks {
                    return Seen::Duplicate;
                }
                self.shards[shard].set_ticks(slot, ticks);
            }
            Place::Free { .. } => {
                if !self.make_room(shard, at) {
                    return Seen::Unknown;
                }
                let shard = &mut self.shards[shard];
                let before = shard.bytes();
                shard.insert(hash, ticks);
                self.bytes = self.bytes + shard.bytes() - before;
            }
        }
        Seen::First
    }

    /// How many keys there are, those included that are too old by now.
    pub(super) fn keys(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
    }

    /// The memory of the keys, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How long the window is, in microseconds; less than was asked for where memory made it so.
    pub(super) fn length_micros(&self) -> i64 {
        match self.newest {
            Some(newest) if self.floor > newest - self.asked_ticks => {
                (newest - self.floor).max(0) * self.tick_micros
            }
            _ => self.asked_micros,
        }
    }

    /// How often memory made it shorter.
    pub(super) fn narrowed(&self) -> u64 {
        self.narrowed
    }

    fn start(&self) -> i64 {
        let newest = self.newest.unwrap_or(i64::MIN);
        newest.saturating_sub(self.asked_ticks).max(self.floor)
    }

    fn advance(&mut self, to: i64) {
        if self.newest.is_some_and(|newest| newest >= to) {
            return;
        }
        self.newest = Some(to);
        if self.swept == i64::MIN {
            self.swept = to;
        }
        // Before times come round again, and so that what is old does not stay.
        if to - self.swept >= self.asked_ticks {
            self.sweep();
        }
    }

    /// Lets the keys go that are before the window.
    fn sweep(&mut self) {
        let (Some(newest), start) = (self.newest, self.start()) else {
            return;
        };
        // Then a time might be taken for one that is eight windows later. What was there is at most two windows after
        // the last sweep, since a row may be one ahead.
        let has_jumped = newest - self.swept >= 3 * self.asked_ticks;
        let limit = newest - start;
        let newest_ticks = modulo(newest);
        for shard in &mut self.shards {
            if has_jumped {
                *shard = Shard::default();
            } else {
                shard.retain(|ticks| age(newest_ticks, ticks) <= limit);
            }
        }
        self.bytes = self.shards.iter().map(Shard::bytes).sum();
        self.swept = newest;
    }

    /// Whether a key of that time can be added to a shard, once the window began later.
    fn make_room(&mut self, shard: usize, at: i64) -> bool {
        let growth = self.shards[shard].growth_bytes();
        if growth == 0 || self.bytes + growth <= self.bytes_max {
            return true;
        }
        let newest = self.newest.unwrap_or(at);
        if newest < self.full_until {
            return false;
        }
        self.sweep();
        let growth = self.shards[shard].growth_bytes();
        if growth > 0 && self.bytes + growth > self.bytes_max {
            self.narrow();
        }
        let growth = self.shards[shard].growth_bytes();
        let has_room = growth == 0 || self.bytes + growth <= self.bytes_max;
        if !has_room {
            self.full_until = newest + self.asked_ticks / NARROWED_PARTS as i64 + 1;
        }
        has_room && at >= self.start()
    }

    /// Moves the window's start up, so that an eighth of the keys go.
    fn narrow(&mut self) {
        let Some(newest) = self.newest else { return };
        let newest_ticks = modulo(newest);
        let mut ages = [0_usize; NARROWED_PARTS + 1];
        for ticks in self.shards.iter().flat_map(Shard::ticks) {
            let part = age(newest_ticks, ticks).clamp(0, self.asked_ticks) * NARROWED_PARTS as i64
                / self.asked_ticks;
            ages[part as usize] += 1;
        }
        let to_go = self.keys() / 8 + 1;
        let (mut gone, mut part) = (0, NARROWED_PARTS + 1);
        while gone < to_go && part > 0 {
            part -= 1;
            gone += ages[part];
        }
        let kept = part as i64 * self.asked_ticks / NARROWED_PARTS as i64;
        self.floor = newest - kept;
        self.narrowed += 1;
        self.sweep();
    }
}

/// The shard, and what it keeps of a hash.
fn split(hash: u128) -> (usize, u128) {
    let shard = (hash >> HASH_BITS) as usize;
    // 0 is an empty slot.
    (shard, (hash & ((1 << HASH_BITS) - 1)).max(1))
}

fn modulo(ticks: i64) -> u32 {
    ticks.rem_euclid(i64::from(TICKS)) as u32
}

/// How long before `newest` a time is; less than 0 where it is after.
fn age(newest: u32, ticks: u32) -> i64 {
    let behind = i64::from(newest.wrapping_sub(ticks) % TICKS);
    if behind > i64::from(TICKS / 2) {
        behind - i64::from(TICKS)
    } else {
        behind
    }
}

#[cfg(test)]
mod tests;
