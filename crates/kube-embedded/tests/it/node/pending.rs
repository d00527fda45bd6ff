//! Pods that cannot start yet, and the reasons that their conditions and events give.

use k8s_openapi::api::core::v1::Event;

use super::*;

/// Returns the message of a pod that is not scheduled, and nothing for others.
fn unscheduled(pod: &Value) -> &str {
    let condition = &pod["status"]["conditions"][0];
    let message = condition["message"].as_str().unwrap_or_default();
    if condition["reason"] == "Unschedulable" {
        message
    } else {
        ""
    }
}

impl TestCluster {
    async fn until_event(&self, name: &str, reason: &str, part: &str) {
        let fields = format!("involvedObject.name={name}");
        let api = self.api::<Event>();
        let until = tokio::time::Instant::now() + TIMEOUT;
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
async fn queue_is_fifo_and_survives_a_restart() {
    let directory = StateDirectory::new();
    let (go, order) = (directory.path().join("go"), directory.path().join("order"));
    let cluster = open(directory.path(), 1).await;
    let hold = format!(
        "echo pid $$$$; while [ ! -e {} ]; do sleep 0.01; done",
        go.display()
    );
    cluster.create::<Pod>(pod("holder", &hold)).await;
    number_in_log(&cluster, "holder", "pid").await;
    for name in ["zeta", "leaving", "alpha", "mu"] {
        let script = format!("echo {name} >>{}", order.display());
        cluster.create::<Pod>(pod(name, &script)).await;
    }
    for (name, part) in [
        (
            "zeta",
            "all 1 slots for containers are in use; this pod is next.",
        ),
        ("leaving", "; 1 pod is ahead."),
        ("mu", "; 3 pods are ahead."),
    ] {
        cluster
            .until::<Pod>(name, part, |pod| unscheduled(pod).ends_with(part))
            .await;
    }
    cluster.until_event("mu", "FailedScheduling", "slots").await;
    cluster.delete::<Pod>("leaving").await;
    cluster.until_gone::<Pod>("leaving").await;
    cluster
        .until::<Pod>("mu", "moved up", |pod| {
            unscheduled(pod).ends_with("; 2 pods are ahead.")
        })
        .await;
    cluster.shutdown().await;

    let cluster = open(directory.path(), 1).await;
    cluster
        .create::<Pod>(pod("late", &format!("echo late >>{}", order.display())))
        .await;
    cluster
        .until::<Pod>("late", "last in the queue", |pod| {
            unscheduled(pod).ends_with("; 3 pods are ahead.")
        })
        .await;
    std::fs::write(&go, "").unwrap();
    for name in ["holder", "zeta", "alpha", "mu", "late"] {
        cluster.until_phase(name, "Succeeded").await;
    }
    let order = std::fs::read_to_string(order).unwrap();
    assert_eq!(order, "zeta\nalpha\nmu\nlate\n");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_waits_while_disk_usage_is_over_the_limit() {
    let directory = StateDirectory::new();
    let limits = Limits {
        max_used_bytes: Some(1_000_000),
        min_free_bytes: 0,
        ..Limits::default()
    };
    let cluster = open_with(directory.path(), 1, limits).await;
    let claim: PersistentVolumeClaim = cluster
        .create(json!({"metadata": {"name": "claim"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}))
        .await;
    cluster
        .until::<PersistentVolumeClaim>("claim", "bound", |claim| {
            claim["status"]["phase"] == "Bound"
        })
        .await;
    let volume = directory.path().join("claims").join(claim.uid().unwrap());
    std::fs::write(volume.join("large"), vec![1; 2_000_000]).unwrap();
    cluster.create::<Pod>(pod("waits", "echo ran")).await;
    let state = directory.path().display().to_string();
    cluster
        .until::<Pod>("waits", "waiting for the disk", |pod| {
            let message = unscheduled(pod);
            message.contains(&state) && message.contains("1000000 are allowed")
        })
        .await;
    std::fs::remove_file(volume.join("large")).unwrap();
    cluster.until_phase("waits", "Succeeded").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_waits_while_free_space_is_under_the_limit() {
    let directory = StateDirectory::new();
    let limits = Limits {
        min_free_bytes: u64::MAX,
        ..Limits::default()
    };
    let cluster = open_with(directory.path(), 1, limits).await;
    cluster.create::<Pod>(pod("waits", "echo ran")).await;
    let state = directory.path().display().to_string();
    let wanted = format!("{} are required.", u64::MAX);
    cluster
        .until::<Pod>("waits", "waiting for the disk", |pod| {
            let message = unscheduled(pod);
            message.contains(&state) && message.ends_with(&wanted)
        })
        .await;
    cluster.delete::<Pod>("waits").await;
    cluster.until_gone::<Pod>("waits").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_and_pods_record_events() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    cluster
        .create::<Job>(job("done", "echo done", json!({})))
        .await;
    cluster.until_condition("done", "Complete").await;
    let name = cluster.pods_of("done").await[0].name_any();
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
        cluster.until_event(object, reason, &part).await;
    }
    let mut late = job("late", "echo pid $$$$; sleep 600 & wait", json!({}));
    late["spec"]["template"]["spec"]["activeDeadlineSeconds"] = json!(1);
    cluster.create::<Job>(late).await;
    cluster.until_condition("late", "Failed").await;
    let name = cluster.pods_of("late").await[0].name_any();
    cluster
        .until_event("late", "BackoffLimitExceeded", "limit")
        .await;
    cluster
        .until_event(&name, "DeadlineExceeded", "deadline")
        .await;
    cluster
        .until_event(&name, "Killing", "Stopping container main")
        .await;

    let mut mounting = pod("mounting", "true");
    mounting["spec"]["volumes"] = json!([{"name": "v", "configMap": {"name": "none"}}]);
    cluster.create::<Pod>(mounting).await;
    cluster
        .until_event(
            "mounting",
            "FailedMount",
            "volume \"v\": configmap \"none\" not found",
        )
        .await;
    let mut naming = pod("naming", "true");
    naming["spec"]["containers"][0]["envFrom"] = json!([{"secretRef": {"name": "none"}}]);
    cluster.create::<Pod>(naming).await;
    cluster
        .until_event("naming", "Failed", "Error: secret \"none\" not found")
        .await;
    let mut absent = pod("absent", "");
    absent["spec"]["containers"][0]["command"] = json!(["no-such-agent"]);
    cluster.create::<Pod>(absent).await;
    cluster
        .until_event("absent", "Failed", "no-such-agent")
        .await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_pods_name_the_field_and_do_not_start() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let ran = directory.path().join("ran");
    let script = format!("touch {}", ran.display());
    let mut privileged = pod("privileged", &script);
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    cluster.create::<Pod>(privileged).await;
    let mut host = pod("host", &script);
    host["spec"]["volumes"] = json!([{"name": "v", "hostPath": {"path": "/"}}]);
    cluster.create::<Pod>(host).await;
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
        cluster
            .until::<Pod>(name, part, |pod| {
                let state = &pod["status"]["containerStatuses"][0]["state"];
                let message = state["waiting"]["message"].as_str().unwrap_or_default();
                waiting_reason(pod) == reason && message.contains(part)
            })
            .await;
    }
    // Other pods run meanwhile.
    cluster.create::<Pod>(pod("other", "true")).await;
    cluster.until_phase("other", "Succeeded").await;
    assert!(!ran.exists());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_several_pods_are_refused() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 1).await;
    for (field, value) in [
        ("parallelism", json!(2)),
        ("completions", json!(3)),
        ("completionMode", json!("Indexed")),
        ("podFailurePolicy", json!({"rules": []})),
    ] {
        let job = job("many", "true", json!({ field: value }));
        let job = serde_json::from_value(job).unwrap();
        let refused = cluster
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
    cluster.shutdown().await;
}
