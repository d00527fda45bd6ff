//! The shape of every pod this controller makes, item by item: what was seen to be needed, or to be dangerous, on a real
//! cluster that enforces Pod Security's `restricted` profile. Each row brings along what would spoil it.

use serde_json::{Value, json};

use super::*;
use flightdeck_core::runs::RunKind;
use flightdeck_host::settings::Toleration;

const SSH_URL: &str = "git@github.com:acme/shop.git";

/// What must hold of the pod of a stage.
struct Row {
    what: &'static str,
    holds: fn(Stage, &Value) -> bool,
    /// A path into the pod and what to put there, as JSON: the row must not hold then.
    spoilt: (&'static str, &'static str),
}

const ROWS: &[Row] = &[
    Row {
        what: "nothing runs as root",
        holds: |_, pod| pod["securityContext"]["runAsNonRoot"] == true,
        spoilt: ("/securityContext/runAsNonRoot", "false"),
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
        spoilt: ("/containers/0/securityContext/runAsUser", "1001"),
    },
    Row {
        what: "volumes belong to that group, and are gone through only when they do not",
        holds: |_, pod| {
            let security = &pod["securityContext"];
            security["fsGroup"] == security["runAsGroup"]
                && security["fsGroupChangePolicy"] == "OnRootMismatch"
        },
        spoilt: ("/securityContext/fsGroupChangePolicy", r#""Always""#),
    },
    Row {
        what: "system calls are filtered",
        holds: |_, pod| pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
        spoilt: ("/securityContext/seccompProfile/type", r#""Unconfined""#),
    },
    Row {
        what: "no container gains privileges",
        holds: |_, pod| {
            each(pod, |container| {
                let security = &container["securityContext"];
                security["allowPrivilegeEscalation"] == false && security["privileged"].is_null()
            })
        },
        spoilt: (
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
        spoilt: (
            "/containers/0/securityContext/capabilities/add",
            r#"["NET_RAW"]"#,
        ),
    },
    Row {
        what: "no container writes to its image, and each has a place for temporary files",
        holds: |_, pod| {
            each(pod, |container| {
                container["securityContext"]["readOnlyRootFilesystem"] == true
                    && mounts(container).any(|mount| mount["mountPath"] == "/tmp")
            })
        },
        spoilt: (
            "/containers/0/securityContext/readOnlyRootFilesystem",
            "false",
        ),
    },
    Row {
        what: "no pod has a token for the cluster",
        holds: |_, pod| pod["automountServiceAccountToken"] == false,
        spoilt: ("/automountServiceAccountToken", "true"),
    },
    Row {
        what: "no pod is told of the namespace's services",
        holds: |_, pod| pod["enableServiceLinks"] == false,
        spoilt: ("/enableServiceLinks", "true"),
    },
    Row {
        what: "no pod shares anything with its node",
        holds: |_, pod| {
            ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"]
                .iter()
                .all(|key| pod[*key].is_null())
        },
        spoilt: ("/hostNetwork", "true"),
    },
    Row {
        what: "volumes are of the types that the profile allows, and none of them lives on the node",
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
        spoilt: ("/volumes/0", r#"{"name": "x", "hostPath": {"path": "/"}}"#),
    },
    Row {
        what: "every container, an init container too, asks for CPU and memory and is limited in both",
        holds: |_, pod| {
            each(pod, |container| {
                ["requests", "limits"].iter().all(|list| {
                    let list = &container["resources"][*list];
                    list["cpu"].is_string() && list["memory"].is_string()
                })
            })
        },
        spoilt: ("/containers/0/resources/limits/memory", "null"),
    },
    Row {
        what: "the last words of a container are its own report and never a piece of its log",
        holds: |_, pod| {
            each(pod, |container| {
                container["terminationMessagePolicy"] == "File"
                    && Some(container["terminationMessagePath"].as_str())
                        == variable(container, "TERMINATION_MESSAGE_PATH").map(Value::as_str)
            })
        },
        spoilt: (
            "/containers/0/terminationMessagePolicy",
            r#""FallbackToLogsOnError""#,
        ),
    },
    Row {
        what: "a pod ends by its own deadline, which keeps its log, and is never started twice",
        holds: |_, pod| pod["restartPolicy"] == "Never" && pod["activeDeadlineSeconds"] == 7200,
        spoilt: ("/activeDeadlineSeconds", "null"),
    },
    Row {
        what: "the Git token is where git meets the remote and nowhere else, out of a Secret",
        holds: |_, pod| {
            each(pod, |container| {
                let token = variable(container, "GITHUB_TOKEN").is_some();
                token == is_git(container)
                    && (!token || secret_of(container, "GITHUB_TOKEN") == "github-pat-octocat")
            })
        },
        spoilt: (
            "/containers/0/env/-",
            r#"{"name": "GITHUB_TOKEN", "value": "ghp_x"}"#,
        ),
    },
    Row {
        what: "whoever has the Git token never sees the workspace, and the other way round",
        holds: |_, pod| {
            each(pod, |container| {
                let workspace = mounts(container).any(|mount| mount["name"] == "workspace");
                workspace != is_git(container)
                    && workspace == variable(container, "WORKSPACE").is_some()
            })
        },
        spoilt: ("/containers/0/volumeMounts", "[]"),
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
        spoilt: (
            "/initContainers/0/volumeMounts",
            r#"[{"name": "workspace", "mountPath": "/workspace"}]"#,
        ),
    },
    Row {
        what: "the model credential and what the run asks for reach the agent alone",
        holds: |_, pod| {
            each(pod, |container| {
                ["ANTHROPIC_API_KEY", "RUST_LOG", "DATABASE_URL"]
                    .iter()
                    .all(|name| {
                        variable(container, name).is_some() == (container["name"] == "agent")
                    })
            })
        },
        spoilt: (
            "/containers/0/env/-",
            r#"{"name": "ANTHROPIC_API_KEY", "value": "sk"}"#,
        ),
    },
    Row {
        what: "the agent is handed nothing by the stages that hold the token",
        holds: |stage, pod| {
            stage != Stage::Agent
                || list(&pod["volumes"]).all(|volume| {
                    ["run-files", "workspace", "tmp"]
                        .iter()
                        .any(|name| volume["name"] == *name)
                })
        },
        spoilt: ("/volumes/0", r#"{"name": "handover", "emptyDir": {}}"#),
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
        spoilt: ("/containers/0/env", "[]"),
    },
    Row {
        what: "the run's files are never written to",
        holds: |_, pod| {
            each(pod, |container| {
                mounts(container)
                    .filter(|mount| mount["name"] == "run-files")
                    .all(|mount| mount["readOnly"] == true)
            })
        },
        spoilt: (
            "/containers/0/volumeMounts/-",
            r#"{"name": "run-files", "mountPath": "/x"}"#,
        ),
    },
    Row {
        what: "an SSH key is readable by its group at most, and where git meets the remote alone",
        holds: |stage, pod| {
            let volume = list(&pod["volumes"]).find(|volume| volume["name"] == "ssh");
            let private = volume.is_none_or(|volume| volume["projected"]["defaultMode"] == 0o400);
            let wanted = stage != Stage::Agent && pod["_ssh"] == true;
            private
                && volume.is_some() == wanted
                && each(pod, |container| {
                    let mounted = mounts(container).any(|mount| mount["name"] == "ssh");
                    mounted == (wanted && is_git(container))
                        && mounted == variable(container, "SSH_FILES").is_some()
                })
        },
        spoilt: (
            "/volumes/-",
            r#"{"name": "ssh", "projected": {"defaultMode": 292}}"#,
        ),
    },
    Row {
        what: "ssh finds an entry for its user",
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
        spoilt: (
            "/containers/0/volumeMounts/-",
            r#"{"name": "tmp", "mountPath": "/etc/passwd"}"#,
        ),
    },
    Row {
        what: "programs are named, never their places",
        holds: |_, pod| {
            each(pod, |container| {
                list(&container["command"])
                    .all(|word| !word.as_str().unwrap_or_default().contains('/'))
            })
        },
        spoilt: ("/containers/0/command", r#"["/bin/flightdeck"]"#),
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

/// The value of a variable; null where it comes from somewhere else.
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

/// Every pod there is: of each kind and stage, over HTTPS and over SSH.
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
                let job = job(&run, stage, 1, 1, settings);
                let mut pod = json!(job.spec.unwrap().template.spec.unwrap());
                pod["_ssh"] = ssh.into();
                let name = format!("{kind} {stage}{}", if ssh { " over SSH" } else { "" });
                pods.push((name, stage, pod));
            }
        }
    }
    pods
}

fn spoil(pod: &mut Value, path: &str, with: &str) {
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
fn every_pod_has_the_shape_that_works_and_gives_nothing_away() {
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
fn every_row_of_the_table_of_shapes_can_fail() {
    for row in ROWS {
        let (path, with) = row.spoilt;
        let seen = pods(&Settings::shipped())
            .into_iter()
            .any(|(_, stage, mut pod)| {
                spoil(&mut pod, path, with);
                !(row.holds)(stage, &pod)
            });
        assert!(seen, "{path} = {with} is not seen by: {}", row.what);
    }
}

#[test]
fn the_settings_say_whom_pods_run_as_and_where() {
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
fn a_cluster_that_chooses_the_user_itself_is_left_to_it() {
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
fn an_image_that_has_to_write_elsewhere_may_and_only_the_agents() {
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
fn the_key_comes_from_the_users_secret_and_its_host_keys_may_be_missing() {
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
    // The token is for the pull request then, and may be missing.
    let token =
        list(&pod["initContainers"][0]["env"]).find(|entry| entry["name"] == "GITHUB_TOKEN");
    assert_eq!(
        token.unwrap()["valueFrom"]["secretKeyRef"]["optional"],
        true
    );
}

#[test]
fn the_docs_repository_of_a_code_run_may_be_the_one_that_needs_the_key() {
    let mut run = run();
    assert_eq!(run.ssh_user(), None);
    run.code.as_mut().unwrap().docs_repository_url = Some(SSH_URL.into());
    assert_eq!(run.ssh_user(), Some("octocat"));
    run.spec.github_user = None;
    assert_eq!(run.ssh_user(), None, "the account's own ssh is used");
}
