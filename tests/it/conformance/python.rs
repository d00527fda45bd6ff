//! Plays calls with the official Python client: one process, told what to do by lines of JSON.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Command as Blocking, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::oneshot,
};

use super::{
    call::{Answer, Call, Outcome, Refusal, Verb},
    http,
};

/// The first major version of the client that has the functions the script calls.
const OLDEST: u32 = 37;

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

pub(super) struct Python {
    /// Ends when this is dropped.
    _process: Child,
    stdin: tokio::sync::Mutex<ChildStdin>,
    waiting: Waiting,
    next: AtomicU64,
}

/// A Python that has the client: of the environment `.ci/peers` makes, or the first on the path.
pub(super) fn find() -> Result<PathBuf, String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers/python/bin/python3");
    let installed = format!(
        "from importlib.metadata import version; assert int(version('kubernetes').split('.')[0]) >= {OLDEST}"
    );
    [own, PathBuf::from("python3")]
        .into_iter()
        .find(|python| {
            Blocking::new(python)
                .args(["-c", &installed])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
        .ok_or_else(|| format!("no python3 with the package kubernetes, {OLDEST} or later"))
}

impl Python {
    pub(super) fn start(program: &Path, kubeconfig: &Path) -> Self {
        let script =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/python_client.py");
        let mut process = Command::new(program)
            .args(["-u".as_ref(), script.as_os_str(), kubeconfig.as_os_str()])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdin = process.stdin.take().unwrap();
        let stdout = process.stdout.take().unwrap();
        let waiting = Waiting::default();
        let open = Arc::clone(&waiting);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let answer: Value = serde_json::from_str(&line).unwrap();
                let asker = open.lock().unwrap().remove(&answer["id"].as_u64().unwrap());
                // Nobody waits any more for what took too long.
                asker.map(|asker| asker.send(answer));
            }
            // Whoever still waits is told that nothing comes.
            open.lock().unwrap().clear();
        });
        Self {
            _process: process,
            stdin: tokio::sync::Mutex::new(stdin),
            waiting,
            next: AtomicU64::new(0),
        }
    }

    async fn ask(&self, call: &Call, count: Option<usize>) -> Result<Value, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap().insert(id, sender);
        let verb = match call.verb {
            Verb::Create => "create",
            Verb::Get => "read",
            Verb::List => "list",
            Verb::Watch => "watch",
            Verb::Update => "replace",
            Verb::Json | Verb::Merge | Verb::Strategic | Verb::Apply => "patch",
            Verb::Delete => "delete",
            Verb::DeleteCollection => "delete_collection",
            Verb::Log => "log",
            Verb::Raw => "raw",
        };
        let patch = match call.verb {
            Verb::Json => "application/json-patch+json",
            Verb::Merge => "application/merge-patch+json",
            Verb::Strategic => "application/strategic-merge-patch+json",
            Verb::Apply => "application/apply-patch+yaml",
            _ => "",
        };
        let raw = if call.verb == Verb::Raw {
            call.path.clone()
        } else {
            http::path(call)
        };
        let mut line = json!({
            "id": id, "verb": verb, "patch": patch, "group": call.resource.group, "version": call.resource.version,
            "plural": call.resource.plural, "namespace": call.namespace, "name": call.name, "subresource": call.subresource,
            "params": call.params, "body": call.body, "headers": call.headers, "method": call.method, "path": raw, "count": count,
        })
        .to_string();
        line.push('\n');
        let mut stdin = self.stdin.lock().await;
        stdin
            .write_all(line.as_bytes())
            .await
            .map_err(|error| format!("the Python client is gone: {error}"))?;
        drop(stdin);
        let answer = receiver
            .await
            .map_err(|_| "the Python client is gone".to_owned())?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }

    pub(super) async fn play(&self, call: &Call) -> Result<Outcome, String> {
        let answer = self.ask(call, None).await?;
        if let Some(code) = answer["code"].as_u64() {
            let body = answer["body"].as_str().unwrap_or_default();
            return Ok(Outcome::Refused(Refusal::read(code as u16, body)));
        }
        Ok(Outcome::Done(Answer {
            body: Some(answer["answer"].clone()),
            warnings: None,
        }))
    }

    pub(super) async fn watch(
        &self,
        call: &Call,
        count: Option<usize>,
    ) -> Result<Vec<Value>, String> {
        let answer = self.ask(call, count).await?;
        if let Some(code) = answer["code"].as_u64() {
            return Err(format!("{code}: {}", answer["body"]));
        }
        Ok(answer["answer"].as_array().cloned().unwrap_or_default())
    }
}
