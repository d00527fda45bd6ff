//! The manifests in `config/`, validated with the types of Kubernetes and with kubectl; and the image.

mod crd_rules;
mod image;
mod migrate;
pub(crate) mod newer_crds;

use std::{fs, path::Path, process::Command};

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, ServiceAccount},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{Role, RoleBinding},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::support::{self, https_cluster::HttpsCluster};
use flightdeck::cli::manifests::{self, File, Manifests, Options, What};
use flightdeck_core::yaml;
use flightdeck_host::settings::Settings;

fn files(what: What, options: Options, namespace: Option<&str>) -> Vec<File> {
    manifests::files(&Manifests { what, options }, namespace).unwrap()
}

fn all() -> Vec<File> {
    files(What::All, Options::default(), None)
}

/// Returns the YAML documents of the files.
fn documents(files: &[File]) -> Vec<Value> {
    files
        .iter()
        .flat_map(|file| serde_saphyr::from_multiple::<Value>(&file.text).unwrap())
        .collect()
}

fn find(documents: &[Value], kind: &str, name: &str) -> Value {
    let mut found = documents
        .iter()
        .filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found
        .next()
        .unwrap_or_else(|| panic!("no {kind} {name}"))
        .clone()
}

#[test]
fn shipped_manifests_are_current() {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for file in all() {
        let path = config.join(file.path);
        if std::env::var_os("UPDATE").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &file.text).unwrap();
        }
        let shipped = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            shipped == file.text,
            "{} is outdated: UPDATE=1 cargo test shipped",
            path.display()
        );
    }
}

/// Some clients drop unknown fields silently, others reject them.
#[test]
fn manifests_have_no_unknown_fields() {
    fn round_trip<T: DeserializeOwned + Serialize>(object: &Value) {
        let typed: T = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(&serde_json::to_value(typed).unwrap(), object);
    }
    let documents = documents(&all());
    for object in &documents {
        match object["kind"].as_str().unwrap() {
            "Namespace" => round_trip::<Namespace>(object),
            "ServiceAccount" => round_trip::<ServiceAccount>(object),
            "ConfigMap" => round_trip::<ConfigMap>(object),
            "Role" => round_trip::<Role>(object),
            "RoleBinding" => round_trip::<RoleBinding>(object),
            "Deployment" => round_trip::<Deployment>(object),
            "PodDisruptionBudget" => round_trip::<PodDisruptionBudget>(object),
            "CustomResourceDefinition" => round_trip::<CustomResourceDefinition>(object),
            other => panic!("unexpected kind {other}"),
        }
    }
    assert_eq!(documents.len(), 13);
}

#[test]
fn options_apply_to_all_manifests() {
    let options = Options {
        image: "registry.example/team/flightdeck@sha256:0".into(),
        name: "fleet".into(),
        replicas: 1,
        settings: None,
    };
    let files = files(What::All, options, Some("runs"));
    let documents = documents(&files);
    let kinds: Vec<&str> = documents
        .iter()
        .filter_map(|object| object["kind"].as_str())
        .collect();
    // The namespace exists already, and a budget would block the eviction of a single controller.
    assert!(!kinds.contains(&"Namespace") && !kinds.contains(&"PodDisruptionBudget"));
    for object in &documents {
        let name = object["metadata"]["name"].as_str().unwrap();
        match object["kind"].as_str().unwrap() {
            "CustomResourceDefinition" => assert!(name.ends_with(".orchestrator.io")),
            "ConfigMap" => assert_eq!(name, "flightdeck-settings"),
            _ => assert!(name.starts_with("fleet-"), "{name}"),
        }
        if object["kind"] != "CustomResourceDefinition" {
            assert_eq!(object["metadata"]["namespace"], "runs");
        }
    }
    let deployment = find(&documents, "Deployment", "fleet-controller");
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        container["image"],
        "registry.example/team/flightdeck@sha256:0"
    );
    let map = find(&documents, "ConfigMap", "flightdeck-settings");
    let text = map["data"]["config.toml"].as_str().unwrap().to_owned();
    let settings = Settings::for_controller(&text).unwrap();
    assert_eq!(
        settings.images.runner,
        "registry.example/team/flightdeck@sha256:0"
    );
    let stage = find(&documents, "ServiceAccount", &settings.pods.service_account);
    assert_eq!(stage["automountServiceAccountToken"], false);
    let text: String = files.iter().map(|file| file.text.as_str()).collect();
    assert!(text.contains("--namespace runs create rolebinding fleet-users --role=fleet-user"));
    assert!(!text.contains("{n"), "unreplaced placeholder");
}

#[test]
fn each_part_is_complete() {
    let kinds = |what| -> Vec<String> {
        let documents = documents(&files(what, Options::default(), None));
        let kinds = documents
            .iter()
            .map(|object| object["kind"].as_str().unwrap().to_owned());
        kinds.collect()
    };
    assert_eq!(kinds(What::Crds), ["CustomResourceDefinition"; 2]);
    let controller = kinds(What::Controller);
    for needed in [
        "Role",
        "ServiceAccount",
        "RoleBinding",
        "ConfigMap",
        "Deployment",
    ] {
        assert!(
            controller.contains(&needed.to_owned()),
            "{needed}: {controller:?}"
        );
    }
    assert_eq!(
        kinds(What::Rbac)
            .iter()
            .filter(|kind| *kind == "Role")
            .count(),
        4
    );
}

#[test]
fn invalid_options_are_rejected() {
    let with = |change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        Manifests {
            what: What::All,
            options,
        }
    };
    let bad = tempfile::NamedTempFile::new().unwrap();
    fs::write(bad.path(), "[images]\nruner = \"x\"\n").unwrap();
    let mut settings = with(|_| {});
    settings.options.settings = Some(bad.path().to_owned());
    let missing = with(|options| options.settings = Some("nowhere.toml".into()));
    for (manifests, namespace, sentence) in [
        (with(|_| {}), Some("Runs"), "--namespace \"Runs\""),
        (
            with(|options| options.name = "-x".into()),
            None,
            "--name \"-x\"",
        ),
        (
            with(|options| options.image = "a b".into()),
            None,
            "--image \"a b\"",
        ),
        (
            with(|options| options.image = "a\nrunner = 1".into()),
            None,
            "is not the name of an image",
        ),
        (settings, None, "runer"),
        (missing, None, "nowhere.toml"),
    ] {
        let error = manifests::files(&manifests, namespace).unwrap_err();
        assert!(format!("{error:#}").contains(sentence), "{error:#}");
    }
}

/// Checks the profile `restricted` of the Pod Security Standards (kubernetes.io/docs/concepts/security/pod-security-standards).
#[test]
fn controller_complies_with_restricted_and_has_probes() {
    let documents = documents(&all());
    let namespace = find(&documents, "Namespace", "flightdeck");
    assert_eq!(
        namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        "restricted"
    );
    let deployment = find(&documents, "Deployment", "flightdeck-controller");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(
        pod["securityContext"]["seccompProfile"]["type"],
        "RuntimeDefault"
    );
    for forbidden in ["hostNetwork", "hostPID", "hostIPC"] {
        assert!(pod[forbidden].is_null());
    }
    assert!(
        pod["volumes"]
            .as_array()
            .unwrap()
            .iter()
            .all(|volume| volume["emptyDir"].is_object())
    );
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"]["drop"][0], "ALL");
    for (probe, path) in [
        ("startupProbe", "/healthz"),
        ("livenessProbe", "/healthz"),
        ("readinessProbe", "/readyz"),
    ] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(
            container[probe]["httpGet"]["port"],
            container["ports"][0]["name"]
        );
    }
    for list in ["requests", "limits"] {
        assert!(container["resources"][list]["memory"].is_string());
    }
    // The selectors of the Deployment and of the budget match the pods.
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    let budget = find(&documents, "PodDisruptionBudget", "flightdeck-controller");
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&budget["spec"]["selector"]["matchLabels"], labels);
    let binding = find(&documents, "RoleBinding", "flightdeck-controller");
    assert_eq!(binding["subjects"][0]["name"], pod["serviceAccountName"]);
}

/// Only with the kinds that the embedded cluster serves: namespaces, CRDs and ConfigMaps.
#[tokio::test(flavor = "multi_thread")]
async fn kubectl_applies_manifests_and_knows_short_names() {
    const TEST: &str = "kubectl_applies_manifests_and_knows_short_names";
    let version = Command::new("kubectl")
        .args(["version", "--client"])
        .output();
    if !version.is_ok_and(|output| output.status.success()) {
        support::skipped(TEST, "kubectl is not installed");
        return;
    }
    let served = HttpsCluster::start().await;
    let known = ["Namespace", "CustomResourceDefinition", "ConfigMap"];
    let documents = documents(&all());
    let known = documents
        .iter()
        .filter(|object| known.contains(&object["kind"].as_str().unwrap()));
    let text: String = known
        .map(|object| format!("---\n{}", yaml::to_string(object).unwrap()))
        .collect();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("all.yaml");
    fs::write(&file, text).unwrap();
    let kubeconfig = served.server.endpoint().kubeconfig.clone();
    let said = tokio::task::spawn_blocking(move || {
        let kubectl = |arguments: &[&str]| {
            let output = Command::new("kubectl")
                .args(arguments)
                .env("KUBECONFIG", &kubeconfig)
                .env("HOME", home.path())
                .output()
                .unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(output.status.success(), "{arguments:?}: {said}");
            said
        };
        let file = file.to_str().unwrap();
        let first = kubectl(&["apply", "--server-side", "-f", file]);
        let second = kubectl(&["apply", "--server-side", "-f", file]);
        // A new cache: kubectl does not refresh cached discovery to find a category.
        let cache = format!("--cache-dir={}", home.path().join("later").display());
        let category = kubectl(&[&cache, "get", "flightdeck", "-n", "flightdeck"]);
        let short = kubectl(&[&cache, "get", "fdr,fcr", "-n", "flightdeck"]);
        [first, second, category, short]
    })
    .await
    .unwrap();
    for said in &said[..2] {
        assert_eq!(said.matches("serverside-applied").count(), 4, "{said}");
        assert!(!said.contains("rror"), "{said}");
    }
    for said in &said[2..] {
        assert!(said.contains("No resources found"), "{said}");
    }
    served.shutdown().await;
}
