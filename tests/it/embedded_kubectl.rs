//! The embedded cluster as a person with kubectl meets it: the real program over HTTPS, where it is installed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::Command,
};

use crate::support;
use kube_embedded::{Cluster, ClusterOptions, Limits, serve::Server};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kind that shows what a definition can ask for.
const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {kind: Widget, plural: widgets, shortNames: [wd], categories: [all, things]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Note, type: string, jsonPath: .spec.note, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, description: How large it is.}
              note: {type: string}
              parts: {type: array, items: {type: object, properties: {name: {type: string}}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"#;

struct Kubectl {
    kubeconfig: PathBuf,
    home: tempfile::TempDir,
    cluster: Cluster,
    _server: Server,
}

fn widget(name: &str, size: u32) -> String {
    format!(
        "{{apiVersion: example.org/v1, kind: Widget, metadata: {{name: {name}, labels: {{name: {name}}}}}, spec: {{size: {size}, note: plain}}}}"
    )
}

impl Kubectl {
    /// A cluster of its own; `None`, with a word about it, where there is no kubectl.
    async fn open(test: &str, max_containers: usize) -> Option<Self> {
        let version = Command::new("kubectl")
            .args(["version", "--client"])
            .output();
        if !version.await.is_ok_and(|output| output.status.success()) {
            support::skipped(test, "kubectl is not installed");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("state");
        let path = ("PATH".to_owned(), std::env::var("PATH").unwrap());
        let cluster = Cluster::open(ClusterOptions {
            identity: flightdeck::daemon::identity(),
            directory: directory.clone(),
            program: env!("CARGO_BIN_EXE_flightdeck").into(),
            max_containers,
            environment: BTreeMap::from([path]),
            limits: Limits::default(),
        })
        .await
        .unwrap();
        let server = Server::start(&cluster, &directory).await.unwrap();
        Some(Self {
            kubeconfig: server.endpoint().kubeconfig.clone(),
            home,
            cluster,
            _server: server,
        })
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path: &Path = &self.home.path().join(name);
        fs::write(path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs one command; whether it did well, and all it said.
    async fn run(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut child = Command::new("kubectl")
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.home.path())
            .env("KUBE_EDITOR", self.home.path().join("editor"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads nothing may have ended.
        drop(stdin.write_all(input.as_bytes()).await);
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let mut said = String::from_utf8(output.stdout).unwrap();
        said.push_str(&String::from_utf8(output.stderr).unwrap());
        (output.status.success(), said)
    }

    /// What a command that does well says. Words are split at spaces.
    async fn ok(&self, command: &str) -> String {
        self.fed(command, "").await
    }

    async fn fed(&self, command: &str, input: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        let (well, said) = self.run(&words, input).await;
        assert!(well, "kubectl {command}: {said}");
        said
    }

    async fn refused(&self, command: &str, input: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        let (well, said) = self.run(&words, input).await;
        assert!(!well, "kubectl {command}: {said}");
        said
    }

    /// Watches with one command until it has printed each of these, in this order; `meanwhile` is run once the first is out.
    async fn watches(&self, command: &str, expected: &[&str], meanwhile: &[&str]) {
        let mut child = Command::new("kubectl")
            .args(command.split(' '))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.home.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        for (index, wanted) in expected.iter().enumerate() {
            loop {
                let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
                let line = line.unwrap_or_else(|_| panic!("no {wanted:?} after {printed:?}"));
                let line = line.unwrap().expect("the watch ended");
                let words: Vec<&str> = line.split_whitespace().collect();
                let line = words.join(" ");
                let found = line.contains(wanted);
                printed.push(line);
                if found {
                    break;
                }
            }
            if index == 0 {
                for command in meanwhile {
                    self.ok(command).await;
                }
            }
        }
        child.kill().await.unwrap();
    }

    async fn says(&self, commands: &[(&str, &str)]) {
        for (command, expected) in commands {
            let said = self.ok(command).await;
            let said: Vec<&str> = said.split_whitespace().collect();
            let said = said.join(" ");
            assert!(said.contains(expected), "kubectl {command}: {said}");
        }
    }

    async fn refuses(&self, commands: &[(&str, &str)]) {
        for (command, expected) in commands {
            let said = self.refused(command, "").await;
            assert!(said.contains(expected), "kubectl {command}: {said}");
        }
    }
}

#[tokio::test]
async fn a_person_reads_with_kubectl_as_on_any_cluster() {
    let test = "a_person_reads_with_kubectl_as_on_any_cluster";
    let Some(kubectl) = Kubectl::open(test, 0).await else {
        return;
    };
    kubectl.fed("apply -f -", DEFINITION).await;
    let both = format!("{}\n---\n{}\n", widget("one", 3), widget("two", 4));
    kubectl.fed("create -f -", &both).await;
    let three = kubectl.file("three.yaml", &widget("three", 1));
    kubectl
        .says(&[
            ("get wd", "NAME SIZE READY one 3 two 4"),
            (
                "get widgets.example.org -o wide",
                "NAME SIZE READY NOTE one 3 plain two 4 plain",
            ),
            (
                "get wd -o name",
                "widget.example.org/one widget.example.org/two",
            ),
            ("get wd one -o jsonpath={.spec.size}", "3"),
            (
                "get wd -o custom-columns=N:.metadata.name,S:.spec.size",
                "N S one 3 two 4",
            ),
            (
                "get wd one -o yaml",
                "apiVersion: example.org/v1 kind: Widget",
            ),
            (
                "get wd --chunk-size=1 --no-headers -A",
                "default one 3 default two 4",
            ),
            ("get wd -l name=two", "two 4"),
            (
                "get wd --field-selector metadata.name!=one --no-headers",
                "two 4",
            ),
            ("get things -o name", "widget.example.org/one"),
            ("get all -o name", "widget.example.org/one"),
            ("get ns default", "NAME STATUS AGE default Active"),
            ("describe wd one", "Spec: Note: plain Size: 3"),
            (
                "explain wd.spec --recursive",
                "note <string> parts <[]Object> name <string> size <integer> -required-",
            ),
            ("explain wd.spec.size", "How large it is."),
            (
                "explain pods.spec.containers.env",
                "EnvVar represents an environment variable",
            ),
            (
                "api-resources --api-group=example.org",
                "widgets wd example.org/v1 true Widget",
            ),
            ("api-versions", "batch/v1"),
            ("version", "Server Version: v1."),
            ("auth can-i create widgets.example.org", "yes"),
            ("auth can-i --list", "*.*"),
            ("auth whoami", "Username embedded"),
        ])
        .await;
    kubectl
        .watches(
            "get wd -w --output-watch-events",
            &[
                "ADDED two 4",
                "MODIFIED two 5",
                "ADDED three 1",
                "DELETED two 5",
            ],
            &[
                "patch wd two --type=merge -p {\"spec\":{\"size\":5}}",
                &format!("create -f {three}"),
                "delete wd two --cascade=orphan",
                "delete wd three --cascade=background --now",
            ],
        )
        .await;
    kubectl
        .refuses(&[
            (
                "get wd three",
                "Error from server (NotFound): widgets.example.org \"three\" not found",
            ),
            (
                "get wd --field-selector spec.size=3",
                "field label not supported: spec.size",
            ),
            ("get services", "the server doesn't have a resource type"),
            ("cluster-info", "the server doesn't have a resource type"),
            ("explain wd.spec.color", "field \"color\" does not exist"),
        ])
        .await;
    kubectl.cluster.shutdown().await;
}

#[tokio::test]
async fn a_person_writes_with_kubectl_as_on_any_cluster() {
    let test = "a_person_writes_with_kubectl_as_on_any_cluster";
    let Some(kubectl) = Kubectl::open(test, 0).await else {
        return;
    };
    kubectl.fed("apply -f -", DEFINITION).await;
    let size = async || kubectl.ok("get wd one -o jsonpath={.spec.size}").await;

    let one = kubectl.file("one.yaml", &widget("one", 1));
    kubectl.ok(&format!("apply -f {one}")).await;
    let one = kubectl.file("one.yaml", &widget("one", 2));
    let dry = format!("apply --dry-run=server -f {one}");
    assert!(
        kubectl
            .ok(&dry)
            .await
            .contains("configured (server dry run)")
    );
    assert_eq!(size().await, "1");
    kubectl.ok(&format!("apply -f {one}")).await;
    assert_eq!(size().await, "2");
    let said = kubectl.ok(&format!("apply --server-side -f {one}")).await;
    assert!(said.contains("serverside-applied"), "{said}");
    assert_eq!(size().await, "2");

    let patch = "patch wd one --type=merge -p";
    kubectl
        .says(&[
            (&format!("{patch} {{\"spec\":{{\"size\":4}}}}"), "patched"),
            ("get wd one -o jsonpath={.spec.size}", "4"),
            ("patch wd one --type=json -p [{\"op\":\"replace\",\"path\":\"/spec/size\",\"value\":5}]", "patched"),
            ("get wd one -o jsonpath={.spec.size}", "5"),
            ("label wd one color=red", "labeled"),
            ("annotate wd one example.org/a=b", "annotated"),
            ("get wd -l color -o name", "widget.example.org/one"),
            (&format!("{patch} {{\"status\":{{\"conditions\":[{{\"type\":\"Ready\",\"status\":\"True\"}}]}}}} --subresource=status"), "patched"),
            ("wait wd/one --for=condition=Ready --timeout=30s", "condition met"),
            ("wait wd/one --for=jsonpath={.spec.size}=5 --timeout=30s", "condition met"),
        ])
        .await;
    let editor = kubectl.file("editor", "#!/bin/sh\nsed -i 's/size: 5/size: 6/' \"$1\"\n");
    fs::set_permissions(&editor, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    kubectl.ok("edit wd one").await;
    assert_eq!(size().await, "6");
    let whole = kubectl.ok("get wd one -o json").await;
    let whole = kubectl.file("whole.json", &whole.replace("\"size\": 6", "\"size\": 7"));
    kubectl.ok(&format!("replace -f {whole}")).await;
    assert_eq!(size().await, "7");
    kubectl.ok(&format!("replace -f {one}")).await;
    assert_eq!(size().await, "2");
    kubectl.ok(&format!("replace --force -f {one}")).await;
    assert_eq!(size().await, "2");

    kubectl
        .refuses(&[
            (
                &format!("create -f {one}"),
                "Error from server (AlreadyExists): error when creating",
            ),
            (
                "patch wd one --type=strategic -p {}",
                "application/merge-patch+json",
            ),
            (
                &format!("{patch} {{\"spec\":{{\"size\":0}}}}"),
                "The Widget \"one\" is invalid: spec.size: Invalid value",
            ),
            (
                "delete wd two",
                "Error from server (NotFound): widgets.example.org \"two\" not found",
            ),
        ])
        .await;
    let unknown = widget("two", 1).replace("note: plain", "color: red");
    let said = kubectl.refused("create -f -", &unknown).await;
    assert!(said.contains("unknown field \"spec.color\""), "{said}");

    // What kubectl makes itself it sends as protobuf.
    kubectl
        .says(&[
            ("create namespace team", "namespace/team created"),
            ("create configmap m --from-literal=a=1 --from-literal=b=2", "created"),
            ("get cm m", "NAME DATA AGE m 2"),
            ("patch cm m -p {\"data\":{\"a\":null,\"c\":\"3\"}}", "patched"),
            ("get cm m -o jsonpath={.data}", "{\"b\":\"2\",\"c\":\"3\"}"),
            ("create secret generic s --from-literal=k=v", "created"),
            ("get secret s -o jsonpath={.type}:{.data.k}", "Opaque:dg=="),
            ("describe secret s", "k: 1 bytes"),
            ("delete cm m --dry-run=server", "deleted (server dry run)"),
            ("get cm m -o name", "configmap/m"),
            ("delete cm,secret --all --cascade=foreground", "configmap \"m\" deleted"),
            ("patch wd one --type=merge -p {\"metadata\":{\"finalizers\":[\"example.org/hold\"]}}", "patched"),
            ("delete wd one --wait=false", "deleted"),
            ("get wd one -o jsonpath={.metadata.finalizers}", "example.org/hold"),
            ("patch wd one --type=merge -p {\"metadata\":{\"finalizers\":null}}", "patched"),
            ("wait wd/one --for=delete --timeout=30s", ""),
            ("delete namespace team", "deleted"),
        ])
        .await;
    kubectl.refuses(&[("get wd one", "not found")]).await;
    kubectl.cluster.shutdown().await;
}

#[tokio::test]
async fn a_person_follows_a_job_with_kubectl() {
    let Some(kubectl) = Kubectl::open("a_person_follows_a_job_with_kubectl", 2).await else {
        return;
    };
    let script = "echo one; echo two; echo three";
    let create = [
        "create",
        "job",
        "j",
        "--image=none",
        "--",
        "sh",
        "-c",
        script,
    ];
    let (well, said) = kubectl.run(&create, "").await;
    assert!(well, "{said}");
    kubectl
        .says(&[
            (
                "wait job/j --for=condition=complete --timeout=60s",
                "condition met",
            ),
            (
                "get jobs",
                "NAME STATUS COMPLETIONS DURATION AGE j Complete 1/1",
            ),
            ("get pods -l job-name=j --no-headers", "0/1 Completed 0"),
            (
                "get pods --field-selector status.phase=Succeeded -o wide",
                "NOMINATED NODE",
            ),
            ("describe job j", "1 Succeeded"),
            ("logs job/j", "one two three"),
        ])
        .await;
    let pod = kubectl.ok("get pods -l job-name=j -o name").await;
    let pod = pod.trim();
    for (flags, expected) in [
        ("-f --tail=2", "two\nthree\n"),
        ("--limit-bytes=4", "one\n"),
        ("-c j --since=1h --tail=1", "three\n"),
        ("--since-time=2100-01-01T00:00:00Z", ""),
        (
            "--prefix --all-containers --tail=1",
            &format!("[{pod}/j] three\n"),
        ),
    ] {
        assert_eq!(
            kubectl.ok(&format!("logs {pod} {flags}")).await,
            expected,
            "{flags}"
        );
    }
    let stamped = kubectl
        .ok(&format!("logs {pod} --timestamps --tail=1"))
        .await;
    let (time, line) = stamped.trim().split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok() && line == "three");
    kubectl
        .says(&[
            (&format!("describe {pod}"), "Exit Code: 0"),
            (&format!("events --for {pod}"), "Started"),
            (
                "get events -o wide",
                "LAST SEEN TYPE REASON OBJECT SUBOBJECT SOURCE MESSAGE",
            ),
        ])
        .await;
    kubectl
        .refuses(&[
            (
                &format!("logs {pod} --previous"),
                "previous terminated container \"j\"",
            ),
            (
                &format!("logs {pod} -c other"),
                "container other is not valid",
            ),
            (
                "scale job/j --replicas=2",
                "the embedded cluster does not serve jobs.batch/scale",
            ),
        ])
        .await;
    kubectl.ok("delete job j").await;
    kubectl
        .ok(&format!("wait {pod} --for=delete --timeout=60s"))
        .await;
    kubectl.cluster.stop_containers().await;
    kubectl.cluster.shutdown().await;
}
