use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600_000_000;
const MINUTE: i64 = HOUR / 60;
const NOW: i64 = 1_000_000 * HOUR;

/// Hashes of numbers, well spread.
fn hash(number: u64) -> u128 {
    xxhash_rust::xxh3::xxh3_128(&number.to_le_bytes())
}

#[test]
fn rows_of_a_key_are_the_same_within_the_window() {
    let mut window = Window::new(HOUR, 1 << 30);
    let begin = NOW - 100 * HOUR;
    for (key, at, expected) in [
        (1, 0, Seen::First),
        (1, 0, Seen::Duplicate),
        (1, HOUR, Seen::Duplicate),
        (2, HOUR, Seen::First),
        // A little late, and the clock does not go back.
        (3, HOUR / 2, Seen::First),
        (3, HOUR, Seen::Duplicate),
        // What was dropped is no row, and keeps nothing in the window.
        (1, HOUR + 10_000, Seen::First),
        (1, HOUR + 10_001, Seen::Duplicate),
        // Before the window.
        (1, 1, Seen::Unknown),
        (2, 5 * HOUR, Seen::First),
        (1, 4 * HOUR + MINUTE, Seen::First),
    ] {
        assert_eq!(
            window.see(hash(key), begin + at, NOW),
            expected,
            "{key} at {at}"
        );
    }
    assert_eq!(window.length_micros(), HOUR);
}

#[test]
fn a_time_of_a_year_to_come_does_not_move_the_window() {
    let mut window = Window::new(HOUR, 1 << 30);
    assert_eq!(window.see(hash(1), NOW, NOW), Seen::First);
    assert_eq!(window.see(hash(2), NOW + 9_000 * HOUR, NOW), Seen::Unknown);
    // A clock that is ahead by less than a window is a clock.
    assert_eq!(window.see(hash(3), NOW + MINUTE, NOW), Seen::First);
    assert_eq!(window.see(hash(3), NOW + MINUTE, NOW), Seen::Duplicate);
    assert_eq!(window.see(hash(1), NOW - 59 * MINUTE, NOW), Seen::Duplicate);
    // Nor does one before 1970 harm.
    assert_eq!(window.see(hash(4), i64::MIN, NOW), Seen::Unknown);
    assert_eq!(window.see(hash(4), i64::MAX, NOW), Seen::Unknown);
}

#[test]
fn a_key_costs_at_most_24_bytes() {
    for keys in [500_000_u64, 777_777, 1_500_000] {
        let mut window = Window::new(HOUR, 1 << 30);
        for key in 0..keys {
            assert_eq!(window.see(hash(key), NOW, NOW), Seen::First);
        }
        assert_eq!(window.keys() as u64, keys);
        let bytes = window.bytes() as f64 / keys as f64;
        assert!(bytes <= 24.0, "{bytes} bytes a key of {keys}");
    }
}

#[test]
fn what_is_too_old_makes_room() {
    let mut window = Window::new(HOUR, 1 << 30);
    let mut most = 0;
    for key in 0..400_000 {
        // 20,000 keys an hour.
        let at = NOW - 100 * HOUR + key as i64 * (HOUR / 20_000);
        assert_eq!(window.see(hash(key), at, NOW), Seen::First);
        most = most.max(window.keys());
    }
    assert!((20_000..=41_000).contains(&most), "{most} keys");
}

#[test]
fn without_room_the_window_narrows_and_no_first_row_is_dropped() {
    let mut window = Window::new(HOUR, 2 << 20);
    let at = |key: u64| NOW - HOUR + key as i64 * (HOUR / 500_000);
    for key in 0..500_000 {
        assert_eq!(window.see(hash(key), at(key), NOW), Seen::First);
        assert!(window.bytes() <= 2 << 20);
    }
    assert!(window.narrowed() > 0);
    let length = window.length_micros();
    assert!(length > HOUR / 20 && length < HOUR / 4, "{length}");
    // What is within what is left is known; what is not, passes.
    assert_eq!(window.see(hash(499_000), at(499_000), NOW), Seen::Duplicate);
    assert_eq!(window.see(hash(3), at(3), NOW), Seen::Unknown);
}

#[test]
fn keys_of_one_moment_that_have_no_room_pass() {
    let mut window = Window::new(HOUR, 1 << 20);
    let seen: Vec<Seen> = (0..200_000)
        .map(|key| window.see(hash(key), NOW, NOW))
        .collect();
    assert!(!seen.contains(&Seen::Duplicate));
    assert!(seen.contains(&Seen::Unknown) && window.bytes() <= 1 << 20);
    assert_eq!(window.see(hash(0), NOW, NOW), Seen::Duplicate);
}

proptest! {
    /// Against the definition: a row is dropped only if one of its key is held within a window of it, and always if
    /// both are within the window that ends at the newest.
    #[test]
    fn says_what_the_definition_says(
        rows in proptest::collection::vec((0_u64..40, 0_i64..40_000), 1..400),
        narrow in any::<bool>(),
    ) {
        const WINDOW: i64 = 1_000;
        let bytes_max = if narrow { 40_000 } else { 1 << 30 };
        let mut window = Window::new(WINDOW, bytes_max);
        let mut held: HashMap<u64, Vec<i64>> = HashMap::new();
        let mut newest = i64::MIN;
        for (key, at) in rows {
            newest = newest.max(at);
            let times = held.entry(key).or_default();
            let is_held = times.iter().any(|other| (other - at).abs() <= WINDOW);
            let must_know = times.iter().any(|other| {
                *other >= newest - WINDOW && at >= newest - WINDOW
            });
            match window.see(hash(key), at, NOW) {
                Seen::Duplicate => prop_assert!(is_held),
                Seen::First | Seen::Unknown => {
                    prop_assert!(narrow || !must_know, "{key} at {at}");
                    times.push(at);
                }
            }
        }
    }
}
