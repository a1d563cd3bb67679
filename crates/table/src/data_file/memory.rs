//! One limit on memory for all writers of a process.
//!
//! Guarantees: while all writers together are within the limit, nobody gives anything up. Beyond it, whoever holds at
//! least an equal share must shrink, so that a writer of little is not made to write small files by one of much, and
//! who is alone may take all of it. The sum is at most twice the limit for the moment that it takes them to notice.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// How much memory writers may hold together.
#[derive(Debug)]
pub struct MemoryBudget {
    max_bytes: usize,
    used_bytes: AtomicUsize,
    /// Writers that hold anything.
    holders: AtomicUsize,
    /// Told when the limit is passed and whoever noticed holds too little to help.
    pressed: Notify,
}

impl MemoryBudget {
    /// A budget of that many bytes.
    pub fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            max_bytes,
            used_bytes: AtomicUsize::new(0),
            holders: AtomicUsize::new(0),
            pressed: Notify::new(),
        })
    }

    /// What all writers hold, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// The limit, in bytes.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// What each may hold beyond the limit, in bytes.
    fn share_bytes(&self) -> usize {
        self.max_bytes / self.holders.load(Ordering::Relaxed).max(1)
    }

    /// Waits until others are short of memory. A writer that waits for rows then looks whether it must shrink.
    pub async fn pressed(&self) {
        self.pressed.notified().await;
    }
}

/// One writer's part of a budget, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

impl Held {
    pub(super) fn new(budget: Arc<MemoryBudget>) -> Self {
        Self { budget, bytes: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn share_bytes(&self) -> usize {
        self.budget.share_bytes()
    }

    /// Changes what is held.
    pub(super) fn change(&mut self, from: usize, to: usize) {
        let before = self.bytes;
        self.bytes = before - from + to;
        let used = &self.budget.used_bytes;
        if self.bytes >= before {
            used.fetch_add(self.bytes - before, Ordering::Relaxed);
        } else {
            used.fetch_sub(before - self.bytes, Ordering::Relaxed);
        }
        match (before, self.bytes) {
            (0, 1..) => self.budget.holders.fetch_add(1, Ordering::Relaxed),
            (1.., 0) => self.budget.holders.fetch_sub(1, Ordering::Relaxed),
            _ => 0,
        };
    }

    /// Whether this writer is one of those that must hold less. Where others are, they are told.
    pub(super) fn must_shrink(&self) -> bool {
        if self.budget.used_bytes() <= self.budget.max_bytes || self.bytes == 0 {
            return false;
        }
        let must = self.bytes >= self.budget.share_bytes();
        if !must {
            self.budget.pressed.notify_waiters();
        }
        must
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.change(self.bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_alone_may_take_all() {
        let budget = MemoryBudget::new(100);
        let mut one = Held::new(Arc::clone(&budget));
        one.change(0, 100);
        assert!(!one.must_shrink());
        one.change(0, 1);
        assert!(one.must_shrink());
        drop(one);
        assert_eq!(budget.used_bytes(), 0);
        assert_eq!(budget.share_bytes(), 100);
    }

    #[tokio::test]
    async fn who_holds_most_makes_room_for_who_holds_little() {
        let budget = MemoryBudget::new(100);
        let mut large = Held::new(Arc::clone(&budget));
        let mut small = Held::new(Arc::clone(&budget));
        large.change(0, 95);
        small.change(0, 10);
        let waiting = budget.pressed();
        tokio::pin!(waiting);
        // Begins to wait.
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(!small.must_shrink());
        waiting.await;
        assert!(large.must_shrink());
        large.change(95, 60);
        assert!(!large.must_shrink() && !small.must_shrink());
    }
}
