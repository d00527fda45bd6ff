//! A small mutation fuzzer: a fixed number of damaged inputs, or as many as fit into `FLIGHTDECK_FUZZ_SECONDS`. An input that makes
//! the code panic is printed whole.

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

/// Returns the time to fuzz for, if one is set.
pub fn long() -> Option<Duration> {
    let seconds = std::env::var("FLIGHTDECK_FUZZ_SECONDS").ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// Calls `ask` with `count` inputs: seeds with bytes removed, duplicated, changed, or replaced by one of `pieces`.
pub fn many(count: u64, seeds: &[Vec<u8>], pieces: &[&str], ask: fn(&[u8], &mut Numbers)) {
    let begun = Instant::now();
    let long = long();
    let start = long.map_or(0x9e37_79b9_7f4a_7c15, |_| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap().as_nanos() as u64 | 1
    });
    let mut numbers = Numbers(start);
    let mut asked = 0u64;
    while long.map_or(asked < count, |long| begun.elapsed() < long) {
        let bytes = damaged(seeds, pieces, &mut numbers);
        let state = numbers.0;
        let answered = catch_unwind(|| ask(&bytes, &mut Numbers(state)));
        assert!(answered.is_ok(), "{:?}", String::from_utf8_lossy(&bytes));
        asked += 1;
    }
    if long.is_some() {
        println!("{asked} damaged inputs, from {start:#x}");
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
