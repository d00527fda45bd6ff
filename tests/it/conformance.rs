//! What Kubernetes does, row by row, held against the embedded cluster by clients of several makes, and against a real
//! cluster when `FLIGHTDECK_TEST_KUBECONFIG` names one.
//!
//! The rows are data: `tests/conformance/*.yaml`, explained in `tests/conformance/README.md`. A row is played in a
//! namespace of its own, beside others, by every driver that can play it.

mod call;
mod cluster;
mod http;
mod kubectl;
mod play;
mod python;
mod shape;
mod table;

use std::{collections::BTreeSet, path::Path};

use http::Http;
use kubectl::Kubectl;
use play::{Driver, Stage};
use python::Python;
use table::{DriverName, Row};

use crate::support;

/// The kubeconfig of a real cluster to play the table on. It may be any cluster: all that is made is removed.
const REAL: &str = "FLIGHTDECK_TEST_KUBECONFIG";

/// Rows whose id contains this are played; all of them without.
const ONLY: &str = "FLIGHTDECK_TEST_ROWS";

fn rows() -> Vec<Row> {
    let only = std::env::var(ONLY).unwrap_or_default();
    let all = table::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance"));
    all.into_iter()
        .filter(|row| row.name().contains(&only))
        .collect()
}

/// Plays the table and says what came of it, past the test runner's capture.
async fn play(stage: &Stage) -> String {
    let rows = rows();
    let started = std::time::Instant::now();
    if let Err(why) = cluster::define_widgets(stage).await
        && stage.lacks.is_empty()
    {
        return format!("the shared kind cannot be made: {why}");
    }
    let report = stage.play(&rows).await;
    support::said(&format!(
        "CONFORMANCE {:?}: {} of {} rows played, {} left out by their own word, {} failed, {:.1} s",
        stage.name,
        report.played,
        rows.len(),
        report.left_out,
        report.failures.len(),
        started.elapsed().as_secs_f32()
    ));
    report.failures.join("\n")
}

/// Plays the table on an embedded cluster with the driver that `make` makes of its kubeconfig.
async fn local(
    name: DriverName,
    at_once: usize,
    make: impl AsyncFnOnce(&kube_embedded::Cluster, &Path, &Path) -> Driver,
) {
    let directory = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let (embedded, server) = cluster::embedded(directory.path()).await;
    let stage = Stage {
        name,
        driver: make(&embedded, &server.endpoint().kubeconfig, home.path()).await,
        admin: Http {
            client: embedded.client(),
        },
        run: cluster::run_name(),
        at_once,
        lacks: Vec::new(),
        version: u32::MAX,
    };
    let failures = play(&stage).await;
    server.shutdown().await;
    embedded.stop_containers().await;
    embedded.shutdown().await;
    assert!(failures.is_empty(), "\n{failures}");
}

#[tokio::test]
async fn in_this_process() {
    local(DriverName::InProcess, 24, async |cluster, _, _| {
        Driver::Http(Http {
            client: cluster.client(),
        })
    })
    .await;
}

#[tokio::test]
async fn over_https() {
    local(DriverName::Https, 24, async |_, kubeconfig, _| {
        Driver::Http(Http {
            client: cluster::client(kubeconfig).await,
        })
    })
    .await;
}

#[tokio::test]
async fn by_kubectl() {
    match kubectl::find() {
        Ok(program) => {
            local(DriverName::Kubectl, 8, async |_, kubeconfig, home| {
                Driver::Kubectl(Kubectl::new(program, kubeconfig, home))
            })
            .await;
        }
        Err(why) => support::skipped("conformance::by_kubectl", &why),
    }
}

#[tokio::test]
async fn by_the_python_client() {
    match python::find() {
        Ok(program) => {
            local(DriverName::Python, 16, async |_, kubeconfig, _| {
                Driver::Python(Python::start(&program, kubeconfig))
            })
            .await;
        }
        Err(why) => support::skipped("conformance::by_the_python_client", &why),
    }
}

#[tokio::test]
async fn on_a_real_cluster() {
    let Some(kubeconfig) = std::env::var_os(REAL) else {
        let why = format!("{REAL} names no cluster");
        return support::skipped("conformance::on_a_real_cluster", &why);
    };
    let http = Http {
        client: cluster::client(Path::new(&kubeconfig)).await,
    };
    let lacks = match cluster::lacks(&http).await {
        Ok(lacks) => lacks,
        Err(why) => return support::skipped("conformance::on_a_real_cluster", &why),
    };
    for (need, why) in &lacks {
        support::skipped(
            &format!("conformance::on_a_real_cluster, rows that need {need:?}"),
            why,
        );
    }
    let stage = Stage {
        name: DriverName::Cluster,
        version: cluster::version(&http).await,
        driver: Driver::Http(http.clone()),
        admin: http,
        run: cluster::run_name(),
        at_once: 8,
        lacks,
    };
    // Ends by a signal as well: what was made is removed first.
    let failures = tokio::select! {
        failures = play(&stage) => failures,
        _ = tokio::signal::ctrl_c() => "interrupted".to_owned(),
    };
    let swept = cluster::sweep(&stage).await;
    assert!(failures.is_empty(), "\n{failures}");
    swept.unwrap();
}

#[test]
fn the_table_is_large_enough_and_well_formed() {
    let rows = table::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance"));
    let names: BTreeSet<_> = rows.iter().map(Row::name).collect();
    assert_eq!(names.len(), rows.len(), "every row has an id of its own");
    for row in &rows {
        assert!(row.demands.ends_with('.'), "{}: a sentence", row.name());
        assert!(!row.steps.is_empty(), "{}: nothing is done", row.name());
    }
    let played = |driver| {
        rows.iter()
            .filter(|row| row.left_out(driver).is_none())
            .count()
    };
    assert!(
        played(DriverName::InProcess) >= ROWS,
        "{}",
        played(DriverName::InProcess)
    );
    assert!(played(DriverName::Python) >= ROWS / 2);
    assert!(
        played(DriverName::Kubectl) >= KUBECTL_ROWS,
        "{}",
        played(DriverName::Kubectl)
    );
}

/// Behaviours the table holds at the least.
const ROWS: usize = 300;
const KUBECTL_ROWS: usize = 70;
