//! Runs a table of Kubernetes behaviour on the embedded cluster with several clients, and on a real cluster if
//! `FLIGHTDECK_TEST_KUBECONFIG` names one.
//!
//! The rows are data: `tests/conformance/*.yaml`, described in `tests/conformance/README.md`. Rows run in parallel, each in
//! its own namespace, with every driver that supports them.

mod call;
mod cluster;
mod http;
mod kubectl;
mod python;
mod runner;
mod shape;
mod table;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use http::Http;
use kubectl::Kubectl;
use python::Python;
use runner::{Driver, Runner};
use table::{DriverName, Row};

use crate::support::open_cluster;
use flightdeck_testing::{https_cluster::client, said, skipped};
use kube_embedded::serve::Server;

/// The environment variable with the kubeconfig of a real cluster. Everything that the tests create there is removed.
const KUBECONFIG: &str = "FLIGHTDECK_TEST_KUBECONFIG";

/// Number of containers that the embedded cluster runs at the same time.
const CONTAINERS: usize = 8;

/// The environment variable that selects the rows whose name contains its value. All rows run if it is not set.
const FILTER: &str = "FLIGHTDECK_TEST_ROWS";

/// The directory of the table.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance")
}

fn all_rows() -> Vec<Row> {
    table::load(&directory())
}

/// Returns the selected rows.
fn rows() -> Vec<Row> {
    let filter = std::env::var(FILTER).unwrap_or_default();
    all_rows()
        .into_iter()
        .filter(|row| row.name().contains(&filter))
        .collect()
}

/// Runs the selected rows and prints a summary past the test runner's capture. Returns the failures.
async fn run(runner: &Runner) -> String {
    let rows = rows();
    let started = std::time::Instant::now();
    if let Err(why) = cluster::define_widgets(runner).await
        && runner.missing.is_empty()
    {
        return format!("cannot create the shared definition: {why}");
    }
    let report = runner.run(&rows).await;
    said(&format!(
        "CONFORMANCE {:?}: {} of {} rows passed, {} do not apply, {} failed, {:.1} s",
        runner.name,
        report.passed,
        rows.len(),
        report.skipped,
        report.failures.len(),
        started.elapsed().as_secs_f32()
    ));
    report.failures.join("\n")
}

/// Runs the table on an embedded cluster, with the driver that `connect` makes for its kubeconfig.
async fn run_embedded(
    name: DriverName,
    parallel: usize,
    connect: impl AsyncFnOnce(&kube_embedded::Cluster, &Path, &Path) -> Driver,
) {
    let directory = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let cluster = open_cluster(directory.path(), CONTAINERS).await;
    let server = Server::start(&cluster, directory.path()).await.unwrap();
    let runner = Runner {
        name,
        driver: connect(&cluster, &server.endpoint().kubeconfig, home.path()).await,
        admin: Http {
            client: cluster.client(),
        },
        run: cluster::run_name(),
        parallel,
        missing: Vec::new(),
        version: u32::MAX,
    };
    let failures = run(&runner).await;
    server.shutdown().await;
    cluster.stop_containers().await;
    cluster.shutdown().await;
    assert!(failures.is_empty(), "\n{failures}");
}

#[tokio::test]
async fn embedded_in_process() {
    run_embedded(DriverName::InProcess, 24, async |cluster, _, _| {
        Driver::Http(Http {
            client: cluster.client(),
        })
    })
    .await;
}

#[tokio::test]
async fn embedded_over_https() {
    run_embedded(DriverName::Https, 24, async |_, kubeconfig, _| {
        Driver::Http(Http {
            client: client(kubeconfig).await,
        })
    })
    .await;
}

#[tokio::test]
async fn embedded_with_kubectl() {
    match kubectl::find() {
        Ok(program) => {
            run_embedded(DriverName::Kubectl, 8, async |_, kubeconfig, home| {
                Driver::Kubectl(Kubectl::new(program, kubeconfig, home))
            })
            .await;
        }
        Err(why) => skipped("conformance::embedded_with_kubectl", &why),
    }
}

#[tokio::test]
async fn embedded_with_python_client() {
    match python::find() {
        Ok(program) => {
            run_embedded(DriverName::Python, 16, async |_, kubeconfig, _| {
                Driver::Python(Python::start(&program, kubeconfig))
            })
            .await;
        }
        Err(why) => skipped("conformance::embedded_with_python_client", &why),
    }
}

#[tokio::test]
async fn real_cluster() {
    let Some(kubeconfig) = std::env::var_os(KUBECONFIG) else {
        let why = format!("{KUBECONFIG} is not set");
        return skipped("conformance::real_cluster", &why);
    };
    let http = Http {
        client: client(Path::new(&kubeconfig)).await,
    };
    let missing = match cluster::missing_permissions(&http).await {
        Ok(missing) => missing,
        Err(why) => return skipped("conformance::real_cluster", &why),
    };
    for (need, why) in &missing {
        skipped(
            &format!("conformance::real_cluster, rows that need {need:?}"),
            why,
        );
    }
    let runner = Runner {
        name: DriverName::Cluster,
        version: cluster::version(&http).await,
        driver: Driver::Http(http.clone()),
        admin: http,
        run: cluster::run_name(),
        parallel: 8,
        missing,
    };
    // Also on a signal: remove what was created first.
    let failures = tokio::select! {
        failures = run(&runner) => failures,
        _ = tokio::signal::ctrl_c() => "interrupted".to_owned(),
    };
    let removed = cluster::remove_all(&runner).await;
    assert!(failures.is_empty(), "\n{failures}");
    removed.unwrap();
}

#[test]
fn table_is_well_formed_and_complete() {
    let rows = all_rows();
    let names: BTreeSet<_> = rows.iter().map(Row::name).collect();
    assert_eq!(names.len(), rows.len(), "row ids are unique");
    for row in &rows {
        assert!(
            row.demands.ends_with('.'),
            "{}: `demands` must be a sentence",
            row.name()
        );
        assert!(!row.steps.is_empty(), "{}: no steps", row.name());
    }
    let supported = |driver| {
        rows.iter()
            .filter(|row| row.skip_reason(driver).is_none())
            .count()
    };
    assert!(
        supported(DriverName::InProcess) >= ROWS,
        "{}",
        supported(DriverName::InProcess)
    );
    assert!(supported(DriverName::Python) >= ROWS / 2);
    assert!(
        supported(DriverName::Kubectl) >= KUBECTL_ROWS,
        "{}",
        supported(DriverName::Kubectl)
    );
}

/// Minimum number of rows.
const ROWS: usize = 300;
const KUBECTL_ROWS: usize = 70;
