//! Plays calls with the kubectl that is installed.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::{io::AsyncWriteExt, process::Command, sync::Semaphore};

use super::call::{Answer, Call, Outcome, Refusal, Verb};

/// Processes at a time: each is busy by itself.
const AT_ONCE: usize = 3;

pub(super) struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
    turns: Semaphore,
}

/// What a kubectl printed.
#[derive(Clone, Debug)]
pub(super) struct Printed {
    pub stdout: String,
    pub stderr: String,
    pub exit: i32,
}

/// Where kubectl is: what `.ci/peers` put there, or the first on the path.
pub(super) fn find() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join("kubectl"))
        .find(|program| program.is_file())
        .ok_or_else(|| "kubectl is not installed".to_owned())
}

impl Kubectl {
    /// `home` is where it may keep what it learns of a server.
    pub(super) fn new(program: PathBuf, kubeconfig: &Path, home: &Path) -> Self {
        Self {
            program,
            kubeconfig: kubeconfig.to_owned(),
            home: home.to_owned(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// Runs it in a namespace ("" for none).
    pub(super) async fn run(
        &self,
        namespace: &str,
        arguments: &[String],
        stdin: Option<&Value>,
    ) -> Result<Printed, String> {
        let _turn = self
            .turns
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
        // It may end without having read all of it.
        drop(input.write_all(text.as_bytes()).await);
        drop(input);
        let output = child
            .wait_with_output()
            .await
            .map_err(|error| error.to_string())?;
        Ok(Printed {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            exit: output.status.code().unwrap_or(-1),
        })
    }

    pub(super) async fn play(&self, call: &Call) -> Result<Outcome, String> {
        let (arguments, stdin) = arguments(call)?;
        let printed = self
            .run(&call.namespace, &arguments, stdin.as_ref())
            .await?;
        if printed.exit != 0 {
            return Ok(Outcome::Refused(refusal(&printed.stderr)));
        }
        let body = match call.verb {
            Verb::Delete | Verb::DeleteCollection => None,
            Verb::Log => Some(Value::String(printed.stdout)),
            _ => Some(
                serde_json::from_str(&printed.stdout)
                    .unwrap_or_else(|_| Value::String(printed.stdout)),
            ),
        };
        let body = body.map(|body| of_list(call, body));
        Ok(Outcome::Done(Answer {
            body,
            warnings: Some(printed.stderr),
        }))
    }
}

/// A list as the server gave it: kubectl makes a `List` of it, and says `v1` of everything.
fn of_list(call: &Call, mut body: Value) -> Value {
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
        Verb::Watch | Verb::Raw => return Err("kubectl has no words for this".into()),
    };
    if let Some(subresource) = &call.subresource {
        words.push(format!("--subresource={subresource}"));
    }
    if call.namespace.is_empty() && matches!(call.verb, Verb::List) {
        words.push("--all-namespaces".into());
    }
    // Validation of its own reads OpenAPI at each call; the rows about kubectl's words do that.
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
            other => return Err(format!("kubectl has no word for the parameter {other}")),
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
                other => return Err(format!("kubectl has no word for {other} of a delete")),
            }
        }
    }
    if call.verb == Verb::DeleteCollection && !call.params.contains_key("labelSelector") {
        words.push("--all".into());
    }
    Ok((words, stdin))
}

/// What a person reads of a refusal: `Error from server (Conflict): ...`, `The Widget "a" is invalid: ...`.
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

/// Splits a line of arguments at blanks; single quotes hold together.
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
fn a_line_of_arguments_is_split_as_a_shell_would() {
    assert_eq!(
        words("get x -o 'a b'  -p='{\"c\": 1}'"),
        ["get", "x", "-o", "a b", "-p={\"c\": 1}"]
    );
}
