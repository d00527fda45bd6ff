//! A driver that uses the official Python client: one process that reads and writes lines of JSON.

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

use flightdeck_testing::workspace;

use super::{
    call::{Call, Outcome, Refusal, Response, Verb},
    http,
};

/// The first major version of the client with the functions that the script calls.
const MIN_VERSION: u32 = 37;

/// Calls without response, by id.
type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<Value>>>>;

pub(super) struct Python {
    /// Killed on drop.
    _process: Child,
    stdin: tokio::sync::Mutex<ChildStdin>,
    pending: Pending,
    next: AtomicU64,
}

/// Returns a Python with the client: that of the environment below `target/peers`, or the first in the PATH.
pub(super) fn find() -> Result<PathBuf, String> {
    let environment = workspace().join("target/peers/python/bin/python3");
    let installed = format!(
        "from importlib.metadata import version; assert int(version('kubernetes').split('.')[0]) >= {MIN_VERSION}"
    );
    [environment, PathBuf::from("python3")]
        .into_iter()
        .find(|python| {
            Blocking::new(python)
                .args(["-c", &installed])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        })
        .ok_or_else(|| format!("no python3 has the package kubernetes {MIN_VERSION} or later"))
}

impl Python {
    pub(super) fn start(program: &Path, kubeconfig: &Path) -> Self {
        let script = super::directory().join("python_client.py");
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
        let pending = Pending::default();
        let sent = Arc::clone(&pending);
        tokio::spawn(async move {
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let response: Value = serde_json::from_str(&line).unwrap();
                let id = response["id"].as_u64().unwrap();
                let receiver = sent.lock().unwrap().remove(&id);
                // The receiver is closed if the call has timed out.
                receiver.map(|receiver| receiver.send(response));
            }
            // Fails the calls that are still pending.
            sent.lock().unwrap().clear();
        });
        Self {
            _process: process,
            stdin: tokio::sync::Mutex::new(stdin),
            pending,
            next: AtomicU64::new(0),
        }
    }

    async fn request(&self, call: &Call, count: Option<usize>) -> Result<Value, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.pending.lock().unwrap().insert(id, sender);
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
            .map_err(|error| format!("the Python client exited: {error}"))?;
        drop(stdin);
        let response = receiver
            .await
            .map_err(|_| "the Python client exited".to_owned())?;
        match response["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(response),
        }
    }

    pub(super) async fn send_call(&self, call: &Call) -> Result<Outcome, String> {
        let response = self.request(call, None).await?;
        if let Some(code) = response["code"].as_u64() {
            let body = response["body"].as_str().unwrap_or_default();
            return Ok(Outcome::Refused(Refusal::parse(code as u16, body)));
        }
        Ok(Outcome::Done(Response {
            body: Some(response["result"].clone()),
            warnings: None,
        }))
    }

    pub(super) async fn watch(
        &self,
        call: &Call,
        count: Option<usize>,
    ) -> Result<Vec<Value>, String> {
        let response = self.request(call, count).await?;
        if let Some(code) = response["code"].as_u64() {
            return Err(format!("{code}: {}", response["body"]));
        }
        Ok(response["result"].as_array().cloned().unwrap_or_default())
    }
}
