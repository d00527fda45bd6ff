//! Who runs next: places for containers, first come, first served. Nothing is looked at again and again: who waits is told.
//!
//! The order outlives the server: each pod draws a number when it is first seen, and keeps it on disk.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// What a pod draws when it is first seen; the lowest is served first.
pub type Ticket = u64;

/// How many are before one who waits. Coarse far back, so that hundreds need not be told each time one leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ahead {
    Exactly(usize),
    MoreThan(usize),
}

impl Ahead {
    fn of(count: usize) -> Self {
        match count {
            0..=5 => Self::Exactly(count),
            6..=10 => Self::MoreThan(5),
            11..=20 => Self::MoreThan(10),
            21..=50 => Self::MoreThan(20),
            51..=100 => Self::MoreThan(50),
            _ => Self::MoreThan(100),
        }
    }
}

impl fmt::Display for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(0) => f.write_str("this pod is next"),
            Self::Exactly(1) => f.write_str("1 pod is before this one"),
            Self::Exactly(count) => write!(f, "{count} pods are before this one"),
            Self::MoreThan(count) => write!(f, "more than {count} pods are before this one"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Waits(Ahead),
    Come,
}

/// Places for containers, and those who wait for them.
#[derive(Clone)]
pub struct Queue(Arc<Mutex<State>>);

struct State {
    places: usize,
    taken: usize,
    /// Nobody is served before it is known who runs already, and who was here first.
    open: bool,
    waiting: BTreeMap<Ticket, Waiting>,
}

struct Waiting {
    share: usize,
    turn: watch::Sender<Turn>,
}

impl Queue {
    /// A queue that serves nobody until it is opened.
    #[must_use]
    pub fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            places: places.max(1),
            taken: 0,
            open: false,
            waiting: BTreeMap::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn open(&self) {
        let mut state = self.state();
        state.open = true;
        state.serve();
    }

    /// Takes places for containers that run already and cannot wait, be there room or not.
    pub fn occupy(&self, containers: usize) -> Place {
        let mut state = self.state();
        let share = state.share(containers);
        state.taken += share;
        Place {
            queue: self.clone(),
            share,
        }
    }

    /// Waits for places for so many containers; leaves the queue when dropped.
    pub fn join(&self, ticket: Ticket, containers: usize) -> Waiter {
        let mut state = self.state();
        let share = state.share(containers);
        let (turn, told) = watch::channel(Turn::Waits(Ahead::of(state.waiting.len())));
        let last = state.waiting.last_key_value().map(|(last, _)| *last);
        state.waiting.insert(ticket, Waiting { share, turn });
        let is_last = last.is_none_or(|last| last < ticket);
        // Who comes last changes nobody's place.
        if state.serve_first() || !is_last {
            state.tell();
        }
        drop(state);
        Waiter {
            queue: self.clone(),
            ticket,
            share,
            told,
            served: false,
        }
    }
}

impl State {
    fn share(&self, containers: usize) -> usize {
        containers.clamp(1, self.places)
    }

    /// Gives out the places that are free. Whether any was given.
    fn serve_first(&mut self) -> bool {
        let mut any = false;
        while self.open
            && let Some(first) = self.waiting.first_entry()
            && self.taken + first.get().share <= self.places
        {
            let first = first.remove();
            self.taken += first.share;
            first.turn.send_replace(Turn::Come);
            any = true;
        }
        any
    }

    /// Gives out the places that are free, and tells the others.
    fn serve(&mut self) {
        self.serve_first();
        self.tell();
    }

    /// Tells each how many are before it, when that is news.
    fn tell(&self) {
        for (before, waiting) in self.waiting.values().enumerate() {
            let now = Turn::Waits(Ahead::of(before));
            waiting.turn.send_if_modified(|turn| {
                let news = *turn != now;
                *turn = now;
                news
            });
        }
    }
}

/// Places that are taken, until dropped.
pub struct Place {
    queue: Queue,
    share: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.taken -= self.share;
        state.serve();
    }
}

/// One who waits.
pub struct Waiter {
    queue: Queue,
    ticket: Ticket,
    share: usize,
    told: watch::Receiver<Turn>,
    /// The place has been handed on.
    served: bool,
}

impl Waiter {
    /// Resolves when its turn has come; `waits` hears how many are before it, when it is not its turn at once.
    pub async fn turn(mut self, mut waits: impl FnMut(Ahead)) -> Place {
        loop {
            let turn = *self.told.borrow_and_update();
            match turn {
                Turn::Come => {
                    self.served = true;
                    return Place {
                        queue: self.queue.clone(),
                        share: self.share,
                    };
                }
                Turn::Waits(ahead) => waits(ahead),
            }
            // Its sender goes only after the turn was told.
            let _ = self.told.changed().await;
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.served {
            return;
        }
        let mut state = self.queue.state();
        if state.waiting.remove(&self.ticket).is_none() {
            // Its turn came as it left.
            state.taken -= self.share;
        }
        state.serve();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn is_served(turn: &mut (impl Future<Output = Place> + Unpin)) -> Option<Place> {
        turn.now_or_never()
    }

    #[test]
    fn the_lowest_number_is_served_first_whenever_it_came() {
        let queue = Queue::new(1);
        let running = queue.occupy(1);
        let mut late = Box::pin(queue.join(7, 1).turn(|_| ()));
        let mut early = Box::pin(queue.join(3, 1).turn(|_| ()));
        queue.open();
        assert!(is_served(&mut late).is_none() && is_served(&mut early).is_none());
        drop(running);
        assert!(is_served(&mut late).is_none());
        let place = is_served(&mut early).unwrap();
        drop(place);
        assert!(is_served(&mut late).is_some());
    }

    #[test]
    fn nobody_is_served_before_it_is_known_who_runs() {
        let queue = Queue::new(1);
        let mut waiter = Box::pin(queue.join(1, 1).turn(|_| ()));
        assert!(is_served(&mut waiter).is_none());
        queue.open();
        assert!(is_served(&mut waiter).is_some());
    }

    #[test]
    fn a_small_one_does_not_overtake_a_large_one() {
        let queue = Queue::new(2);
        queue.open();
        let running = queue.occupy(1);
        let mut large = Box::pin(queue.join(1, 5).turn(|_| ()));
        let mut small = Box::pin(queue.join(2, 1).turn(|_| ()));
        assert!(is_served(&mut large).is_none() && is_served(&mut small).is_none());
        drop(running);
        let place = is_served(&mut large).unwrap();
        assert!(is_served(&mut small).is_none());
        drop(place);
        assert!(is_served(&mut small).is_some());
    }

    #[test]
    fn who_leaves_makes_room_even_when_just_served() {
        let queue = Queue::new(1);
        queue.open();
        let running = queue.occupy(1);
        let leaving = queue.join(1, 1);
        let mut next = Box::pin(queue.join(2, 1).turn(|_| ()));
        drop(running);
        assert!(is_served(&mut next).is_none(), "the first was served");
        drop(leaving);
        assert!(is_served(&mut next).is_some());
    }

    #[test]
    fn of_two_hundred_only_those_near_the_front_hear_of_each_step() {
        let queue = Queue::new(1);
        queue.open();
        let mut places = vec![queue.occupy(1)];
        let heard = std::cell::Cell::new(0);
        let tell = |_| heard.set(heard.get() + 1);
        let mut waiting: std::collections::VecDeque<_> = (0..200)
            .map(|ticket| Box::pin(queue.join(ticket, 1).turn(tell)))
            .collect();
        while let Some(mut first) = waiting.pop_front() {
            places.clear();
            places.push(is_served(&mut first).unwrap());
            for other in &mut waiting {
                assert!(is_served(other).is_none());
            }
        }
        // Six exact numbers, and a handful of coarse ones, each at most once.
        assert!(heard.get() <= 200 * 12, "{}", heard.get());
    }

    #[test]
    fn a_place_in_the_queue_is_a_sentence() {
        for (count, text) in [
            (0, "this pod is next"),
            (1, "1 pod is before this one"),
            (5, "5 pods are before this one"),
            (6, "more than 5 pods are before this one"),
            (200, "more than 100 pods are before this one"),
        ] {
            assert_eq!(Ahead::of(count).to_string(), text);
        }
    }
}
