//! How pods end: in order, with their last words, leaving nothing.

use super::*;
use kube_embedded::attempt::Ended;

#[tokio::test(flavor = "multi_thread")]
async fn init_containers_run_one_after_the_other_and_a_failed_one_ends_the_pod() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
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
    scene.create::<Pod>(stops).await;
    let pod = scene.until_phase("stops", "Failed").await;
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
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn last_words_are_cut_at_their_start_and_the_log_stands_in_for_none_after_an_error() {
    let directory = Home::new();
    let scene = open(directory.path(), 4).await;
    let message = |pod: &Value| {
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        ended["message"].as_str().map(str::to_owned)
    };
    let mut long = pod("long", "seq 1 3000 >\"$END\"");
    long["spec"]["containers"][0]["env"] =
        json!([{"name": "END", "value": "/dev/termination-log"}]);
    scene.create::<Pod>(long).await;
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
        scene.create::<Pod>(one).await;
    }
    let all: String = (1..=3000).map(|n| format!("{n}\n")).collect();
    let long = message(&scene.until_phase("long", "Succeeded").await).unwrap();
    assert_eq!(long, all[all.len() - 4096..]);
    let fallen = message(&scene.until_phase("falls-back", "Failed").await).unwrap();
    let end: String = (2922..=3000).map(|n| format!("{n}\n")).collect();
    assert_eq!(fallen, end + "no end");
    assert_eq!(message(&scene.until_phase("well", "Succeeded").await), None);
    assert_eq!(
        message(&scene.until_phase("file-only", "Failed").await),
        None
    );
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_a_pod_go_when_it_ends_and_its_log_when_it_is_deleted() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    scene
        .create::<Secret>(json!({"metadata": {"name": "keys"}, "stringData": {"k": "s3cret"}}))
        .await;
    let mut reader = pod("reader", "cat \"$V/k\"");
    reader["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": "keys"}}]);
    reader["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "v", "mountPath": "/v"}]);
    reader["spec"]["containers"][0]["env"] = json!([{"name": "V", "value": "/v"}]);
    scene.create::<Pod>(reader).await;
    scene.until_phase("reader", "Succeeded").await;
    let uid = scene.api::<Pod>().get("reader").await.unwrap().uid();
    let left = directory.path().join("pods").join(uid.unwrap());
    eventually("the secret is gone", || !left.join("volumes").exists()).await;
    assert_eq!(scene.log("reader", None).await, "s3cret");
    scene
        .api::<Pod>()
        .delete("reader", &DeleteParams::default())
        .await
        .unwrap();
    eventually("its log is gone", || !left.exists()).await;
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_comes_back_in_a_grace_period_sees_the_pod_to_its_end() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    let mut deaf = pod(
        "deaf",
        "trap 'echo asked' TERM; echo pid $$$$; while :; do sleep 600 & wait; done",
    );
    deaf["spec"]["terminationGracePeriodSeconds"] = json!(2);
    scene.create::<Pod>(deaf).await;
    let process = number_in_log(&scene, "deaf", "pid").await;
    let api = scene.api::<Pod>();
    api.delete("deaf", &DeleteParams::default()).await.unwrap();
    scene
        .until::<Pod>("deaf", "being deleted", |pod| {
            pod["metadata"]["deletionTimestamp"].is_string()
        })
        .await;
    scene.cluster.shutdown().await;
    let scene = open(directory.path(), 2).await;
    scene.until_gone::<Pod>("deaf").await;
    assert!(!is_alive(&process));
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_cannot_be_started_is_an_end_that_says_why() {
    let directory = Home::new();
    let scene = open(directory.path(), 6).await;
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
        scene.create::<Pod>(one).await;
        let pod = scene.until_phase(name, "Failed").await;
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(ended["reason"], "StartError", "{name}");
        assert_eq!(ended["exitCode"], 128, "{name}");
        let message = ended["message"].as_str().unwrap();
        assert!(message.contains(part), "{name}: {message}");
    }
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_no_shim_took_up_is_made_again_and_counts_as_none() {
    let directory = Home::new();
    let go = directory.path().join("go");
    let scene = open(directory.path(), 1).await;
    let hold = format!("while [ ! -e {} ]; do sleep 0.01; done", go.display());
    let mut once = pod("once", "echo ran");
    once["spec"]["initContainers"] =
        json!([{"name": "hold", "image": "x", "command": ["sh", "-c", hold]}]);
    let once: Pod = scene.create(once).await;
    scene
        .until::<Pod>("once", "held", |pod| {
            pod["status"]["initContainerStatuses"][0]["state"]["running"].is_object()
        })
        .await;
    scene.cluster.shutdown().await;
    // As if the server had gone between its last word to the disk and the start of the shim.
    let containers = directory.path().join("pods").join(once.uid().unwrap());
    let attempt = Attempt::new(containers.join("containers/main/0"));
    std::fs::create_dir_all(attempt.directory()).unwrap();
    std::fs::write(attempt.spec_path(), "{}").unwrap();
    std::fs::write(attempt.log_path(0), "").unwrap();
    std::fs::write(&go, "").unwrap();

    let scene = open(directory.path(), 1).await;
    scene.until_phase("once", "Succeeded").await;
    assert_eq!(
        scene.log("once", None).await,
        "ran
"
    );
    scene.cluster.shutdown().await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn what_left_the_group_of_a_container_ends_with_it_even_when_its_shim_is_killed() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
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
        scene.create::<Pod>(pod(name, script)).await;
        let shim = number_in_log(&scene, name, "shim").await;
        let away = number_in_log(&scene, name, "away").await;
        let far = number_in_log(&scene, name, "far").await;
        let bare = number_in_log(&scene, name, "bare").await;
        let all = [&away, &far, &bare];
        assert!(all.into_iter().all(|process| is_alive(process)));
        if kill_shim {
            let shim = nix::unistd::Pid::from_raw(shim.parse().unwrap());
            nix::sys::signal::kill(shim, nix::sys::signal::Signal::SIGKILL).unwrap();
            scene.until_phase(name, "Failed").await;
        } else {
            let uid = scene.api::<Pod>().get(name).await.unwrap().uid().unwrap();
            let scratch = directory.path().join("pods").join(uid).join("scratch/main");
            std::fs::write(scratch.join("go"), "").unwrap();
            scene.until_phase(name, "Succeeded").await;
        }
        for process in all {
            assert!(!is_alive(process), "{name}: {process} of {all:?} stays");
        }
    }
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_keeps_failing_waits_longer_and_its_last_log_is_the_previous_one() {
    let directory = Home::new();
    let scene = open(directory.path(), 2).await;
    let mut failing = pod("failing", "echo ran >>../ran; wc -l <../ran; exit 3");
    failing["spec"]["restartPolicy"] = json!("Always");
    scene.create::<Pod>(failing).await;
    let pod = scene
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
    let previous = scene.api::<Pod>().logs("failing", &parameters).await;
    assert_eq!(previous.unwrap(), "2\n");
    assert_eq!(scene.log("failing", None).await, "2\n");
    scene
        .api::<Pod>()
        .delete("failing", &DeleteParams::default())
        .await
        .unwrap();
    scene.until_gone::<Pod>("failing").await;
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_began_and_ended_before_the_server_could_tell_is_told_of_in_full() {
    let directory = Home::new();
    let full = Limits {
        min_free_bytes: u64::MAX,
        ..Limits::default()
    };
    let scene = open_with(directory.path(), 1, full).await;
    let lost: Pod = scene.create(pod("lost", "exit 3")).await;
    scene
        .until::<Pod>("lost", "waiting", |pod| {
            pod["status"]["conditions"][0]["reason"] == "Unschedulable"
        })
        .await;
    scene.cluster.shutdown().await;
    // As the disk is when the server goes right after the start.
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

    let scene = open(directory.path(), 1).await;
    let pod = scene.until_phase("lost", "Failed").await;
    assert!(pod["status"]["startTime"].is_string(), "{pod:#}");
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!(ended["exitCode"], 3);
    assert_eq!(pod["spec"]["nodeName"], "embedded");
    assert_eq!(scene.log("lost", None).await, "said\n");
    scene.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_may_grant_a_longer_grace_than_the_pod_asked_for() {
    let directory = Home::new();
    let scene = open(directory.path(), 1).await;
    let done = directory.path().join("done");
    let script = format!(
        "trap 'sleep 2; echo done >{}; exit 0' TERM; echo pid $$$$; while :; do sleep 600 & wait; done",
        done.display()
    );
    let mut slow = pod("slow", &script);
    slow["spec"]["terminationGracePeriodSeconds"] = json!(1);
    scene.create::<Pod>(slow).await;
    number_in_log(&scene, "slow", "pid").await;
    let parameters = DeleteParams::default().grace_period(60);
    let api = scene.api::<Pod>();
    api.delete("slow", &parameters).await.unwrap();
    scene.until_gone::<Pod>("slow").await;
    assert!(done.exists(), "it was killed before its time");
    scene.cluster.shutdown().await;
}
