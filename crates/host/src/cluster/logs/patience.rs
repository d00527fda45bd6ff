//! How long an answer is waited for.

use std::{ops::ControlFlow, pin::pin, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

use super::source::Life;

/// How long a stream may be silent.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A stream that brought nothing for this long is opened anew: a connection may be dead without anybody having said
    /// so, and some kubelets forget their followers when a log is rotated.
    pub running: Duration,
    /// The same, once the container has ended and the server ought to have closed the stream.
    pub ended: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            running: Duration::from_secs(60),
            ended: Duration::from_secs(3),
        }
    }
}

impl Patience {
    /// Waits for `next`, but not for ever. A stream that follows a container is waited for until `deadline`, and not long once
    /// the container has ended; any other has to bring something.
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
                // An end of the channel is an end of the follower, which drops this very future.
                changed = life.wait_for(|life| *life != Life::Running) => drop(changed),
                () = sleep_until(deadline) => return ControlFlow::Break(()),
            }
        }
        let patience = if follows { self.ended } else { self.running };
        match timeout(patience, next).await {
            Ok(read) => ControlFlow::Continue(read),
            Err(_) => ControlFlow::Break(()),
        }
    }
}
