//! The roles: the controller, users and viewers need no more than their Role, and the controller needs all of it.
//!
//! The API is served behind the printed Roles, like an API server with RBAC.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Bytes;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolumeClaim, Pod},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    client::Body,
};
use serde_json::json;
use tower::ServiceExt;

use super::{
    Scene, archives, code_run, config, docs_run, phase_is, run_controller, settled, settled_runs,
    until, well,
};
use flightdeck::cli::manifests::rbac::{CONTROLLER, Grant, Role, USER, VIEWER};
use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::{RunKind, Stage, naming},
};
use flightdeck_host::{
    cluster::{
        logs::{FollowOptions, RunRef, follow_run},
        watch_runs,
    },
    settings::Settings,
};
use flightdeck_preflight::cluster::{self, ClusterQuery};
use flightdeck_verbs::{
    AddContext, ClusterContext, Context, Delete, Launch, LaunchSource, Plan, PlannedVerb, Retry,
    Stop, Verb, Wait,
};
use flightdeck_worker::controller::{ANNOTATION_HOLDER, ControllerConfig, LeaseConfig};
use kube_embedded::Cluster;

/// A request in terms of RBAC.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Recorder {
    verb: &'static str,
    group: String,
    resource: String,
    name: String,
}

impl Recorder {
    /// Returns the request to check; `None` for what every account may do: discovery and access reviews.
    fn of(request: &Request<Body>) -> Vec<Self> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let parts: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", _, rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => return Vec::new(),
        };
        let (everywhere, rest) = match rest {
            [] | ["selfsubjectaccessreviews"] => return Vec::new(),
            ["namespaces", "default", rest @ ..] => (false, rest),
            rest => (true, rest),
        };
        let resource = match rest {
            [plural, _, part] => format!("{plural}/{part}"),
            // No Role allows anything cluster-wide.
            [plural, ..] if everywhere => format!("{plural} of every namespace"),
            [plural, ..] => (*plural).to_owned(),
            [] => String::new(),
        };
        let selected = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("fieldSelector=metadata.name%3D"));
        let name = rest.get(1).copied().or(selected).unwrap_or_default();
        let watching = query.contains("watch=true") || query.contains("watch=1");
        let verbs: &[&'static str] = match (request.method(), rest.get(1)) {
            (&Method::GET, None) if watching => &["watch"],
            (&Method::GET, None) => &["list"],
            (&Method::GET, Some(_)) => &["get"],
            (&Method::POST, _) => &["create"],
            (&Method::PUT, _) => &["update"],
            // Applying an object that does not exist creates it.
            (&Method::PATCH, _) if is_apply(request) && !resource.contains('/') => {
                &["patch", "create"]
            }
            (&Method::PATCH, _) => &["patch"],
            (&Method::DELETE, None) => &["deletecollection"],
            _ => &["delete"],
        };
        let asked = |&verb: &&'static str| Self {
            verb,
            group: group.to_owned(),
            resource: resource.clone(),
            name: name.to_owned(),
        };
        verbs.iter().map(asked).collect()
    }

    fn allowed_by(&self, grant: &Grant) -> bool {
        grant.group == self.group
            && grant.resources.contains(&self.resource.as_str())
            && grant.verbs.contains(&self.verb)
            && (grant.names.is_empty() || grant.names.contains(&self.name.as_str()))
    }
}

fn is_apply(request: &Request<Body>) -> bool {
    let kind = request.headers().get("content-type");
    kind.is_some_and(|kind| {
        kind.to_str()
            .unwrap()
            .starts_with("application/apply-patch")
    })
}

/// The recorded requests.
#[derive(Clone, Default)]
struct Gate {
    asked: Arc<Mutex<BTreeSet<Recorder>>>,
    refused: Arc<Mutex<BTreeSet<Recorder>>>,
}

impl Gate {
    /// Returns a client with the permissions of `roles` in the namespace `default`.
    fn client(&self, cluster: &Cluster, role: Role) -> Client {
        let (service, gate) = (cluster.service(), self.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (service, gate) = (service.clone(), gate.clone());
            async move {
                for asked in Recorder::of(&request) {
                    let allowed = role.grants.iter().any(|grant| asked.allowed_by(grant));
                    let seen = if allowed { &gate.asked } else { &gate.refused };
                    seen.lock().unwrap().insert(asked);
                    if !allowed {
                        return Ok(forbidden(&request));
                    }
                }
                service
                    .oneshot(request)
                    .await
                    .map(|response| response.map(boxed))
            }
        });
        Client::new(service, "default")
    }

    /// Waits until it was requested.
    async fn asked_to(&self, verb: &str, resource: &str) {
        let is_it = |asked: &Recorder| asked.verb == verb && asked.resource == resource;
        let waiting = async {
            while !self.asked.lock().unwrap().iter().any(is_it) {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(super::PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("no request to {verb} {resource}"));
    }

    fn refused(&self) -> Vec<Recorder> {
        self.refused.lock().unwrap().iter().cloned().collect()
    }
}

/// The body of a response.
pub(super) type Answer = UnsyncBoxBody<Bytes, tower::BoxError>;

pub(super) fn boxed<B>(body: B) -> Answer
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    body.map_err(Into::into).boxed_unsync()
}

fn forbidden(request: &Request<Body>) -> Response<Answer> {
    let message = format!("{} {} is forbidden", request.method(), request.uri().path());
    refusal(StatusCode::FORBIDDEN, &message)
}

/// Returns the 403 of an API server.
pub(super) fn refusal(code: StatusCode, message: &str) -> Response<Answer> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": code.canonical_reason(), "code": code.as_u16(),
        "message": message,
    });
    Response::builder()
        .status(code)
        .header("content-type", "application/json")
        .body(boxed(Full::from(serde_json::to_vec(&status).unwrap())))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn controller_needs_exactly_its_role() {
    let mut scene = Scene::without_controller(|stage, job| {
        let run = &job.metadata.labels.as_ref().unwrap()[naming::LABEL_RUN];
        if run.ends_with("-hangs") || job.name_any().ends_with("-stray") {
            None
        } else {
            well(stage, job)
        }
    })
    .await;
    let gate = Gate::default();
    let docs: Api<DocsRun> = scene.api();
    let code: Api<CodeRun> = scene.api();
    // It has many attempts.
    archives::old_run(&scene, "docs-old").await;
    // A Job and another one's pod have the expected name, so that Job has no pod.
    let first_job = async |name: &str| {
        let run = docs.create(&PostParams::default(), &docs_run(name)).await;
        naming::job_name(name, &run.unwrap().uid().unwrap(), Stage::Prep, 1, 1)
    };
    another_job(&scene, &first_job("docs-taken").await).await;
    another_pod(&scene, &format!("{}-x", first_job("docs-slow").await)).await;
    let config = ControllerConfig {
        lease: Some(LeaseConfig::new("one-of-two")),
        // Reads the Events of a late Job at once.
        slow_start: Duration::ZERO,
        ..config("default")
    };
    let client = gate.client(&scene.cluster, CONTROLLER);
    scene.controller = Some(run_controller(&client, config));
    until(&docs, "docs-taken", |run| {
        run["status"]["reason"] == "ClusterRefused"
    })
    .await;
    assert_eq!(archives::retried(&scene, "docs-old").await, [2, 3]);
    gate.asked_to("list", "events").await;
    let mut brief = docs_run("docs-brief");
    brief.spec.run.ttl_seconds_after_finished = Some(0);
    docs.create(&PostParams::default(), &brief).await.unwrap();
    let mut brief = code_run("code-brief");
    brief.spec.service = "brief".into();
    brief.spec.run.ttl_seconds_after_finished = Some(0);
    code.create(&PostParams::default(), &brief).await.unwrap();
    for name in ["docs-well", "docs-hangs"] {
        docs.create(&PostParams::default(), &docs_run(name))
            .await
            .unwrap();
    }
    for name in ["code-a", "code-b"] {
        code.create(&PostParams::default(), &code_run(name))
            .await
            .unwrap();
    }
    until(&docs, "docs-well", settled).await;
    // A repeated Event increments its count.
    let again = json!({ "spec": { "contextVersion": 2 } });
    docs.patch("docs-well", &PatchParams::default(), &Patch::Merge(&again))
        .await
        .unwrap();
    let ended = until(&docs, "docs-well", |run| {
        settled(run) && run["status"]["observedContextVersion"] == 2
    })
    .await;
    // A Job of it appears.
    settled_runs::stray(&scene, &ended).await;
    gate.asked_to("get", "docsruns").await;
    until(&code, "code-a", phase_is("Succeeded")).await;
    until(&code, "code-b", settled).await;
    until(&code, "code-a", settled).await;
    // Its workspace has a holder that is gone.
    let claims: Api<PersistentVolumeClaim> = scene.api();
    let claim = claims.list(&ListParams::default()).await.unwrap().items;
    let claim = claim
        .into_iter()
        .find(|claim| claim.name_any().contains("-shop"));
    let held = json!({ "metadata": { "annotations": { ANNOTATION_HOLDER: "nobody/code-gone" } } });
    claims
        .patch(
            &claim.unwrap().name_any(),
            &PatchParams::default(),
            &Patch::Merge(&held),
        )
        .await
        .unwrap();
    code.create(&PostParams::default(), &code_run("code-c"))
        .await
        .unwrap();
    until(&code, "code-c", phase_is("Succeeded")).await;
    until(&code, "code-brief", serde_json::Value::is_null).await;
    until(&docs, "docs-brief", serde_json::Value::is_null).await;
    // Stopped while its pod runs, then deleted while it has the finalizer.
    until(&docs, "docs-hangs", phase_is("Running")).await;
    let stop = json!({ "spec": { "cancelVersion": 1 } });
    docs.patch("docs-hangs", &PatchParams::default(), &Patch::Merge(&stop))
        .await
        .unwrap();
    until(&docs, "docs-hangs", |run| {
        run["status"]["reason"] == "Stopping"
    })
    .await;
    docs.delete("docs-hangs", &DeleteParams::background())
        .await
        .unwrap();
    tokio::time::timeout(super::PATIENCE, async {
        while scene
            .api::<Job>()
            .list(&ListParams::default())
            .await
            .unwrap()
            .iter()
            .any(|job| job.metadata.name.as_deref().unwrap().contains("docs-hangs"))
        {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the Job of a deleted run goes");
    scene.end().await;

    assert_eq!(gate.refused(), []);
    let asked = gate.asked.lock().unwrap().clone();
    let mut needless = Vec::new();
    for grant in CONTROLLER.grants {
        for (resource, verb) in grant
            .resources
            .iter()
            .flat_map(|resource| grant.verbs.iter().map(move |verb| (*resource, *verb)))
        {
            let played = asked.iter().any(|asked| {
                asked.resource == resource && asked.verb == verb && asked.allowed_by(grant)
            });
            if !played {
                needless.push((grant.group, resource, verb));
            }
        }
    }
    assert_eq!(needless, [], "the controller may do what it never does");
}

/// Creates a Job without a run.
async fn another_job(scene: &Scene, name: &str) {
    let job = json!({
        "metadata": { "name": name, "labels": { naming::LABEL_STAGE: "prep", naming::LABEL_RUN: "other-hangs" } },
        "spec": { "template": { "spec": { "restartPolicy": "Never", "containers": [{ "name": "c", "image": "x" }] } } },
    });
    let job = serde_json::from_value(job).unwrap();
    let jobs: Api<Job> = scene.api();
    jobs.create(&PostParams::default(), &job).await.unwrap();
}

/// Creates a pod without a Job.
async fn another_pod(scene: &Scene, name: &str) {
    let pod = json!({
        "metadata": { "name": name },
        "spec": { "containers": [{ "name": "c", "image": "x" }] },
    });
    let pod = serde_json::from_value(pod).unwrap();
    let pods: Api<Pod> = scene.api();
    pods.create(&PostParams::default(), &pod).await.unwrap();
}

fn subject() -> LaunchSource {
    LaunchSource {
        repository_url: "/srv/shop.git".into(),
        branch: "feature/checkout".into(),
        working_directory: ".".into(),
        tag: "master".into(),
        tasks: vec![("1".into(), false), ("2".into(), false)],
        revision: None,
        blocking: Vec::new(),
        user: "Ada".into(),
    }
}

/// Makes the requests of the console.
async fn read_like_the_console(client: &Client, run: &str, uid: &str) {
    let facts = cluster::query(ClusterQuery {
        client: client.clone(),
        context: Some("test".into()),
        namespace: "default".into(),
        secrets: Vec::new(),
        settings: None,
        disk: None,
    })
    .await;
    assert!(facts.state().is_some(), "{facts:?}");
    let changes = watch_runs(client, "default").take(5);
    tokio::time::timeout(super::PATIENCE, changes.collect::<Vec<_>>())
        .await
        .unwrap();
    let reference = RunRef {
        uid: uid.to_owned(),
        name: run.to_owned(),
    };
    let log = follow_run(
        client,
        "default",
        &reference,
        FollowOptions::until(async {}),
    );
    tokio::time::timeout(super::PATIENCE, log.collect::<Vec<_>>())
        .await
        .unwrap();
    let files: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    files.list(&ListParams::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn user_and_viewer_roles_allow_their_commands() {
    let scene = Scene::with(well).await;
    let gate = Gate::default();
    let context = |role| ClusterContext {
        client: gate.client(&scene.cluster, role),
        namespace: "default".into(),
        settings: Arc::new(Settings::shipped()),
        ledger: None,
    };
    let user = context(USER);
    let launch = Launch {
        tasks: vec!["1".into()],
        agent: Some("template".into()),
        ..Launch::new(RunKind::Docs)
    };
    let run = launch.create(&user, &subject()).await.unwrap();
    let name = run.name().to_owned();
    let wait = Wait {
        name: name.clone(),
        timeout: Some(Duration::from_secs(60)),
    };
    wait.run(&user, |_| {}).await.unwrap();
    read_like_the_console(&user.client, &name, run.uid()).await;
    let nowhere = tempfile::tempdir().unwrap();
    let verbs = Context::connected(nowhere.path().to_owned(), user.clone());
    Retry::new(name.clone()).run(&verbs).await.unwrap();
    // It may already have ended.
    drop(Stop { name: name.clone() }.run(&verbs).await);
    wait.run(&user, |_| {}).await.unwrap();
    AddContext::new(name.clone(), "Mind the gap.".into())
        .run(&verbs)
        .await
        .unwrap();
    wait.run(&user, |_| {}).await.unwrap();
    assert_eq!(gate.refused(), []);

    let viewer = context(VIEWER);
    read_like_the_console(&viewer.client, &name, run.uid()).await;
    assert_eq!(viewer.runs(None).await.unwrap().len(), 1);
    assert_eq!(gate.refused(), []);
    let refused = launch
        .create(&viewer, &subject())
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("forbidden"), "{refused}");
    assert_eq!(gate.refused().len(), 1);

    let delete = Delete { name, force: true };
    let plan = delete.plan(&verbs).await.unwrap();
    plan.apply(&verbs).await.unwrap();
    assert_eq!(gate.refused().len(), 1);
    scene.end().await;
}
