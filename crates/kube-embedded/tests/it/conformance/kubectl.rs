//! A driver that runs the installed kubectl.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, sync::Semaphore};

use super::call::{Call, Outcome, Refusal, Response, Verb};

/// Maximum number of processes: each keeps more than one core busy.
const PROCESSES: usize = 3;

pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
    permits: Semaphore,
}

/// The output of kubectl.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub stdout: String,
    pub stderr: String,
    pub exit: i32,
}

/// Returns the first kubectl in the PATH.
pub(super) fn find() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join("kubectl"))
        .find(|program| program.is_file())
        .ok_or_else(|| "kubectl is not installed".to_owned())
}

impl Kubectl {
    /// `home` is where kubectl keeps its cache.
    pub(super) fn new(program: PathBuf, kubeconfig: &Path, home: &Path) -> Self {
        Self {
            program,
            kubeconfig: kubeconfig.to_owned(),
            home: home.to_owned(),
            permits: Semaphore::new(PROCESSES),
        }
    }

    /// Runs kubectl in a namespace, or in none if `namespace` is empty.
    pub(super) async fn run(
        &self,
        namespace: &str,
        arguments: &[String],
        stdin: Option<&Value>,
    ) -> Result<Output, String> {
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|error| error.to_string())?;
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBE_EDITOR", "sed -i s/before/after/");
        if !namespace.is_empty() {
            command.args(["--namespace", namespace]);
        }
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut input = child.stdin.take().unwrap();
        let text = match stdin {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        // kubectl may exit without reading all input.
        drop(input.write_all(text.as_bytes()).await);
        drop(input);
        let output = child
            .wait_with_output()
            .await
            .map_err(|error| error.to_string())?;
        Ok(Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            exit: output.status.code().unwrap_or(-1),
        })
    }

    pub(super) async fn send_call(&self, call: &Call) -> Result<Outcome, String> {
        let (arguments, stdin) = arguments(call)?;
        let output = self
            .run(&call.namespace, &arguments, stdin.as_ref())
            .await?;
        if output.exit != 0 {
            return Ok(Outcome::Refused(refusal(&output.stderr)));
        }
        let body = match call.verb {
            Verb::Delete | Verb::DeleteCollection => None,
            Verb::Log => Some(Value::String(output.stdout)),
            _ => Some(
                serde_json::from_str(&output.stdout)
                    .unwrap_or_else(|_| Value::String(output.stdout)),
            ),
        };
        let body = body.map(|body| strip_list(call, body));
        Ok(Outcome::Done(Response {
            body,
            warnings: Some(output.stderr),
        }))
    }
}

/// Removes what kubectl adds to a list: it prints every list as a `v1` `List`.
fn strip_list(call: &Call, mut body: Value) -> Value {
    if call.verb == Verb::List
        && let Some(list) = body.as_object_mut()
    {
        for field in ["kind", "apiVersion", "metadata"] {
            list.shift_remove(field);
        }
    }
    body
}

fn arguments(call: &Call) -> Result<(Vec<String>, Option<Value>), String> {
    let resource = call.resource.qualified();
    let named = format!("{resource}/{}", call.name);
    let mut stdin = None;
    let mut words: Vec<String> = match call.verb {
        Verb::Create | Verb::Update | Verb::Apply => {
            stdin.clone_from(&call.body);
            match call.verb {
                Verb::Create => vec!["create"],
                Verb::Update => vec!["replace"],
                _ => vec!["apply", "--server-side"],
            }
            .into_iter()
            .chain(["-f", "-", "-o", "json"])
            .map(str::to_owned)
            .collect()
        }
        Verb::Get => vec!["get".into(), named, "-o".into(), "json".into()],
        Verb::List => vec!["get".into(), resource, "-o".into(), "json".into()],
        Verb::Json | Verb::Merge | Verb::Strategic => {
            let how = match call.verb {
                Verb::Json => "json",
                Verb::Merge => "merge",
                _ => "strategic",
            };
            let patch = call.body.as_ref().unwrap().to_string();
            vec![
                "patch".into(),
                named,
                format!("--type={how}"),
                "-p".into(),
                patch,
                "-o".into(),
                "json".into(),
            ]
        }
        Verb::Delete => vec!["delete".into(), named, "--wait=false".into()],
        Verb::DeleteCollection => vec!["delete".into(), resource, "--wait=false".into()],
        Verb::Log => vec!["logs".into(), call.name.clone()],
        Verb::Raw if call.method == "GET" => {
            vec!["get".into(), "--raw".into(), call.path.clone()]
        }
        Verb::Watch | Verb::Raw => return Err("kubectl has no command for this".into()),
    };
    if let Some(subresource) = &call.subresource {
        words.push(format!("--subresource={subresource}"));
    }
    if call.namespace.is_empty() && matches!(call.verb, Verb::List) {
        words.push("--all-namespaces".into());
    }
    // Client-side validation reads OpenAPI at each call; only the rows with `kubectl` steps use it.
    if matches!(call.verb, Verb::Create | Verb::Update | Verb::Apply)
        && !call.params.contains_key("fieldValidation")
    {
        words.push("--validate=false".into());
    }
    for (name, value) in &call.params {
        words.push(match name.as_str() {
            "fieldManager" => format!("--field-manager={value}"),
            "fieldValidation" => format!("--validate={}", value.to_lowercase()),
            "dryRun" => "--dry-run=server".to_owned(),
            "force" => format!("--force-conflicts={value}"),
            "labelSelector" => format!("--selector={value}"),
            "fieldSelector" => format!("--field-selector={value}"),
            "limit" => format!("--chunk-size={value}"),
            "container" => format!("--container={value}"),
            "tailLines" => format!("--tail={value}"),
            "timestamps" | "previous" | "follow" => format!("--{name}={value}"),
            "limitBytes" => format!("--limit-bytes={value}"),
            "sinceSeconds" => format!("--since={value}s"),
            "sinceTime" => format!("--since-time={value}"),
            "propagationPolicy" => format!("--cascade={}", value.to_lowercase()),
            "gracePeriodSeconds" => format!("--grace-period={value}"),
            other => return Err(format!("kubectl has no flag for the parameter {other}")),
        });
    }
    if let (Verb::Delete | Verb::DeleteCollection, Some(body)) = (call.verb, &call.body) {
        for (name, value) in body.as_object().unwrap() {
            match name.as_str() {
                "propagationPolicy" => {
                    let policy = value.as_str().unwrap_or_default().to_lowercase();
                    words.push(format!("--cascade={policy}"));
                }
                "gracePeriodSeconds" => words.push(format!("--grace-period={value}")),
                other => return Err(format!("kubectl has no flag for {other} of a delete")),
            }
        }
    }
    if call.verb == Verb::DeleteCollection && !call.params.contains_key("labelSelector") {
        words.push("--all".into());
    }
    Ok((words, stdin))
}

/// Parses an error message: `Error from server (Conflict): ...`, `The Widget "a" is invalid: ...`.
fn refusal(stderr: &str) -> Refusal {
    let reason = stderr
        .split_once("Error from server (")
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(reason, _)| reason.to_owned())
        .or_else(|| stderr.contains(" is invalid").then(|| "Invalid".to_owned()));
    Refusal {
        code: None,
        reason,
        message: stderr.to_owned(),
        status: None,
    }
}

/// Splits arguments at spaces outside of single quotes.
pub(super) fn words(line: &str) -> Vec<String> {
    line.split('\'')
        .enumerate()
        .fold(vec![String::new()], |mut words, (index, part)| {
            if index % 2 == 1 {
                words.last_mut().unwrap().push_str(part);
                return words;
            }
            for (at, word) in part.split(' ').enumerate() {
                if at > 0 {
                    words.push(String::new());
                }
                words.last_mut().unwrap().push_str(word);
            }
            words
        })
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn splits_arguments_like_a_shell() {
    assert_eq!(
        words("get x -o 'a b'  -p='{\"c\": 1}'"),
        ["get", "x", "-o", "a b", "-p={\"c\": 1}"]
    );
}
