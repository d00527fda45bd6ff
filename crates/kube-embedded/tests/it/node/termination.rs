//! How pods end: exit states, termination messages, grace periods, and what remains of them.

use super::*;
use kube_embedded::attempt::Ended;

#[tokio::test(flavor = "multi_thread")]
async fn failed_init_container_ends_the_pod() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let order = directory.path().join("order");
    let step = |name: &str, code: i32| {
        let script = format!(
            "echo {name} >>{}; sleep 0.05; echo {name} >>{0}; exit {code}",
            order.display()
        );
        json!({"name": name, "image": "x", "command": ["sh", "-c", script]})
    };
    let mut stops = pod("stops", &format!("echo main >>{}", order.display()));
    stops["spec"]["initContainers"] = json!([step("one", 0), step("two", 3), step("three", 0)]);
    cluster.create::<Pod>(stops).await;
    let pod = cluster.until_phase("stops", "Failed").await;
    let order = std::fs::read_to_string(&order).unwrap();
    assert_eq!(order, "one\none\ntwo\ntwo\n");
    let init = &pod["status"]["initContainerStatuses"];
    assert_eq!(init[1]["state"]["terminated"]["exitCode"], 3);
    for status in [&init[2], &pod["status"]["containerStatuses"][0]] {
        assert_eq!(
            status["state"]["waiting"]["reason"], "PodInitializing",
            "{status}"
        );
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn termination_message_is_cut_or_taken_from_the_log() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 4).await;
    let message = |pod: &Value| {
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        ended["message"].as_str().map(str::to_owned)
    };
    let mut long = pod("long", "seq 1 3000 >\"$END\"");
    long["spec"]["containers"][0]["env"] =
        json!([{"name": "END", "value": "/dev/termination-log"}]);
    cluster.create::<Pod>(long).await;
    for (name, script, policy) in [
        (
            "falls-back",
            "seq 1 3000; printf 'no end'; exit 1",
            "FallbackToLogsOnError",
        ),
        ("well", "seq 1 3000", "FallbackToLogsOnError"),
        ("file-only", "seq 1 3000; exit 1", "File"),
    ] {
        let mut one = pod(name, script);
        one["spec"]["containers"][0]["terminationMessagePolicy"] = json!(policy);
        cluster.create::<Pod>(one).await;
    }
    let all: String = (1..=3000).map(|n| format!("{n}\n")).collect();
    let long = message(&cluster.until_phase("long", "Succeeded").await).unwrap();
    assert_eq!(long, all[all.len() - 4096..]);
    let from_log = message(&cluster.until_phase("falls-back", "Failed").await).unwrap();
    let end: String = (2922..=3000).map(|n| format!("{n}\n")).collect();
    assert_eq!(from_log, end + "no end");
    assert_eq!(
        message(&cluster.until_phase("well", "Succeeded").await),
        None
    );
    assert_eq!(
        message(&cluster.until_phase("file-only", "Failed").await),
        None
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_go_when_the_pod_ends_and_logs_when_deleted() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    cluster
        .create::<Secret>(json!({"metadata": {"name": "keys"}, "stringData": {"k": "s3cret"}}))
        .await;
    let mut reader = pod("reader", "cat \"$V/k\"");
    reader["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "keys"}}]);
    reader["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    reader["spec"]["containers"][0]["env"] = json!([{"name": "V", "value": "/v"}]);
    cluster.create::<Pod>(reader).await;
    cluster.until_phase("reader", "Succeeded").await;
    let uid = cluster.api::<Pod>().get("reader").await.unwrap().uid();
    let left = directory.path().join("pods").join(uid.unwrap());
    eventually("the volume is removed", || !left.join("volumes").exists()).await;
    assert_eq!(cluster.log("reader", None).await, "s3cret");
    cluster
        .api::<Pod>()
        .delete("reader", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the log is removed", || !left.exists()).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grace_period_survives_a_restart_of_the_server() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let mut deaf = pod(
        "deaf",
        "trap 'echo asked' TERM; echo pid $$$$; while :; do sleep 600 & wait; done",
    );
    deaf["spec"]["terminationGracePeriodSeconds"] = json!(2);
    cluster.create::<Pod>(deaf).await;
    let process = number_in_log(&cluster, "deaf", "pid").await;
    let api = cluster.api::<Pod>();
    api.delete("deaf", &DeleteParams::default()).await.unwrap();
    cluster
        .until::<Pod>("deaf", "being deleted", |pod| {
            pod["metadata"]["deletionTimestamp"].is_string()
        })
        .await;
    cluster.shutdown().await;
    let cluster = open(directory.path(), 2).await;
    cluster.until_gone::<Pod>("deaf").await;
    assert!(!is_alive(&process));
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_errors_name_their_cause() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 6).await;
    let plain = directory.path().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    let long = "x".repeat(300_000);
    for (name, change, part) in [
        (
            "absent",
            json!({"command": ["no-such-agent"]}),
            "no-such-agent",
        ),
        ("plain", json!({"command": [plain]}), "ermission denied"),
        ("argument", json!({"command": ["true", long]}), "too long"),
        (
            "environment",
            json!({"env": [{"name": "LONG", "value": long}]}),
            "too long",
        ),
        (
            "elsewhere",
            json!({"workingDir": "/no/such/place"}),
            "/no/such/place",
        ),
    ] {
        let mut one = pod(name, "true");
        for (field, value) in change.as_object().unwrap() {
            one["spec"]["containers"][0][field] = value.clone();
        }
        cluster.create::<Pod>(one).await;
        let pod = cluster.until_phase(name, "Failed").await;
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(ended["reason"], "StartError", "{name}");
        assert_eq!(ended["exitCode"], 128, "{name}");
        let message = ended["message"].as_str().unwrap();
        assert!(message.contains(part), "{name}: {message}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_without_a_shim_is_repeated_uncounted() {
    let directory = StateDirectory::new();
    let go = directory.path().join("go");
    let cluster = open(directory.path(), 1).await;
    let hold = format!("while [ ! -e {} ]; do sleep 0.01; done", go.display());
    let mut once = pod("once", "echo ran");
    once["spec"]["initContainers"] =
        json!([{"name": "hold", "image": "x", "command": ["sh", "-c", hold]}]);
    let once: Pod = cluster.create(once).await;
    cluster
        .until::<Pod>("once", "held", |pod| {
            pod["status"]["initContainerStatuses"][0]["state"]["running"].is_object()
        })
        .await;
    cluster.shutdown().await;
    // The state on disk if the server died after it wrote the attempt, before it started the shim.
    let containers = directory.path().join("pods").join(once.uid().unwrap());
    let attempt = Attempt::new(containers.join("containers/main/0"));
    std::fs::create_dir_all(attempt.directory()).unwrap();
    std::fs::write(attempt.spec_path(), "{}").unwrap();
    std::fs::write(attempt.log_path(0), "").unwrap();
    std::fs::write(&go, "").unwrap();

    let cluster = open(directory.path(), 1).await;
    cluster.until_phase("once", "Succeeded").await;
    assert_eq!(cluster.log("once", None).await, "ran\n");
    cluster.shutdown().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn processes_that_left_the_group_are_killed_too() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    for (name, kill_shim) in [("regular", false), ("killed", true)] {
        let script = r#"echo shim $PPID
            setsid sh -c 'echo away $$$$; trap "" TERM; while :; do sleep 600; done' &
            setsid -f sh -c 'echo far $$$$; exec sleep 600'
            bash <<'END' &
                set -m
                env -i /bin/sh -c 'echo bare $$$$; exec sleep 600' &
                wait
END
            while [ ! -e go ]; do sleep 0.01; done"#;
        cluster.create::<Pod>(pod(name, script)).await;
        let shim = number_in_log(&cluster, name, "shim").await;
        let away = number_in_log(&cluster, name, "away").await;
        let far = number_in_log(&cluster, name, "far").await;
        let bare = number_in_log(&cluster, name, "bare").await;
        let all = [&away, &far, &bare];
        assert!(all.into_iter().all(|process| is_alive(process)));
        if kill_shim {
            let shim = nix::unistd::Pid::from_raw(shim.parse().unwrap());
            nix::sys::signal::kill(shim, nix::sys::signal::Signal::SIGKILL).unwrap();
            cluster.until_phase(name, "Failed").await;
        } else {
            let uid = cluster.api::<Pod>().get(name).await.unwrap().uid().unwrap();
            let scratch = directory.path().join("pods").join(uid).join("scratch/main");
            std::fs::write(scratch.join("go"), "").unwrap();
            cluster.until_phase(name, "Succeeded").await;
        }
        for process in all {
            assert!(
                !is_alive(process),
                "{name}: {process} of {all:?} still runs"
            );
        }
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_container_backs_off_and_keeps_its_previous_log() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 2).await;
    let mut failing = pod("failing", "echo ran >>../ran; wc -l <../ran; exit 3");
    failing["spec"]["restartPolicy"] = json!("Always");
    cluster.create::<Pod>(failing).await;
    let pod = cluster
        .until::<Pod>("failing", "backing off", |pod| {
            waiting_reason(pod) == "CrashLoopBackOff"
        })
        .await;
    let status = &pod["status"]["containerStatuses"][0];
    let message = status["state"]["waiting"]["message"].as_str().unwrap();
    assert_eq!(
        message,
        "back-off 10s restarting failed container=main pod=failing"
    );
    assert_eq!(status["lastState"]["terminated"]["exitCode"], 3);
    assert_eq!(status["restartCount"], 1);
    let parameters = LogParams {
        previous: true,
        ..LogParams::default()
    };
    let previous = cluster.api::<Pod>().logs("failing", &parameters).await;
    assert_eq!(previous.unwrap(), "2\n");
    assert_eq!(cluster.log("failing", None).await, "2\n");
    cluster
        .api::<Pod>()
        .delete("failing", &DeleteParams::default())
        .await
        .unwrap();
    cluster.until_gone::<Pod>("failing").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pod_that_ended_unobserved_gets_a_full_status() {
    let directory = StateDirectory::new();
    let full = Limits {
        min_free_bytes: u64::MAX,
        ..Limits::default()
    };
    let cluster = open_with(directory.path(), 1, full).await;
    let lost: Pod = cluster.create(pod("lost", "exit 3")).await;
    cluster
        .until::<Pod>("lost", "waiting", |pod| {
            pod["status"]["conditions"][0]["reason"] == "Unschedulable"
        })
        .await;
    cluster.shutdown().await;
    // The state on disk if the server died right after it started the container.
    let left = directory.path().join("pods").join(lost.uid().unwrap());
    std::fs::write(left.join("begun"), "").unwrap();
    let attempt = Attempt::new(left.join("containers/main/0"));
    std::fs::create_dir_all(attempt.directory()).unwrap();
    std::fs::write(attempt.spec_path(), "{}").unwrap();
    std::fs::write(attempt.log_path(0), "T stdout F said\n").unwrap();
    attempt
        .write_ended(&Ended {
            exit_code: 3,
            signal: None,
            reason: None,
            message: None,
            started_at: None,
            finished_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        })
        .unwrap();

    let cluster = open(directory.path(), 1).await;
    let pod = cluster.until_phase("lost", "Failed").await;
    assert!(pod["status"]["startTime"].is_string(), "{pod:#}");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["exitCode"], 3);
    assert_eq!(pod["spec"]["nodeName"], "embedded");
    assert_eq!(cluster.log("lost", None).await, "said\n");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_can_extend_the_grace_period() {
    let directory = StateDirectory::new();
    let cluster = open(directory.path(), 1).await;
    let done = directory.path().join("done");
    let script = format!(
        "trap 'sleep 2; echo done >{}; exit 0' TERM; echo pid $$$$; while :; do sleep 600 & wait; done",
        done.display()
    );
    let mut slow = pod("slow", &script);
    slow["spec"]["terminationGracePeriodSeconds"] = json!(1);
    cluster.create::<Pod>(slow).await;
    number_in_log(&cluster, "slow", "pid").await;
    let parameters = DeleteParams::default().grace_period(60);
    let api = cluster.api::<Pod>();
    api.delete("slow", &parameters).await.unwrap();
    cluster.until_gone::<Pod>("slow").await;
    assert!(
        done.exists(),
        "the container was killed before its grace period ended"
    );
    cluster.shutdown().await;
}
