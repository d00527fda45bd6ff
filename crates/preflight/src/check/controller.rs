//! `controller`: a controller is running.

use super::{Check, Facts, Verdict};
use crate::cluster::{Controller as Found, LEASE, Reachability};
use flightdeck_core::text;

pub(super) struct Controller;

impl Check for Controller {
    fn id(&self) -> &'static str {
        "controller"
    }

    fn title(&self) -> &'static str {
        "Controller"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let cluster = facts.cluster.as_ref()?;
        let found = match &cluster.reached {
            Reachability::NotRunning => &Found::Embedded,
            Reachability::Unreachable(_) => return None,
            Reachability::Reachable(state) => &state.controller,
        };
        let place = format!("namespace {} of {}", cluster.namespace, cluster.name());
        let nothing_starts = "Without a controller a run stays Pending.";
        Some(match found {
            Found::Embedded => Verdict::pass("the embedded server is the controller"),
            Found::Alive { holder } => Verdict::pass(format!("{holder} is running")),
            Found::Released => Verdict::fail(format!(
                "no controller is running in {place}: the last one exited"
            ))
            .because(nothing_starts),
            Found::Stale { holder, seconds } => Verdict::fail(format!(
                "no heartbeat from the controller {holder} for {}",
                text::age((*seconds).max(0))
            ))
            .because(nothing_starts),
            Found::Absent => Verdict::fail(format!("no controller is running in {place}")).because(
                format!("{nothing_starts} The Lease {LEASE} does not exist."),
            ),
            Found::Unknown => Verdict::warn(format!(
                "cannot tell whether a controller is running in {place}"
            ))
            .because(format!(
                "You may not get the Lease {LEASE}. {nothing_starts}"
            )),
        })
    }
}
