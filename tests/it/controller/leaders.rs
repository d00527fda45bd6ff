//! Several controllers: one leads, another takes over, and nothing is created twice.

use std::{sync::atomic::Ordering, time::Duration};

use futures::{FutureExt, StreamExt, stream};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, ResourceExt, api::PostParams};
use serde_json::json;
use tokio::sync::watch;

use super::{
    PATIENCE, Running, Scene, config, docs_run, ends,
    recorder::{Cut, Recorder},
    run_controller, settled, until, well,
};
use crate::support;
use flightdeck_core::{resources::DocsRun, runs::naming};
use flightdeck_worker::controller::{ControllerConfig, LeaseConfig};

/// Short, to detect a silent holder; the minimum of a Lease is one second.
fn short(identity: &str) -> LeaseConfig {
    LeaseConfig {
        duration: Duration::from_secs(1),
        renew_deadline: Duration::from_millis(600),
        retry: Duration::from_millis(50),
        ..LeaseConfig::new(identity)
    }
}

fn start(client: &Client, lease: LeaseConfig) -> (Running, watch::Receiver<bool>) {
    let config = ControllerConfig {
        lease: Some(lease),
        ..config("default")
    };
    let leading = config.leading.subscribe();
    (run_controller(client, config), leading)
}

async fn becomes(leading: &mut watch::Receiver<bool>, wanted: bool) {
    let turned = leading.wait_for(|&leading| leading == wanted);
    tokio::time::timeout(PATIENCE, turned)
        .await
        .unwrap_or_else(|_| panic!("timeout waiting for leadership = {wanted}"))
        .unwrap();
}

async fn stop((stop, controller): Running) {
    let _ = stop.send(());
    ends(controller).await;
}

async fn holder(scene: &Scene) -> String {
    let lease = scene.api::<Lease>().get(naming::LEASE).await.unwrap();
    lease.spec.unwrap().holder_identity.unwrap_or_default()
}

/// Number of scenarios in which the first of two controllers is cut off.
const LIVES: usize = 20;

/// Numbers from 1 to `most`, equal for the same seed (splitmix64, <https://prng.di.unimi.it/splitmix64.c>).
fn drawn(mut seed: u64, most: usize) -> impl Iterator<Item = usize> {
    std::iter::repeat_with(move || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = seed;
        for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9_u64), (27, 0x94d0_49bb_1331_11eb)] {
            mixed = (mixed ^ (mixed >> shift)).wrapping_mul(factor);
        }
        let most = u64::try_from(most).unwrap();
        usize::try_from((mixed ^ (mixed >> 31)) % most).unwrap() + 1
    })
}

/// Returns the number of writes of a docs run without faults, without those of the Lease.
async fn writes_of_a_run() -> usize {
    let scene = Scene::without_controller(well).await;
    let asked = Recorder::default();
    let (controller, _) = start(&asked.client(&scene.cluster, None), short("only"));
    let runs: Api<DocsRun> = scene.api();
    runs.create(&PostParams::default(), &docs_run("docs-whole"))
        .await
        .unwrap();
    until(&runs, "docs-whole", settled).await;
    stop(controller).await;
    scene.end().await;
    let writes = asked.writes().into_iter();
    writes.filter(|write| !write.ends_with(" leases")).count()
}

/// Returns whether the leader was cut off at that write: a run may have fewer.
async fn life_with_a_leader_cut_off_at(write: usize) -> bool {
    let scene = Scene::without_controller(well).await;
    let asked = Recorder::default();
    let client = asked.client(&scene.cluster, Some(Cut::Dead(write)));
    let (first, mut first_leads) = start(&client, short("first"));
    becomes(&mut first_leads, true).await;
    let client = asked.client(&scene.cluster, None);
    let (second, mut second_leads) = start(&client, short("second"));

    let runs: Api<DocsRun> = scene.api();
    runs.create(&PostParams::default(), &docs_run("docs-cut"))
        .await
        .unwrap();
    let run = until(&runs, "docs-cut", settled).await;
    let attempts = run["status"]["attempts"].as_array().unwrap();
    let stages: Vec<_> = attempts.iter().map(|attempt| &attempt["stage"]).collect();
    assert_eq!(stages, ["prep", "agent", "publish"], "cut off at {write}");
    assert_eq!(
        asked.jobs_made.load(Ordering::SeqCst),
        3,
        "cut off at {write}"
    );
    let cut = asked.dead.notified().now_or_never().is_some();
    if cut {
        becomes(&mut first_leads, false).await;
        becomes(&mut second_leads, true).await;
        assert_eq!(holder(&scene).await, "second");
    }
    first.1.abort();
    stop(second).await;
    scene.end().await;
    cut
}

#[tokio::test(flavor = "multi_thread")]
async fn failover_at_any_write_creates_nothing_twice() {
    let given = std::env::var("FLIGHTDECK_SEED").ok();
    let seed = given.map_or_else(
        || jiff::Timestamp::now().as_second().unsigned_abs(),
        |seed| seed.parse().unwrap(),
    );
    let writes = writes_of_a_run().await;
    let at: Vec<usize> = drawn(seed, writes).take(LIVES).collect();
    support::said(&format!(
        "the leader is cut off at the writes {at:?} of {writes} (FLIGHTDECK_SEED={seed})"
    ));
    let lives = stream::iter(at).map(life_with_a_leader_cut_off_at);
    let cut: Vec<bool> = lives.buffer_unordered(8).collect().await;
    let cut = cut.into_iter().filter(|cut| *cut).count();
    assert!(cut > LIVES / 2, "only {cut} leaders were cut off");
}

#[tokio::test]
async fn stopping_releases_the_lease() {
    let scene = Scene::without_controller(well).await;
    // So long that only a released Lease can be acquired.
    let patient = |name: &str| LeaseConfig {
        duration: Duration::from_secs(3600),
        renew_deadline: Duration::from_secs(3000),
        retry: Duration::from_millis(50),
        ..LeaseConfig::new(name)
    };
    let (first, mut leads) = start(&scene.client, patient("first"));
    becomes(&mut leads, true).await;
    let (second, mut second_leads) = start(&scene.client, patient("second"));
    assert!(!*second_leads.borrow());
    stop(first).await;
    becomes(&mut second_leads, true).await;
    assert_eq!(holder(&scene).await, "second");
    stop(second).await;
    assert_eq!(holder(&scene).await, "", "given back");

    // A controller that finds its own identity continues at once.
    let (third, mut leads) = start(&scene.client, patient("third"));
    becomes(&mut leads, true).await;
    third.1.abort();
    let (third, mut leads) = start(&scene.client, patient("third"));
    becomes(&mut leads, true).await;
    stop(third).await;
    scene.end().await;
}

/// The clocks of two machines may differ; each measures with its own how long the Lease has not changed.
#[tokio::test]
async fn lease_expires_by_the_local_clock() {
    let scene = Scene::without_controller(well).await;
    let leases: Api<Lease> = scene.api();
    let lease = |time: &str| -> Lease {
        serde_json::from_value(json!({
            "metadata": { "name": naming::LEASE },
            "spec": { "holderIdentity": "other", "leaseDurationSeconds": 1, "renewTime": time, "leaseTransitions": 4 },
        }))
        .unwrap()
    };
    let mut held = leases
        .create(
            &PostParams::default(),
            &lease("1970-01-01T00:00:00.000000Z"),
        )
        .await
        .unwrap();
    let (controller, mut leads) = start(&scene.client, short("first"));
    // It renews, with a clock that is far behind.
    let mut pace = tokio::time::interval(Duration::from_millis(150));
    for n in 0..12 {
        pace.tick().await;
        let mut next = lease(&format!("1970-01-01T00:00:{n:02}.000000Z"));
        next.metadata.resource_version = held.resource_version();
        held = leases
            .replace(naming::LEASE, &PostParams::default(), &next)
            .await
            .unwrap();
    }
    assert!(!*leads.borrow(), "it was taken from one that is alive");
    // It stops renewing, with a clock that is far ahead.
    let mut next = lease("2100-01-01T00:00:00.000000Z");
    next.metadata.resource_version = held.resource_version();
    leases
        .replace(naming::LEASE, &PostParams::default(), &next)
        .await
        .unwrap();
    becomes(&mut leads, true).await;
    let lease = leases.get(naming::LEASE).await.unwrap().spec.unwrap();
    assert_eq!(lease.lease_transitions, Some(5));
    stop(controller).await;
    scene.end().await;
}
