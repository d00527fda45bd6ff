//! The shape of every pod, one requirement per row: what a real cluster with Pod Security's `restricted` profile needs, and
//! what would be dangerous. Each row has a change that must break it.

use serde_json::{Value, json};

use super::*;
use flightdeck_core::runs::RunKind;
use flightdeck_host::settings::Toleration;

const SSH_URL: &str = "git@github.com:acme/shop.git";

/// A requirement for the pod of a stage.
struct Row {
    what: &'static str,
    holds: fn(Stage, &Value) -> bool,
    /// A path into the pod and a JSON value that, put there, must violate the row.
    breaks: (&'static str, &'static str),
}

const ROWS: &[Row] = &[
    Row {
        what: "nothing runs as root",
        holds: |_, pod| pod["securityContext"]["runAsNonRoot"] == true,
        breaks: ("/securityContext/runAsNonRoot", "false"),
    },
    Row {
        what: "one user and one group for every stage",
        holds: |_, pod| {
            let own = |key| pod["securityContext"][key] == 1000;
            own("runAsUser")
                && own("runAsGroup")
                && each(pod, |container| {
                    container["securityContext"]["runAsUser"].is_null()
                })
        },
        breaks: ("/containers/0/securityContext/runAsUser", "1001"),
    },
    Row {
        what: "volumes belong to that group, and are changed only when they do not",
        holds: |_, pod| {
            let security = &pod["securityContext"];
            security["fsGroup"] == security["runAsGroup"]
                && security["fsGroupChangePolicy"] == "OnRootMismatch"
        },
        breaks: ("/securityContext/fsGroupChangePolicy", r#""Always""#),
    },
    Row {
        what: "system calls are filtered",
        holds: |_, pod| pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
        breaks: ("/securityContext/seccompProfile/type", r#""Unconfined""#),
    },
    Row {
        what: "no container gains privileges",
        holds: |_, pod| {
            each(pod, |container| {
                let security = &container["securityContext"];
                security["allowPrivilegeEscalation"] == false && security["privileged"].is_null()
            })
        },
        breaks: (
            "/containers/0/securityContext/allowPrivilegeEscalation",
            "true",
        ),
    },
    Row {
        what: "no container keeps a capability",
        holds: |_, pod| {
            each(pod, |container| {
                container["securityContext"]["capabilities"] == json!({"drop": ["ALL"]})
            })
        },
        breaks: (
            "/containers/0/securityContext/capabilities/add",
            r#"["NET_RAW"]"#,
        ),
    },
    Row {
        what: "no container writes to its image, and each has a /tmp",
        holds: |_, pod| {
            each(pod, |container| {
                container["securityContext"]["readOnlyRootFilesystem"] == true
                    && mounts(container).any(|mount| mount["mountPath"] == "/tmp")
            })
        },
        breaks: (
            "/containers/0/securityContext/readOnlyRootFilesystem",
            "false",
        ),
    },
    Row {
        what: "no pod has a token for the cluster",
        holds: |_, pod| pod["automountServiceAccountToken"] == false,
        breaks: ("/automountServiceAccountToken", "true"),
    },
    Row {
        what: "no pod has service environment variables",
        holds: |_, pod| pod["enableServiceLinks"] == false,
        breaks: ("/enableServiceLinks", "true"),
    },
    Row {
        what: "no pod shares anything with its node",
        holds: |_, pod| {
            ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"]
                .iter()
                .all(|key| pod[*key].is_null())
        },
        breaks: ("/hostNetwork", "true"),
    },
    Row {
        what: "volumes are of the types that the profile allows, and none is on the node",
        holds: |_, pod| {
            list(&pod["volumes"]).all(|volume| {
                [
                    "configMap",
                    "emptyDir",
                    "projected",
                    "persistentVolumeClaim",
                ]
                .iter()
                .any(|kind| volume.get(kind).is_some())
            })
        },
        breaks: ("/volumes/0", r#"{"name": "x", "hostPath": {"path": "/"}}"#),
    },
    Row {
        what: "every container, an init container too, has requests and limits for CPU and memory",
        holds: |_, pod| {
            each(pod, |container| {
                ["requests", "limits"].iter().all(|list| {
                    let list = &container["resources"][*list];
                    list["cpu"].is_string() && list["memory"].is_string()
                })
            })
        },
        breaks: ("/containers/0/resources/limits/memory", "null"),
    },
    Row {
        what: "the termination message is the container's report, never its log",
        holds: |_, pod| {
            each(pod, |container| {
                container["terminationMessagePolicy"] == "File"
                    && Some(container["terminationMessagePath"].as_str())
                        == variable(container, "TERMINATION_MESSAGE_PATH").map(Value::as_str)
            })
        },
        breaks: (
            "/containers/0/terminationMessagePolicy",
            r#""FallbackToLogsOnError""#,
        ),
    },
    Row {
        what: "a pod ends by its own deadline, which keeps its log, and never restarts",
        holds: |_, pod| pod["restartPolicy"] == "Never" && pod["activeDeadlineSeconds"] == 7200,
        breaks: ("/activeDeadlineSeconds", "null"),
    },
    Row {
        what: "only git containers have the Git token, from a Secret",
        holds: |_, pod| {
            each(pod, |container| {
                let token = variable(container, "GITHUB_TOKEN").is_some();
                token == is_git(container)
                    && (!token || secret_of(container, "GITHUB_TOKEN") == "github-pat-octocat")
            })
        },
        breaks: (
            "/containers/0/env/-",
            r#"{"name": "GITHUB_TOKEN", "value": "ghp_x"}"#,
        ),
    },
    Row {
        what: "no container has both the Git token and the workspace",
        holds: |_, pod| {
            each(pod, |container| {
                let workspace = mounts(container).any(|mount| mount["name"] == "workspace");
                workspace != is_git(container)
                    && workspace == variable(container, "WORKSPACE").is_some()
            })
        },
        breaks: ("/containers/0/volumeMounts", "[]"),
    },
    Row {
        what: "publish reads the workspace and never writes to it",
        holds: |stage, pod| {
            stage != Stage::Publish
                || each(pod, |container| {
                    mounts(container)
                        .filter(|mount| mount["name"] == "workspace")
                        .all(|mount| mount["readOnly"] == true)
                })
        },
        breaks: (
            "/initContainers/0/volumeMounts",
            r#"[{"name": "workspace", "mountPath": "/workspace"}]"#,
        ),
    },
    Row {
        what: "only the agent has the model credential and the run's environment",
        holds: |_, pod| {
            each(pod, |container| {
                ["ANTHROPIC_API_KEY", "RUST_LOG", "DATABASE_URL"]
                    .iter()
                    .all(|name| {
                        variable(container, name).is_some() == (container["name"] == "agent")
                    })
            })
        },
        breaks: (
            "/containers/0/env/-",
            r#"{"name": "ANTHROPIC_API_KEY", "value": "sk"}"#,
        ),
    },
    Row {
        what: "the agent mounts no volume of the containers with the token",
        holds: |stage, pod| {
            stage != Stage::Agent
                || list(&pod["volumes"]).all(|volume| {
                    ["run-files", "workspace", "tmp"]
                        .iter()
                        .any(|name| volume["name"] == *name)
                })
        },
        breaks: ("/volumes/0", r#"{"name": "handover", "emptyDir": {}}"#),
    },
    Row {
        what: "the agent's home is on the workspace, outside its checkout",
        holds: |stage, pod| {
            stage != Stage::Agent
                || variable(&pod["containers"][0], "HOME")
                    == Some(&json!(
                        "/workspace/runs/0f2c6c1e-91f4-4c5b-9d3e-0a1b2c3d4e5f/home"
                    ))
        },
        breaks: ("/containers/0/env", "[]"),
    },
    Row {
        what: "the run's files are read-only",
        holds: |_, pod| {
            each(pod, |container| {
                mounts(container)
                    .filter(|mount| mount["name"] == "run-files")
                    .all(|mount| mount["readOnly"] == true)
            })
        },
        breaks: (
            "/containers/0/volumeMounts/-",
            r#"{"name": "run-files", "mountPath": "/x"}"#,
        ),
    },
    Row {
        what: "only git containers have the SSH key, readable by its group at most",
        holds: |stage, pod| {
            let volume = list(&pod["volumes"]).find(|volume| volume["name"] == "ssh");
            let private = volume.is_none_or(|volume| volume["projected"]["defaultMode"] == 0o400);
            let expected = stage != Stage::Agent && pod["_ssh"] == true;
            private
                && volume.is_some() == expected
                && each(pod, |container| {
                    let mounted = mounts(container).any(|mount| mount["name"] == "ssh");
                    mounted == (expected && is_git(container))
                        && mounted == variable(container, "SSH_FILES").is_some()
                })
        },
        breaks: (
            "/volumes/-",
            r#"{"name": "ssh", "projected": {"defaultMode": 292}}"#,
        ),
    },
    Row {
        what: "git containers over SSH have a passwd entry for their user",
        holds: |_, pod| {
            each(pod, |container| {
                let entry = mounts(container).find(|mount| mount["mountPath"] == "/etc/passwd");
                let right = entry.is_none_or(|mount| {
                    mount["name"] == "run-files"
                        && mount["subPath"] == "passwd"
                        && mount["readOnly"] == true
                });
                right && entry.is_some() == (pod["_ssh"] == true && is_git(container))
            })
        },
        breaks: (
            "/containers/0/volumeMounts/-",
            r#"{"name": "tmp", "mountPath": "/etc/passwd"}"#,
        ),
    },
    Row {
        what: "commands contain no paths",
        holds: |_, pod| {
            each(pod, |container| {
                list(&container["command"])
                    .all(|word| !word.as_str().unwrap_or_default().contains('/'))
            })
        },
        breaks: ("/containers/0/command", r#"["/bin/flightdeck"]"#),
    },
];

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn all(pod: &Value) -> impl Iterator<Item = &Value> {
    list(&pod["initContainers"]).chain(list(&pod["containers"]))
}

fn each(pod: &Value, holds: impl Fn(&Value) -> bool) -> bool {
    all(pod).all(holds)
}

fn mounts(container: &Value) -> impl Iterator<Item = &Value> {
    list(&container["volumeMounts"])
}

fn is_git(container: &Value) -> bool {
    container["name"] == "clone" || container["name"] == "push"
}

/// Returns the value of a variable; null if it comes from a reference.
fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a Value> {
    let mut entries = list(&container["env"]);
    let entry = entries.find(|entry| entry["name"] == name)?;
    Some(&entry["value"])
}

fn secret_of<'a>(container: &'a Value, name: &str) -> &'a Value {
    let mut entries = list(&container["env"]);
    let entry = entries.find(|entry| entry["name"] == name);
    entry.map_or(
        &Value::Null,
        |entry| &entry["valueFrom"]["secretKeyRef"]["name"],
    )
}

/// Returns every pod: of each kind and stage, over HTTPS and SSH.
fn pods(settings: &Settings) -> Vec<(String, Stage, Value)> {
    let mut pods = Vec::new();
    for kind in RunKind::ALL {
        for ssh in [false, true] {
            for stage in Stage::ALL {
                let mut run = run();
                run.spec.deadline_seconds = Some(7200);
                run.kind = kind;
                run.code = run.code.filter(|_| kind == RunKind::Code);
                if ssh {
                    run.spec.repository_url = SSH_URL.into();
                }
                let job = job(&run, first(stage), settings);
                let mut pod = json!(job.spec.unwrap().template.spec.unwrap());
                pod["_ssh"] = ssh.into();
                let name = format!("{kind} {stage}{}", if ssh { " over SSH" } else { "" });
                pods.push((name, stage, pod));
            }
        }
    }
    pods
}

fn replace(pod: &mut Value, path: &str, with: &str) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    let with: Value = serde_json::from_str(with).unwrap();
    match pod.pointer_mut(parent) {
        Some(Value::Array(list)) if key == "-" => list.push(with),
        Some(Value::Array(list)) => list[key.parse::<usize>().unwrap()] = with,
        Some(object) => object[key] = with,
        None => {}
    }
}

#[test]
fn every_pod_meets_all_requirements() {
    let mut wrong = Vec::new();
    for row in ROWS {
        for (name, stage, pod) in pods(&Settings::shipped()) {
            if !(row.holds)(stage, &pod) {
                wrong.push(format!("{name}: {}", row.what));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_requirement_can_fail() {
    for row in ROWS {
        let (path, with) = row.breaks;
        let detected = pods(&Settings::shipped())
            .into_iter()
            .any(|(_, stage, mut pod)| {
                replace(&mut pod, path, with);
                !(row.holds)(stage, &pod)
            });
        assert!(detected, "{path} = {with} does not violate: {}", row.what);
    }
}

#[test]
fn settings_set_user_and_scheduling_of_pods() {
    let mut settings = Settings::shipped();
    let pods_settings = &mut settings.pods;
    pods_settings.service_account = "runs".into();
    pods_settings.image_pull_secrets = vec!["registry".into()];
    pods_settings.node_selector = [("pool".to_owned(), "agents".to_owned())].into();
    pods_settings.tolerations = vec![Toleration {
        key: Some("dedicated".into()),
        operator: Some("Exists".into()),
        effect: Some("NoExecute".into()),
        seconds: Some(60),
        ..Toleration::default()
    }];
    pods_settings.priority_class = "low".into();
    pods_settings.scheduler = "bin-packing".into();
    pods_settings.user = 2000;
    pods_settings.agent.limits.cpu = String::new();
    pods_settings.agent.limits.memory = "16Gi".into();
    for (name, stage, pod) in pods(&settings) {
        assert_eq!(pod["serviceAccountName"], "runs", "{name}");
        assert_eq!(pod["imagePullSecrets"], json!([{"name": "registry"}]));
        assert_eq!(pod["nodeSelector"], json!({"pool": "agents"}));
        assert_eq!(
            pod["tolerations"],
            json!([{"key": "dedicated", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}])
        );
        assert_eq!(pod["priorityClassName"], "low");
        assert_eq!(pod["schedulerName"], "bin-packing");
        for id in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert_eq!(pod["securityContext"][id], 2000, "{name}: {id}");
        }
        if stage == Stage::Agent {
            let limits = &pod["containers"][0]["resources"]["limits"];
            assert_eq!(limits, &json!({"memory": "16Gi"}), "{name}");
        }
    }
}

#[test]
fn user_0_leaves_the_user_to_the_cluster() {
    let mut settings = Settings::shipped();
    settings.pods.user = 0;
    for (name, _, pod) in pods(&settings) {
        let security = &pod["securityContext"];
        for id in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert!(security[id].is_null(), "{name}: {id}");
        }
        assert_eq!(security["runAsNonRoot"], true);
        assert!(each(&pod, |container| mounts(container)
            .all(|mount| mount["mountPath"] != "/etc/passwd")));
    }
}

#[test]
fn only_the_agents_root_may_be_writable() {
    let mut settings = Settings::shipped();
    settings.agents.get_mut("claude").unwrap().read_only_root = false;
    for (name, _, pod) in pods(&settings) {
        for container in all(&pod) {
            let read_only = &container["securityContext"]["readOnlyRootFilesystem"];
            assert_eq!(*read_only, json!(container["name"] != "agent"), "{name}");
        }
    }
}

#[test]
fn ssh_key_is_required_and_host_keys_are_optional() {
    let pods = pods(&Settings::shipped());
    let (_, _, pod) = pods
        .iter()
        .find(|(name, ..)| name == "code prep over SSH")
        .unwrap();
    let volume = list(&pod["volumes"]).find(|volume| volume["name"] == "ssh");
    let sources = &volume.unwrap()["projected"]["sources"];
    assert_eq!(
        *sources,
        json!([
            {"secret": {"name": "github-ssh-octocat", "items": [{"key": "ssh-privatekey", "path": "key"}]}},
            {"secret": {"name": "github-ssh-octocat", "items": [{"key": "known_hosts", "path": "known_hosts"}], "optional": true}},
        ])
    );
    // Over SSH the token is only for the pull request, and optional.
    let token =
        list(&pod["initContainers"][0]["env"]).find(|entry| entry["name"] == "GITHUB_TOKEN");
    assert_eq!(
        token.unwrap()["valueFrom"]["secretKeyRef"]["optional"],
        true
    );
}

#[test]
fn ssh_key_may_be_for_the_docs_repository() {
    let mut run = run();
    assert_eq!(run.ssh_user(), None);
    run.code.as_mut().unwrap().docs_repository_url = Some(SSH_URL.into());
    assert_eq!(run.ssh_user(), Some("octocat"));
    run.spec.github_user = None;
    assert_eq!(run.ssh_user(), None, "uses the user's own ssh");
}
