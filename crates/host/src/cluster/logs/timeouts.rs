//! Timeouts of log streams.

use std::{ops::ControlFlow, pin::pin, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::source::Life;

/// How long a stream may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Reopen a stream idle for this long: the connection may be half-open, and some kubelets drop followers on log
    /// rotation.
    pub running: Duration,
    /// The same once the container has ended, when the server should have closed the stream.
    pub ended: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            running: Duration::from_secs(60),
            ended: Duration::from_secs(3),
        }
    }
}

impl Timeouts {
    /// Waits for `next` with a timeout. A following stream may be silent until `deadline`, and only briefly once the
    /// container has ended.
    pub(super) async fn wait<T>(
        self,
        next: impl Future<Output = T>,
        life: &mut watch::Receiver<Life>,
        follows: bool,
        deadline: Option<Instant>,
    ) -> ControlFlow<(), T> {
        let mut next = pin!(next);
        if follows {
            let deadline = deadline.unwrap_or_else(|| Instant::now() + self.running);
            tokio::select! {
                biased;
                read = &mut next => return ControlFlow::Continue(read),
                // The channel closes only when the follower is dropped, together with this future.
                changed = life.wait_for(|life| *life != Life::Running) => drop(changed),
                () = sleep_until(deadline) => return ControlFlow::Break(()),
            }
        }
        let timeouts = if follows { self.ended } else { self.running };
        match timeout(timeouts, next).await {
            Ok(read) => ControlFlow::Continue(read),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
