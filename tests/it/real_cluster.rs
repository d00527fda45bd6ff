//! Stories on any cluster, without changes to it: they create their own namespace, report what they did and
//! skipped and why, and remove what they created. The same stories run here on the embedded cluster over HTTPS, so that
//! they are known to work.
//!
//! | variable | meaning |
//! |---|---|
//! | `FLIGHTDECK_TEST_KUBECONFIG` | the cluster: the file's current context |
//! | `FLIGHTDECK_TEST_IMAGE` | image with `flightdeck` and git that its nodes can run (see `Dockerfile`) |
//! | `FLIGHTDECK_TEST_STORAGE` | `class:NAME`, a storage class (default: the cluster's); or `local:/DIRECTORY`, a directory of one node for manually created volumes |
//! | `FLIGHTDECK_TEST_GIT_URL` | a repository that the pods and this machine can push to (default: one on a volume) |
//! | `FLIGHTDECK_TEST_GIT_USER`, `FLIGHTDECK_TEST_GIT_TOKEN` | credential to push to it over HTTPS |
//! | `FLIGHTDECK_TEST_PATIENCE` | timeout of a run in seconds (default: 900) |

mod environment;
mod helper;
mod remote;
mod stories;
mod volumes;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::support;
use environment::Environment;
use flightdeck::demo::Project;
use kube_embedded::{Cluster, ClusterOptions, Limits, serve::Server};

/// The settings for a configured cluster.
struct Options {
    kubeconfig: PathBuf,
    image: String,
    storage: Storage,
    git: Option<GitRemote>,
    /// Timeout of a run.
    patience: Duration,
}

enum Storage {
    /// Empty for the cluster's default.
    Class(String),
    /// Volumes in a directory of one node.
    Local(String),
}

struct GitRemote {
    url: String,
    /// User and token.
    credential: Option<(String, String)>,
}

impl Options {
    /// Reads the variables. An error says why no story can run.
    fn of_environment() -> Result<Self, String> {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let needed = |name: &str| get(name).ok_or_else(|| format!("{name} is not set"));
        let storage = match get("FLIGHTDECK_TEST_STORAGE") {
            None => Storage::Class(String::new()),
            Some(text) => match text.split_once(':') {
                Some(("class", name)) => Storage::Class(name.to_owned()),
                Some(("local", directory)) if directory.starts_with('/') => {
                    Storage::Local(directory.trim_end_matches('/').to_owned())
                }
                _ => panic!("FLIGHTDECK_TEST_STORAGE={text}: write class:NAME or local:/DIRECTORY"),
            },
        };
        let user = get("FLIGHTDECK_TEST_GIT_USER");
        let patience = get("FLIGHTDECK_TEST_PATIENCE").map(|text| text.parse().unwrap());
        Ok(Self {
            kubeconfig: needed("FLIGHTDECK_TEST_KUBECONFIG")?.into(),
            image: needed("FLIGHTDECK_TEST_IMAGE")?,
            storage,
            git: get("FLIGHTDECK_TEST_GIT_URL").map(|url| GitRemote {
                url,
                credential: user.zip(get("FLIGHTDECK_TEST_GIT_TOKEN")),
            }),
            patience: Duration::from_secs(patience.unwrap_or(900)),
        })
    }
}

/// Runs every story. Returns the failures, a paragraph each.
async fn play(options: Options) -> Vec<String> {
    let begun = Instant::now();
    let mut environment = match Environment::choose(options).await {
        Ok(environment) => environment,
        Err(why) => return vec![why],
    };
    let mut failures = match environment.prepare().await {
        Err(why) => vec![format!("setup failed: {why}")],
        // Also on a signal: remove what was created first.
        Ok(()) => tokio::select! {
            failures = stories::play(&environment) => failures,
            _ = tokio::signal::ctrl_c() => vec!["interrupted".to_owned()],
        },
    };
    failures.extend(environment.remove().await);
    support::said(&format!(
        "REAL {}: {} in {:.0} s",
        environment.title,
        if failures.is_empty() {
            "all stories passed"
        } else {
            "FAILED"
        },
        begun.elapsed().as_secs_f32()
    ));
    failures
}

#[tokio::test]
async fn all_stories_on_a_configured_cluster() {
    match Options::of_environment() {
        Err(why) => support::skipped("real_cluster", &why),
        Ok(options) => {
            let failures = play(options).await;
            assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
        }
    }
}

/// An embedded cluster, accessed like by another process.
async fn embedded(directory: &Path) -> (Cluster, Server) {
    let home = directory.join("home");
    std::fs::create_dir_all(&home).unwrap();
    let cluster = Cluster::open(ClusterOptions {
        identity: flightdeck::daemon::identity(),
        directory: directory.join("cluster"),
        program: env!("CARGO_BIN_EXE_flightdeck").into(),
        max_containers: 4,
        limits: Limits::default(),
        environment: [
            ("PATH", std::env::var("PATH").unwrap()),
            ("HOME", home.display().to_string()),
            ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into(),
    })
    .await
    .unwrap();
    let server = Server::start(&cluster, directory).await.unwrap();
    (cluster, server)
}

#[tokio::test]
async fn all_stories_on_the_embedded_cluster() {
    let directory = tempfile::tempdir().unwrap();
    let (cluster, server) = embedded(directory.path()).await;
    let origin = Project::open(&directory.path().join("remote"))
        .await
        .unwrap()
        .origin;
    let before = support::git(&origin, &["for-each-ref"]);
    let failures = play(Options {
        kubeconfig: server.endpoint().kubeconfig.clone(),
        image: "unused".into(),
        storage: Storage::Class(String::new()),
        git: Some(GitRemote {
            url: origin.display().to_string(),
            credential: None,
        }),
        patience: Duration::from_secs(180),
    })
    .await;
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));

    assert_eq!(support::git(&origin, &["for-each-ref"]), before);
    let namespaces = cluster.client().list_core_api_resources("v1").await;
    assert!(namespaces.is_ok());
    let left = environment::left_behind(&cluster.client()).await;
    assert!(left.is_empty(), "{left:?}");
    server.shutdown().await;
    cluster.stop_containers().await;
    cluster.shutdown().await;
}
