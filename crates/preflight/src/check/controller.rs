//! `controller`: something looks after the run once it is created.

use super::{Check, Facts, Verdict};
use crate::cluster::{Controller as Found, LEASE, Reached};
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
            Reached::Asleep => &Found::Itself,
            Reached::No(_) => return None,
            Reached::Yes(answers) => &answers.controller,
        };
        let place = format!("namespace {} of {}", cluster.namespace, cluster.name());
        let nothing_starts =
            "A run would be created and stay Pending: nothing would start its stages.";
        Some(match found {
            Found::Itself => Verdict::pass("the embedded server is the controller"),
            Found::Alive { holder } => Verdict::pass(format!("{holder} is at work")),
            Found::Released => {
                Verdict::fail(format!("no controller is at work in {place}: the last one ended"))
                    .because(nothing_starts)
            }
            Found::Stale { holder, seconds } => Verdict::fail(format!(
                "the controller {holder} gave no sign of life for {}",
                text::age((*seconds).max(0))
            ))
            .because(nothing_starts),
            Found::Absent => Verdict::fail(format!("no controller is at work in {place}"))
                .because(format!(
                    "{nothing_starts} A controller holds the Lease {LEASE} there while it works, and there is none."
                )),
            Found::Unknown => Verdict::warn(format!(
                "whether a controller is at work in {place} cannot be seen"
            ))
            .because(format!(
                "You may not get the Lease {LEASE}. Where none is at work, a run stays Pending."
            )),
        })
    }
}
