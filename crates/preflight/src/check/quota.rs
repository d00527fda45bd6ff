//! `quota`: resource quotas of a real cluster, free disk space of the embedded node.

use super::{Check, Facts, Verdict};
use crate::cluster::{Disk, Quota as Limit};
use flightdeck_core::{quantity, runs::ContainerResources, text};

/// Free bytes below which the embedded node blocks launches.
const DISK_MINIMUM: u64 = 256 << 20;
/// Free bytes below which a run may fail.
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
            return cluster.disk.as_ref().map(disk);
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

fn disk(disk: &Disk) -> Verdict {
    let free = disk.free;
    let message = format!("{} free at {}", text::bytes(free), disk.place.display());
    let why = "Runs clone and build there.";
    if free < DISK_MINIMUM {
        Verdict::fail(message).because(why)
    } else if free < DISK_LOW {
        Verdict::warn(message).because(why)
    } else {
        Verdict::pass(message)
    }
}
