//! `quota`: resource quotas of a real cluster, free disk space of the embedded node.

use super::{Check, Facts, Verdict};
use crate::cluster::{Disk, Quota as Limit};
use flightdeck_core::{quantity, runs::ContainerResources, text};

/// Free bytes below which the embedded node starts no container, if its settings are unknown.
const DISK_MINIMUM: u64 = 256 << 20;
/// Free bytes above the node's minimum below which a run may fail.
const DISK_LOW: u64 = 2 << 30;

/// Demand of the largest stage, the agent, on each resource.
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
            let settings = cluster.settings.as_ref();
            let minimum =
                settings.map(|settings| settings.embedded.free_mib.saturating_mul(1 << 20));
            let minimum = minimum.unwrap_or(DISK_MINIMUM);
            return cluster.disk.as_ref().map(|found| disk(found, minimum));
        }
        let quotas = cluster.state()?.quotas.as_ref()?;
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
                "quota {} in namespace {} allows {} {}; {} in use",
                limit.name, cluster.namespace, limit.hard, limit.resource, limit.used
            )
        };
        if let Some(limit) = short(|limit, demand| hard(limit) >= demand) {
            return Some(Verdict::fail(described(limit)).because(
                "One stage of a run needs more than that, so its pod would never start.",
            ));
        }
        if let Some(limit) = short(|limit, demand| hard(limit) - used(limit) >= demand) {
            return Some(
                Verdict::warn(described(limit))
                    .because("The run would wait until other pods finish."),
            );
        }
        Some(Verdict::pass(if quotas.is_empty() {
            "no quotas".into()
        } else {
            format!("within the quotas of namespace {}", cluster.namespace)
        }))
    }
}

fn hard(limit: &Limit) -> f64 {
    // Ignore a limit that cannot be parsed; the server enforces it.
    quantity::parse(&limit.hard).unwrap_or(f64::INFINITY)
}

fn used(limit: &Limit) -> f64 {
    quantity::parse(&limit.used).unwrap_or_default()
}

/// Compares the free space with `minimum` bytes, as the node does before it starts a container.
fn disk(disk: &Disk, minimum: u64) -> Verdict {
    let free = disk.free;
    let message = format!("{} free at {}", text::bytes(free), disk.place.display());
    let why = "Runs clone and build there.";
    if free < minimum {
        Verdict::fail(message).because(format!(
            "The node starts no container with less than {} free ([embedded] free_mib).",
            text::bytes(minimum)
        ))
    } else if free.saturating_sub(minimum) < DISK_LOW {
        Verdict::warn(message).because(why)
    } else {
        Verdict::pass(message)
    }
}
