//! `quota`: there is room for the run: resource quotas on a real cluster, disk on the embedded node.

use super::{Check, Facts, Verdict};
use crate::cluster::{Disk, Quota as Limit};
use flightdeck_core::{quantity, runs::ContainerResources, text};

/// Bytes on the embedded node's disk below which no run is begun.
const TOO_LITTLE: u64 = 256 << 20;
/// Bytes below which a run may not get far.
const LITTLE: u64 = 2 << 30;

/// What the largest stage, the agent's, takes of each limit while it runs.
const DEMAND: &[(&str, &str)] = &[
    ("pods", "1"),
    ("count/pods", "1"),
    ("count/jobs.batch", "1"),
    ("persistentvolumeclaims", "1"),
    ("count/configmaps", "1"),
    ("configmaps", "1"),
    ("cpu", ContainerResources::AGENT.requests.cpu),
    ("requests.cpu", ContainerResources::AGENT.requests.cpu),
    ("limits.cpu", ContainerResources::AGENT.limits.cpu),
    ("memory", ContainerResources::AGENT.requests.memory),
    ("requests.memory", ContainerResources::AGENT.requests.memory),
    ("limits.memory", ContainerResources::AGENT.limits.memory),
];

pub(super) struct Quota;

impl Check for Quota {
    fn id(&self) -> &'static str {
        "quota"
    }

    fn title(&self) -> &'static str {
        "Room"
    }

    fn check(&self, facts: &Facts) -> Option<Verdict> {
        let cluster = facts.cluster.as_ref()?;
        if cluster.context.is_none() {
            return cluster.disk.as_ref().map(disk);
        }
        let quotas = cluster.answers()?.quotas.as_ref()?;
        let short = |fits: fn(&Limit, f64) -> bool| {
            quotas.iter().find(|limit| {
                let demand = DEMAND
                    .iter()
                    .find(|(resource, _)| *resource == limit.resource);
                demand
                    .and_then(|(_, demand)| quantity::parse(demand))
                    .is_some_and(|demand| !fits(limit, demand))
            })
        };
        let described = |limit: &Limit| {
            format!(
                "quota {} of namespace {} allows {} {}, {} in use",
                limit.name, cluster.namespace, limit.hard, limit.resource, limit.used
            )
        };
        if let Some(limit) = short(|limit, demand| hard(limit) >= demand) {
            return Some(Verdict::fail(described(limit)).because(
                "A stage of a run takes more than that by itself: its pod would never start.",
            ));
        }
        if let Some(limit) = short(|limit, demand| hard(limit) - used(limit) >= demand) {
            return Some(Verdict::warn(described(limit)).because(
                "The run would wait until others have ended and there is room for its pod.",
            ));
        }
        Some(Verdict::pass(if quotas.is_empty() {
            "no quota limits it".into()
        } else {
            format!("the quotas of namespace {} have room", cluster.namespace)
        }))
    }
}

fn hard(limit: &Limit) -> f64 {
    // A limit that cannot be read limits nothing here; the server will say.
    quantity::parse(&limit.hard).unwrap_or(f64::INFINITY)
}

fn used(limit: &Limit) -> f64 {
    quantity::parse(&limit.used).unwrap_or_default()
}

fn disk(disk: &Disk) -> Verdict {
    let free = disk.free;
    let message = format!("{} free at {}", text::bytes(free), disk.place.display());
    let why = "Runs clone and work there.";
    if free < TOO_LITTLE {
        Verdict::fail(message).because(why)
    } else if free < LITTLE {
        Verdict::warn(message).because(why)
    } else {
        Verdict::pass(message)
    }
}
