mod shape;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::*;
use flightdeck_core::{
    resources::{RunSpec, RunStatus, SecretEnv},
    runs::{CodeDetails, RunKind},
};

/// A code run that uses every optional field.
fn run() -> Run {
    Run {
        kind: RunKind::Code,
        metadata: ObjectMeta {
            name: Some("code-1-3c1d".into()),
            namespace: Some("default".into()),
            uid: Some("0f2c6c1e-91f4-4c5b-9d3e-0a1b2c3d4e5f".into()),
            ..ObjectMeta::default()
        },
        tasks: vec!["1".into()],
        spec: RunSpec {
            repository_url: "https://github.com/acme/shop.git".into(),
            github_user: Some("octocat".into()),
            env: [("RUST_LOG".to_owned(), "debug".to_owned())].into(),
            env_from_secrets: vec![SecretEnv {
                name: "DATABASE_URL".into(),
                secret_name: "shop".into(),
                secret_key: "url".into(),
            }],
            ..RunSpec::default()
        },
        code: Some(CodeDetails {
            service: "shop".into(),
            ..CodeDetails::default()
        }),
        status: RunStatus::default(),
    }
}

/// The first attempt of a stage.
fn first(stage: Stage) -> Place<'static> {
    Place {
        stage,
        version: 1,
        attempt: 1,
        agent_failure: None,
    }
}

fn pod_of(stage: Stage) -> PodSpec {
    let job = job(&run(), first(stage), &Settings::shipped());
    job.spec.unwrap().template.spec.unwrap()
}

fn containers(stage: Stage) -> Vec<Container> {
    let pod = pod_of(stage);
    let init = pod.init_containers.unwrap_or_default();
    init.into_iter().chain(pod.containers).collect()
}

fn has(container: &Container, variable: &str) -> bool {
    let environment = container.env.as_deref().unwrap_or_default();
    environment.iter().any(|entry| entry.name == variable)
}

#[test]
fn no_container_has_git_credential_and_workspace() {
    let mut table = Vec::new();
    for container in Stage::ALL.into_iter().flat_map(containers) {
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        let workspace = mounts.iter().find(|mount| mount.name == "workspace");
        let words = [
            has(&container, "GITHUB_TOKEN").then_some("git"),
            has(&container, "ANTHROPIC_API_KEY").then_some("model"),
            (has(&container, "RUST_LOG") || has(&container, "DATABASE_URL")).then_some("env"),
            workspace.map(|mount| {
                if mount.read_only == Some(true) {
                    "reads"
                } else {
                    "writes"
                }
            }),
        ];
        let words: Vec<&str> = words.into_iter().flatten().collect();
        table.push(format!("{}: {}", container.name, words.join(" ")));
    }
    assert_eq!(
        table,
        [
            "clone: git",
            "setup: writes",
            "agent: model env writes",
            "collect: reads",
            "push: git",
        ]
    );
}

#[test]
fn only_network_containers_inherit_the_users_environment() {
    let of = |stage| {
        let job = job(&run(), first(stage), &Settings::shipped());
        let template = job.spec.unwrap().template.metadata.unwrap();
        template.annotations.unwrap()[naming::ANNOTATION_INHERIT_ENV].clone()
    };
    assert!(of(Stage::Prep).starts_with("clone=SSH_AUTH_SOCK,") && !of(Stage::Prep).contains(';'));
    assert!(
        of(Stage::Publish).starts_with("push=SSH_AUTH_SOCK,") && !of(Stage::Publish).contains(';')
    );
    assert_eq!(
        of(Stage::Agent),
        "agent=ANTHROPIC_API_KEY,CLAUDE_CODE_OAUTH_TOKEN,HTTP_PROXY,HTTPS_PROXY,ALL_PROXY,NO_PROXY,http_proxy,https_proxy,all_proxy,no_proxy"
    );
}

#[test]
fn pod_deadline_is_shorter_than_job_deadline() {
    let mut run = run();
    run.spec.deadline_seconds = Some(60);
    let spec = job(&run, first(Stage::Agent), &Settings::shipped())
        .spec
        .unwrap();
    let pod = spec.template.spec.unwrap();
    assert_eq!(pod.active_deadline_seconds, Some(60));
    assert_eq!(spec.active_deadline_seconds, Some(60 + PENDING_ALLOWANCE));
    assert_eq!(
        (spec.backoff_limit, pod.restart_policy.as_deref()),
        (Some(0), Some("Never"))
    );
    assert_eq!(spec.ttl_seconds_after_finished, None);
}

#[test]
fn run_environment_overrides_settings_without_duplicates() {
    let mut run = run();
    run.spec
        .env
        .insert("DISABLE_AUTOUPDATER".into(), "0".into());
    let job = job(&run, first(Stage::Agent), &Settings::shipped());
    let pod = job.spec.unwrap().template.spec.unwrap();
    let environment = pod.containers[0].env.clone().unwrap();
    let values: Vec<_> = environment
        .iter()
        .filter(|entry| entry.name == "DISABLE_AUTOUPDATER")
        .map(|entry| entry.value.as_deref())
        .collect();
    assert_eq!(values, [Some("0")]);
}

#[test]
fn proxy_is_set_for_network_containers_only() {
    let named = |settings: &Settings| -> Vec<String> {
        let pods = Stage::ALL.into_iter().map(|stage| {
            let job = job(&run(), first(stage), settings);
            job.spec.unwrap().template.spec.unwrap()
        });
        let containers = pods.flat_map(|pod| {
            let init = pod.init_containers.unwrap_or_default();
            init.into_iter().chain(pod.containers)
        });
        containers
            .map(|container| {
                let environment = container.env.unwrap_or_default().into_iter();
                let proxies =
                    environment.filter(|entry| entry.name.to_uppercase().ends_with("_PROXY"));
                let proxies = proxies.map(|entry| match (entry.value, entry.value_from) {
                    (Some(value), _) => format!(" {}={value}", entry.name),
                    (None, from) => {
                        let from = from.unwrap().secret_key_ref.unwrap();
                        format!(" {}<{}.{}", entry.name, from.name, from.key)
                    }
                });
                format!("{}:{}", container.name, proxies.collect::<String>())
            })
            .collect()
    };
    let plain = ["clone:", "setup:", "agent:", "collect:", "push:"];
    assert_eq!(named(&Settings::shipped()), plain);
    let mut settings = Settings::shipped();
    settings.pods.proxy.https = "http://proxy:3128".into();
    settings.pods.proxy.no = "10.0.0.0/8".into();
    let words = " HTTPS_PROXY=http://proxy:3128 https_proxy=http://proxy:3128 NO_PROXY=10.0.0.0/8 no_proxy=10.0.0.0/8";
    let expected = |words: &str| {
        plain.map(|name| match name {
            "setup:" | "collect:" => name.to_owned(),
            talks => format!("{talks}{words}"),
        })
    };
    assert_eq!(named(&settings), expected(words));
    settings.pods.proxy.secret = "proxy".into();
    let words = " HTTP_PROXY<proxy.HTTP_PROXY http_proxy<proxy.HTTP_PROXY HTTPS_PROXY<proxy.HTTPS_PROXY https_proxy<proxy.HTTPS_PROXY NO_PROXY<proxy.NO_PROXY no_proxy<proxy.NO_PROXY";
    assert_eq!(named(&settings), expected(words));
}

#[test]
fn only_push_is_given_the_failure_of_the_agent() {
    let place = Place {
        agent_failure: Some("BudgetExceeded"),
        ..first(Stage::Publish)
    };
    let pod = job(&run(), place, &Settings::shipped()).spec.unwrap();
    let pod = pod.template.spec.unwrap();
    let [collect] = &pod.init_containers.unwrap()[..] else {
        panic!("one init container")
    };
    assert!(has(&pod.containers[0], "AGENT_FAILURE"));
    assert!(!has(collect, "AGENT_FAILURE"));
    assert!(
        !containers(Stage::Publish)
            .iter()
            .any(|container| has(container, "AGENT_FAILURE"))
    );
}
