//! FIFO admission queue for containers. Waiters are notified; nothing polls.
//!
//! The order outlives the server: each pod gets a ticket when it is first seen, and keeps it on disk.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// Position of a pod in the queue; the lowest is admitted first.
pub(super) type Ticket = u64;

/// Number of pods ahead. Coarse far back, so that hundreds of waiters need not be notified of every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueuePosition {
    Exactly(usize),
    MoreThan(usize),
}

impl QueuePosition {
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

impl fmt::Display for QueuePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(0) => f.write_str("this pod is next"),
            Self::Exactly(1) => f.write_str("1 pod is ahead"),
            Self::Exactly(count) => write!(f, "{count} pods are ahead"),
            Self::MoreThan(count) => write!(f, "more than {count} pods are ahead"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Admission {
    Waiting(QueuePosition),
    Admitted,
}

/// A limited number of slots for containers, and the pods waiting for them.
#[derive(Clone)]
pub(super) struct Queue(Arc<Mutex<State>>);

struct State {
    slots: usize,
    used: usize,
    /// Admission starts only once it is known which pods are running, and in which order the others queue.
    open: bool,
    waiting: BTreeMap<Ticket, QueuedPod>,
}

struct QueuedPod {
    requested: usize,
    admission: watch::Sender<Admission>,
}

impl Queue {
    /// Creates a queue that admits no container until it is opened.
    #[must_use]
    pub(super) fn new(slots: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            slots: slots.max(1),
            used: 0,
            open: false,
            waiting: BTreeMap::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) {
        let mut state = self.state();
        state.open = true;
        state.admit();
    }

    /// Takes slots for running containers, even if none are free.
    pub(super) fn reserve(&self, containers: usize) -> Slots {
        let mut state = self.state();
        let requested = state.requested(containers);
        state.used += requested;
        Slots {
            queue: self.clone(),
            requested,
        }
    }

    /// Queues for slots; leaves the queue when dropped.
    pub(super) fn join(&self, ticket: Ticket, containers: usize) -> Waiter {
        let mut state = self.state();
        let requested = state.requested(containers);
        let (admission, receiver) =
            watch::channel(Admission::Waiting(QueuePosition::of(state.waiting.len())));
        let last = state.waiting.last_key_value().map(|(last, _)| *last);
        state.waiting.insert(
            ticket,
            QueuedPod {
                requested,
                admission,
            },
        );
        let is_last = last.is_none_or(|last| last < ticket);
        // A new last waiter does not change the position of others.
        if state.admit_first() || !is_last {
            state.notify();
        }
        drop(state);
        Waiter {
            queue: self.clone(),
            ticket,
            requested,
            receiver,
            admitted: false,
        }
    }
}

impl State {
    fn requested(&self, containers: usize) -> usize {
        containers.clamp(1, self.slots)
    }

    /// Admits pods while slots are free. Returns whether any was admitted.
    fn admit_first(&mut self) -> bool {
        let mut any = false;
        while self.open
            && let Some(first) = self.waiting.first_entry()
            && self.used + first.get().requested <= self.slots
        {
            let first = first.remove();
            self.used += first.requested;
            first.admission.send_replace(Admission::Admitted);
            any = true;
        }
        any
    }

    /// Admits pods while slots are free, and notifies the others.
    fn admit(&mut self) {
        self.admit_first();
        self.notify();
    }

    /// Notifies each waiter whose position has changed.
    fn notify(&self) {
        for (before, waiting) in self.waiting.values().enumerate() {
            let now = Admission::Waiting(QueuePosition::of(before));
            waiting.admission.send_if_modified(|admission| {
                let changed = *admission != now;
                *admission = now;
                changed
            });
        }
    }
}

/// Slots in use, released when dropped.
pub(super) struct Slots {
    queue: Queue,
    requested: usize,
}

impl Drop for Slots {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        state.used -= self.requested;
        state.admit();
    }
}

/// A waiting pod.
pub(super) struct Waiter {
    queue: Queue,
    ticket: Ticket,
    requested: usize,
    receiver: watch::Receiver<Admission>,
    /// Whether the slots have been handed out.
    admitted: bool,
}

impl Waiter {
    /// Waits for admission. Calls `on_wait` with the position whenever it changes.
    pub(super) async fn wait(mut self, mut on_wait: impl FnMut(QueuePosition)) -> Slots {
        loop {
            let admission = *self.receiver.borrow_and_update();
            match admission {
                Admission::Admitted => {
                    self.admitted = true;
                    return Slots {
                        queue: self.queue.clone(),
                        requested: self.requested,
                    };
                }
                Admission::Waiting(position) => on_wait(position),
            }
            // The sender is dropped only after the admission was sent.
            let _ = self.receiver.changed().await;
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.admitted {
            return;
        }
        let mut state = self.queue.state();
        if state.waiting.remove(&self.ticket).is_none() {
            // Admitted at the same time: return the slots.
            state.used -= self.requested;
        }
        state.admit();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn is_admitted(admission: &mut (impl Future<Output = Slots> + Unpin)) -> Option<Slots> {
        admission.now_or_never()
    }

    #[test]
    fn admits_lowest_ticket_first() {
        let queue = Queue::new(1);
        let running = queue.reserve(1);
        let mut late = Box::pin(queue.join(7, 1).wait(|_| ()));
        let mut early = Box::pin(queue.join(3, 1).wait(|_| ()));
        queue.open();
        assert!(is_admitted(&mut late).is_none() && is_admitted(&mut early).is_none());
        drop(running);
        assert!(is_admitted(&mut late).is_none());
        let place = is_admitted(&mut early).unwrap();
        drop(place);
        assert!(is_admitted(&mut late).is_some());
    }

    #[test]
    fn admits_nobody_before_open() {
        let queue = Queue::new(1);
        let mut waiter = Box::pin(queue.join(1, 1).wait(|_| ()));
        assert!(is_admitted(&mut waiter).is_none());
        queue.open();
        assert!(is_admitted(&mut waiter).is_some());
    }

    #[test]
    fn small_pod_does_not_overtake_large_one() {
        let queue = Queue::new(2);
        queue.open();
        let running = queue.reserve(1);
        let mut large = Box::pin(queue.join(1, 5).wait(|_| ()));
        let mut small = Box::pin(queue.join(2, 1).wait(|_| ()));
        assert!(is_admitted(&mut large).is_none() && is_admitted(&mut small).is_none());
        drop(running);
        let place = is_admitted(&mut large).unwrap();
        assert!(is_admitted(&mut small).is_none());
        drop(place);
        assert!(is_admitted(&mut small).is_some());
    }

    #[test]
    fn leaving_releases_slots_even_if_admitted() {
        let queue = Queue::new(1);
        queue.open();
        let running = queue.reserve(1);
        let leaving = queue.join(1, 1);
        let mut next = Box::pin(queue.join(2, 1).wait(|_| ()));
        drop(running);
        assert!(is_admitted(&mut next).is_none(), "the first was admitted");
        drop(leaving);
        assert!(is_admitted(&mut next).is_some());
    }

    #[test]
    fn far_waiters_are_not_notified_of_each_step() {
        let queue = Queue::new(1);
        queue.open();
        let mut slots = vec![queue.reserve(1)];
        let notified = std::cell::Cell::new(0);
        let notify = |_| notified.set(notified.get() + 1);
        let mut waiting: std::collections::VecDeque<_> = (0..200)
            .map(|ticket| Box::pin(queue.join(ticket, 1).wait(notify)))
            .collect();
        while let Some(mut first) = waiting.pop_front() {
            slots.clear();
            slots.push(is_admitted(&mut first).unwrap());
            for other in &mut waiting {
                assert!(is_admitted(other).is_none());
            }
        }
        // Six exact positions and a few coarse ones, each at most once.
        assert!(notified.get() <= 200 * 12, "{}", notified.get());
    }

    #[test]
    fn formats_queue_position() {
        for (count, text) in [
            (0, "this pod is next"),
            (1, "1 pod is ahead"),
            (5, "5 pods are ahead"),
            (6, "more than 5 pods are ahead"),
            (200, "more than 100 pods are ahead"),
        ] {
            assert_eq!(QueuePosition::of(count).to_string(), text);
        }
    }
}
