//! A small mutation fuzzer. Runs a fixed number of damaged inputs, or for `FLIGHTDECK_FUZZ_SECONDS`. Prints an input that causes
//! a panic.

use std::{
    panic::catch_unwind,
    time::{Duration, Instant},
};

/// Pseudo-random numbers (xorshift): the same sequence for the same seed.
pub struct Numbers(u64);

impl Numbers {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Returns the duration from `FLIGHTDECK_FUZZ_SECONDS`, if set.
pub fn duration() -> Option<Duration> {
    let seconds = std::env::var("FLIGHTDECK_FUZZ_SECONDS").ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// Calls `check` with `count` inputs: seeds with bytes removed, duplicated, changed, or replaced by one of `pieces`.
pub fn run(count: u64, seeds: &[Vec<u8>], pieces: &[&str], check: fn(&[u8], &mut Numbers)) {
    let started = Instant::now();
    let duration = duration();
    let seed = duration.map_or(0x9e37_79b9_7f4a_7c15, |_| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap().as_nanos() as u64 | 1
    });
    let mut numbers = Numbers(seed);
    let mut checked = 0u64;
    while duration.map_or(checked < count, |duration| started.elapsed() < duration) {
        let bytes = damaged(seeds, pieces, &mut numbers);
        let state = numbers.0;
        let result = catch_unwind(|| check(&bytes, &mut Numbers(state)));
        assert!(result.is_ok(), "{:?}", String::from_utf8_lossy(&bytes));
        checked += 1;
    }
    if duration.is_some() {
        println!("{checked} damaged inputs, seed {seed:#x}");
    }
}

fn damaged(seeds: &[Vec<u8>], pieces: &[&str], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(6) {
        let at = numbers.below(bytes.len() + 1);
        let end = (at + numbers.below(40)).min(bytes.len());
        match numbers.below(7) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.truncate(at),
            2 if at < bytes.len() => bytes[at] = numbers.below(256) as u8,
            3 => {
                let copy = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len() + 1);
                drop(bytes.splice(to..to, copy));
            }
            4 => {
                let other = &seeds[numbers.below(seeds.len())];
                let from = numbers.below(other.len() + 1);
                let until = (from + numbers.below(200)).min(other.len());
                drop(bytes.splice(at..end, other[from..until].iter().copied()));
            }
            _ => {
                let piece = pieces[numbers.below(pieces.len())].bytes();
                drop(bytes.splice(at..at, piece));
            }
        }
    }
    bytes
}
