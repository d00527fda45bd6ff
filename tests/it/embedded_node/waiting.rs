//! What a pod waits for, and that it says so: its turn, the disk, what it names, what cannot be had here.

use k8s_openapi::api::core::v1::Event;

use super::*;

/// The sentence of a pod that has no place.
fn unscheduled(pod: &Value) -> &str {
    let condition = &pod["status"]["conditions"][0];
    let message = condition["message"].as_str().unwrap_or_default();
    if condition["reason"] == "Unschedulable" {
        message
    } else {
        ""
    }
}

impl Scene {
    async fn until_event(&self, name: &str, reason: &str, part: &str) {
        let fields = format!("involvedObject.name={name}");
        let api = self.api::<Event>();
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let parameters = ListParams::default().fields(&fields);
            let events = api.list(&parameters).await.unwrap().items;
            let all: Vec<String> = events
                .into_iter()
                .map(|event| {
                    let (reason, message) = (event.reason, event.message);
                    format!("{}: {}", reason.unwrap(), message.unwrap())
                })
                .collect();
            let wanted = format!("{reason}: ");
            if all
                .iter()
                .any(|one| one.starts_with(&wanted) && one.contains(part))
            {
                return;
            }
            assert!(
                tokio::time::Instant::now() < until,
                "no {reason} with {part:?} in {all:#?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn delete<K>(&self, name: &str)
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let api = self.api::<K>();
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_say_who_is_before_them_and_run_in_the_order_they_came_also_after_a_restart() {
    let directory = Home::new();
    let (go, order) = (directory.path().join("go"), directory.path().join("order"));
    let scene = open(directory.path(), 1).await;
    let hold = format!(
        "echo pid $$$$; while [ ! -e {} ]; do sleep 0.01; done",
        go.display()
    );
    scene.create::<Pod>(pod("holder", &hold)).await;
    number_in_log(&scene, "holder", "pid").await;
    for name in ["zeta", "leaving", "alpha", "mu"] {
        let script = format!("echo {name} >>{}", order.display());
        scene.create::<Pod>(pod(name, &script)).await;
    }
    for (name, part) in [
        (
            "zeta",
            "all 1 slots for containers are in use; this pod is next.",
        ),
        ("leaving", "; 1 pod is ahead."),
        ("mu", "; 3 pods are ahead."),
    ] {
        scene
            .until::<Pod>(name, part, |pod| unscheduled(pod).ends_with(part))
            .await;
    }
    scene.until_event("mu", "FailedScheduling", "slots").await;
    scene.delete::<Pod>("leaving").await;
    scene.until_gone::<Pod>("leaving").await;
    scene
        .until::<Pod>("mu", "moved up", |pod| {
            unscheduled(pod).ends_with("; 2 pods are ahead.")
        })
        .await;
    scene.cluster.shutdown().await;

    let scene = open(directory.path(), 1).await;
    scene
        .create::<Pod>(pod("late", &format!("echo late >>{}", order.display())))
        .await;
    scene
        .until::<Pod>("late", "behind the others", |pod| {
            unscheduled(pod).ends_with("; 3 pods are ahead.")
        })
        .await;
    std::fs::write(&go, "").unwrap();
    for name in ["holder", "zeta", "alpha", "mu", "late"] {
        scene.until_phase(name, "Succeeded").await;
    }
    let order = std::fs::read_to_string(order).unwrap();
    assert_eq!(order, "zeta\nalpha\nmu\nlate\n");
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_while_the_disk_is_full_and_goes_on_by_itself() {
    let directory = Home::new();
    let limits = Limits {
        max_used_bytes: Some(1_000_000),
        min_free_bytes: 0,
        ..Limits::default()
    };
    let scene = open_with(directory.path(), 1, limits).await;
    let claim: PersistentVolumeClaim = scene
        .create(json!({"metadata": {"name": "claim"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}))
        .await;
    scene
        .until::<PersistentVolumeClaim>("claim", "bound", |claim| {
            claim["status"]["phase"] == "Bound"
        })
        .await;
    let place = directory.path().join("claims").join(claim.uid().unwrap());
    std::fs::write(place.join("large"), vec![1; 2_000_000]).unwrap();
    scene.create::<Pod>(pod("waits", "echo ran")).await;
    let state = directory.path().display().to_string();
    scene
        .until::<Pod>("waits", "waiting for the disk", |pod| {
            let why = unscheduled(pod);
            why.contains(&state) && why.contains("1000000 are allowed")
        })
        .await;
    std::fs::remove_file(place.join("large")).unwrap();
    scene.until_phase("waits", "Succeeded").await;
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_waits_while_the_disk_has_less_free_than_it_should() {
    let directory = Home::new();
    let limits = Limits {
        min_free_bytes: u64::MAX,
        ..Limits::default()
    };
    let scene = open_with(directory.path(), 1, limits).await;
    scene.create::<Pod>(pod("waits", "echo ran")).await;
    let state = directory.path().display().to_string();
    let wanted = format!("{} are required.", u64::MAX);
    scene
        .until::<Pod>("waits", "waiting for the disk", |pod| {
            let why = unscheduled(pod);
            why.contains(&state) && why.ends_with(&wanted)
        })
        .await;
    scene.delete::<Pod>("waits").await;
    scene.until_gone::<Pod>("waits").await;
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_to_jobs_and_pods_is_told_in_events() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    scene
        .create::<Job>(job("done", "echo done", json!({})))
        .await;
    scene.until_condition("done", "Complete").await;
    let name = scene.pods_of("done").await[0].name_any();
    for (object, reason, part) in [
        ("done", "SuccessfulCreate", format!("Created pod: {name}")),
        ("done", "Completed", "Job completed".to_owned()),
        (
            &name,
            "Scheduled",
            format!("assigned default/{name} to embedded"),
        ),
        (&name, "Created", "Created container main".to_owned()),
        (&name, "Started", "Started container main".to_owned()),
    ] {
        scene.until_event(object, reason, &part).await;
    }
    let mut late = job("late", "echo pid $$$$; sleep 600 & wait", json!({}));
    late["spec"]["template"]["spec"]["activeDeadlineSeconds"] = json!(1);
    scene.create::<Job>(late).await;
    scene.until_condition("late", "Failed").await;
    let name = scene.pods_of("late").await[0].name_any();
    scene
        .until_event("late", "BackoffLimitExceeded", "limit")
        .await;
    scene
        .until_event(&name, "DeadlineExceeded", "deadline")
        .await;
    scene
        .until_event(&name, "Killing", "Stopping container main")
        .await;

    let mut mounting = pod("mounting", "true");
    mounting["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "none"}}]);
    scene.create::<Pod>(mounting).await;
    scene
        .until_event(
            "mounting",
            "FailedMount",
            "volume \"v\": configmap \"none\" not found",
        )
        .await;
    let mut naming = pod("naming", "true");
    naming["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "none"}}]);
    scene.create::<Pod>(naming).await;
    scene
        .until_event("naming", "Failed", "Error: secret \"none\" not found")
        .await;
    let mut absent = pod("absent", "");
    absent["spec"]["containers"][0]["command"] = json!(["no-such-agent"]);
    scene.create::<Pod>(absent).await;
    scene.until_event("absent", "Failed", "no-such-agent").await;
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_here_is_said_and_nothing_is_started() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    let ran = directory.path().join("ran");
    let script = format!("touch {}", ran.display());
    let mut privileged = pod("privileged", &script);
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    scene.create::<Pod>(privileged).await;
    let mut host = pod("host", &script);
    host["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/"}}]);
    scene.create::<Pod>(host).await;
    for (name, reason, part) in [
        (
            "privileged",
            "CreateContainerConfigError",
            "privileged containers, as processes run as the current user (container \"main\")",
        ),
        (
            "host",
            "ContainerCreating",
            "does not support volumes of type hostPath",
        ),
    ] {
        scene
            .until::<Pod>(name, part, |pod| {
                let state = &pod["status"]["containerStatuses"][0]["state"];
                let message = state["waiting"]["message"].as_str().unwrap_or_default();
                waiting_reason(pod) == reason && message.contains(part)
            })
            .await;
    }
    // They keep nobody else from running.
    scene.create::<Pod>(pod("other", "true")).await;
    scene.until_phase("other", "Succeeded").await;
    assert!(!ran.exists());
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_would_need_more_than_one_pod_is_refused_with_the_field() {
    let directory = Home::new();
    let scene = open(directory.path(), 1).await;
    for (field, value) in [
        ("parallelism", json!(2)),
        ("completions", json!(3)),
        ("completionMode", json!("Indexed")),
        ("podFailurePolicy", json!({"rules": []})),
    ] {
        let job = job("many", "true", json!({ field: value }));
        let job = serde_json::from_value(job).unwrap();
        let refused = scene
            .api::<Job>()
            .create(&PostParams::default(), &job)
            .await;
        let Err(kube::Error::Api(status)) = refused else {
            panic!("{field}: {refused:?}")
        };
        assert_eq!(status.code, 422);
        let named = format!("spec.{field}: Unsupported value");
        assert!(status.message.contains(&named), "{status:?}");
    }
    scene.cluster.shutdown().await;
}
