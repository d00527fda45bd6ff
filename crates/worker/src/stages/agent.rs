//! `agent`: runs the agent in its checkout, copies its output to the log, and reports its usage. Holds no Git credential.

mod outcome;
pub(crate) mod uncommitted;
mod usage;

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    process::{ChildStdout, Command},
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::Instant,
};

use self::{
    outcome::Exit,
    usage::{LastSession, UsageReporter},
};
use super::{environment::StageEnv, error::StageError, log, remote::local};
use flightdeck_core::{
    runs::{RunManifest, StageReport, documents_directory},
    transcript::Transcript,
};

/// The script that starts the agent, among the run's files.
const SCRIPT: &str = "agent.sh";
/// Id and usage of the agent's last session, in the run's folder.
const SESSION: &str = "session.json";
/// Time the agent has after SIGTERM. The pod's grace period is 30 s, and our commit and report come after.
const GRACE: Duration = Duration::from_secs(15);
/// Timeout for committing uncommitted changes: the checkout may configure programs that never end.
pub(crate) const COMMIT_TIMEOUT: Duration = Duration::from_secs(600);
/// The same after the agent was stopped, to stay within the pod's grace period.
const STOPPED_COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time to wait for more output once the agent and its process group have ended: a process that left the group may hold
/// the pipe open forever.
const DRAIN: Duration = Duration::from_secs(5);
/// Time of silence after the agent's result until its process is ended: some never exit.
const RESULT_GRACE: Duration = Duration::from_secs(10);
/// Longest line parsed as an event, in bytes; longer lines are copied to the log but not parsed.
const LINE_LIMIT: usize = 4 << 20;

pub(crate) async fn run(stage: StageEnv) -> Result<StageReport, StageError> {
    let project = stage.project()?;
    let home = stage.home()?;
    std::fs::create_dir_all(&home).map_err(StageError::file("create", &home))?;
    let script = stage.run_files.join(SCRIPT);
    let head_before = head(&stage).await;
    let mut child = Command::new("sh")
        .arg(&script)
        .current_dir(&project)
        .envs(environment(&stage)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(StageError::file("start", &script))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let mut terminate = signal(SignalKind::terminate())
        .map_err(StageError::file("listen for signals in", &project))?;

    let mut pieces = forward(child.stdout.take(), &script)?;
    let session = stage.run_directory()?.join(SESSION);
    let previous = LastSession::read(&session);
    let mut usage = UsageReporter::default();
    let mut reader = Lines::default();
    let mut stopped = None;
    let mut killed = false;
    let mut last_output = Instant::now();
    // When the process was asked to end because it had nothing left to do.
    let mut dismissed = None;
    let status = loop {
        let grace_over = async {
            match stopped.or(dismissed) {
                Some(at) => tokio::time::sleep_until(at + GRACE).await,
                None => std::future::pending().await,
            }
        };
        let has_result = reader.transcript.outcome.is_some();
        let lingers = tokio::time::sleep_until(last_output + RESULT_GRACE);
        tokio::select! {
            Some(piece) = pieces.recv() => {
                last_output = Instant::now();
                reader.take(&piece);
                usage.update(&reader.transcript, previous.as_ref());
            }
            status = child.wait() => break status,
            _ = terminate.recv() => {
                stopped.get_or_insert_with(Instant::now);
                end(group, Signal::SIGTERM);
            }
            () = lingers, if has_result && dismissed.is_none() && stopped.is_none() => {
                log("The agent reported its result but did not exit; ending it.");
                dismissed = Some(Instant::now());
                end(group, Signal::SIGTERM);
            }
            () = grace_over, if !killed => {
                killed = true;
                end(group, Signal::SIGKILL);
            }
        }
    };
    // Background processes of the agent end with it, and release the pipe.
    end(group, Signal::SIGKILL);
    while let Ok(Some(piece)) = tokio::time::timeout(DRAIN, pieces.recv()).await {
        reader.take(&piece);
    }
    let status = status.map_err(StageError::file("wait for", &script))?;
    reader.finish();
    LastSession::save(&session, &reader.transcript)?;
    let limit = stopped.map_or(COMMIT_TIMEOUT, |_| STOPPED_COMMIT_TIMEOUT);
    match tokio::time::timeout(limit, uncommitted::commit(&stage)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => log(format!(
            "Could not commit the agent's uncommitted changes: {error}"
        )),
        Err(_) => log("Could not commit the agent's uncommitted changes: git timed out."),
    }
    let report = usage::report(&reader.transcript, previous.as_ref());
    let exit = if stopped.is_some() {
        Exit::Stopped
    } else if dismissed.is_some() {
        Exit::Dismissed
    } else if reader.transcript.session.is_none()
        && status.success()
        && head(&stage).await == head_before
        && is_clean(&stage).await
    {
        Exit::DidNothing(reader.last_line)
    } else {
        Exit::Status(status)
    };
    outcome::result(&reader.transcript, report, exit)
}

/// Returns the commit of the checkout.
async fn head(stage: &StageEnv) -> Option<String> {
    let resolve = ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"];
    let found = local(&stage.checkout().ok()?).args(resolve).run().await;
    found.ok().map(|output| output.text())
}

/// Returns whether the checkout has no uncommitted changes and no new files.
async fn is_clean(stage: &StageEnv) -> bool {
    let Ok(checkout) = stage.checkout() else {
        return false;
    };
    let status = local(&checkout).args(["status", "--porcelain"]).run().await;
    status.is_ok_and(|status| status.stdout.is_empty())
}

/// Copies the agent's output to stdout as it arrives, unchanged, and sends each chunk to the returned channel.
/// Backpressure reaches the agent; nothing is dropped.
fn forward(
    output: Option<ChildStdout>,
    script: &Path,
) -> Result<mpsc::Receiver<Vec<u8>>, StageError> {
    let (sender, pieces) = mpsc::channel(4);
    if let Some(output) = output {
        let output = output
            .into_owned_fd()
            .map_err(StageError::file("read the output of", script))?;
        // Not joined: a process that left the group may hold the pipe open.
        std::thread::spawn(move || copy(File::from(output), std::io::stdout(), &sender));
    }
    Ok(pieces)
}

fn copy(mut from: impl Read, mut to: impl Write, sender: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        // The reader of the log may be gone; the agent continues.
        let _ = to.write_all(&buffer[..count]).and_then(|()| to.flush());
        if sender.blocking_send(buffer[..count].to_vec()).is_err() {
            return;
        }
    }
}

fn end(group: Option<i32>, how: Signal) {
    if let Some(group) = group {
        // The group may be empty already, which is the goal.
        let _ = killpg(Pid::from_raw(group), how);
    }
}

/// Returns the variables every agent gets, beyond those of its container.
fn environment(stage: &StageEnv) -> Result<Vec<(&'static str, String)>, StageError> {
    let manifest: &RunManifest = &stage.manifest;
    let shown = |path: &Path| path.display().to_string();
    let flag = |on: bool| if on { "1" } else { "" }.to_owned();
    let documents = documents_directory(&manifest.tag, "");
    let documents = documents.rsplit_once('/').map_or("", |(above, _)| above);
    Ok(vec![
        ("FD_KIND", manifest.kind.to_string()),
        ("FD_RUN", manifest.run.clone()),
        ("FD_TASKS", manifest.task_ids.join(" ")),
        ("FD_TAG", manifest.tag.clone()),
        ("FD_MODEL", manifest.model.clone()),
        (
            "FD_MAX_TURNS",
            manifest
                .max_turns
                .map(|turns| turns.to_string())
                .unwrap_or_default(),
        ),
        (
            "FD_BUDGET_USD",
            manifest.budget_usd.clone().unwrap_or_default(),
        ),
        ("FD_WORKING_DIRECTORY", manifest.working_directory.clone()),
        ("FD_PROJECT_DIR", shown(&stage.project()?)),
        ("FD_DOCUMENTS", documents.to_owned()),
        ("FD_BRANCH", manifest.target_branch.clone()),
        ("FD_RUN_FILES", shown(&stage.run_files)),
        ("FD_PROMPT_FILE", shown(&stage.run_files.join("prompt.md"))),
        ("FD_OVERWRITE", flag(manifest.overwrite)),
        ("FD_SESSION", session(stage)?.unwrap_or_default()),
        // Claude Code sets it to the directory it was started in.
        ("CLAUDE_PROJECT_DIR", shown(&stage.project()?)),
        ("HOME", shown(&stage.home()?)),
    ])
}

/// Returns the session to continue: the previous attempt's, if the run asks for it. The id becomes an argument and the
/// agent can write the file, so anything but a plain id is ignored.
fn session(stage: &StageEnv) -> Result<Option<String>, StageError> {
    if !stage.manifest.continue_session {
        return Ok(None);
    }
    let session = LastSession::read(&stage.run_directory()?.join(SESSION));
    Ok(session.map(|session| session.id).filter(|id| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        id.starts_with(|first: char| first.is_ascii_alphanumeric())
            && id.len() <= 128
            && id.bytes().all(plain)
    }))
}

/// Splits the agent's output into lines and parses them.
#[derive(Default)]
struct Lines {
    transcript: Transcript,
    /// The incomplete last line; dropped once it exceeds [`LINE_LIMIT`].
    line: Vec<u8>,
    overlong: bool,
    /// The start of the last line before a session that was not empty.
    last_line: String,
}

impl Lines {
    fn take(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + part.len() > LINE_LIMIT {
                self.overlong = true;
                self.line = Vec::new();
            }
            if !self.overlong {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.finish();
            }
        }
    }

    /// Parses the current line and starts the next.
    fn finish(&mut self) {
        if !self.overlong && !self.line.is_empty() {
            let line = String::from_utf8_lossy(&self.line);
            let line = line.trim_end();
            self.transcript.add(None, line);
            if !line.trim().is_empty() && self.transcript.session.is_none() {
                self.last_line = line.chars().take(300).collect();
            }
        }
        self.line.clear();
        self.overlong = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_all_output_and_parses_lines_across_chunks() {
        let init = r#"{"type":"system","subtype":"init","session_id":"s1"}"#;
        let huge = "x".repeat(LINE_LIMIT + 10);
        let result = r#"{"type":"result","subtype":"success","is_error":false,"num_turns":3,"total_cost_usd":0.5}"#;
        let stream = format!("{init}\nplain \u{1b}[31m\n{huge}\n{result}").into_bytes();
        let (sender, mut pieces) = mpsc::channel(1 + stream.len() / (64 << 10));
        let mut passed = Vec::new();
        copy(stream.as_slice(), &mut passed, &sender);
        assert!(passed == stream);

        let mut reader = Lines::default();
        while let Ok(piece) = pieces.try_recv() {
            reader.take(&piece);
        }
        reader.finish();
        assert_eq!(reader.transcript.session.as_deref(), Some("s1"));
        let usage = reader.transcript.usage();
        assert_eq!((usage.turns, usage.cost_micro_usd), (3, 500_000));
    }
}
