//! `agent`: runs the agent in its checkout, passes on what it says, and reports what it used. Holds no Git credential.

pub mod leftovers;
mod outcome;
mod so_far;

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

use self::so_far::{LastSession, SoFar};
use super::{error::StageError, place::Place, say};
use flightdeck_core::{
    runs::{RunManifest, StageReport, documents_directory},
    transcript::Transcript,
};

/// How the agent is started, among the run's files.
const SCRIPT: &str = "agent.sh";
/// Id of the agent's last session, in the run's folder: there is one to continue.
const SESSION: &str = "session.json";
/// How long the agent may tidy up after SIGTERM; the pod's own grace is 30 s, and our commit and report come after.
const GRACE: Duration = Duration::from_secs(15);
/// How long the commit of what is left may take: the checkout may name programs that never end.
const TIDYING: Duration = Duration::from_secs(600);
/// The same when the agent was stopped, within the pod's grace.
const HASTY_TIDYING: Duration = Duration::from_secs(10);
/// How long to wait for the next piece of output once the agent and its group have ended: a process that escaped the group
/// may hold the pipe for ever.
const DRAIN: Duration = Duration::from_secs(5);
/// Bytes of one line that are read as an event; a longer line is passed on all the same.
const LINE_LIMIT: usize = 4 << 20;

pub async fn run(place: Place) -> Result<StageReport, StageError> {
    let project = place.project()?;
    let home = place.home()?;
    std::fs::create_dir_all(&home).map_err(StageError::file("make", &home))?;
    let script = place.run_files.join(SCRIPT);
    let mut child = Command::new("sh")
        .arg(&script)
        .current_dir(&project)
        .envs(environment(&place)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(StageError::file("start", &script))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let mut terminate = signal(SignalKind::terminate())
        .map_err(StageError::file("listen for signals in", &project))?;

    let mut pieces = pass_on(child.stdout.take(), &script)?;
    let session = place.run_directory()?.join(SESSION);
    let earlier = LastSession::read(&session);
    let mut so_far = SoFar::default();
    let mut reader = Lines::default();
    let mut stopped = None;
    let mut killed = false;
    let status = loop {
        let out_of_patience = async {
            match stopped {
                Some(at) => tokio::time::sleep_until(at + GRACE).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(piece) = pieces.recv() => {
                reader.take(&piece);
                so_far.note(&reader.transcript, earlier.as_ref());
            }
            status = child.wait() => break status,
            _ = terminate.recv() => {
                stopped.get_or_insert_with(Instant::now);
                end(group, Signal::SIGTERM);
            }
            () = out_of_patience, if !killed => {
                killed = true;
                end(group, Signal::SIGKILL);
            }
        }
    };
    // What the agent started in the background ends with it, and lets go of the pipe.
    end(group, Signal::SIGKILL);
    while let Ok(Some(piece)) = tokio::time::timeout(DRAIN, pieces.recv()).await {
        reader.take(&piece);
    }
    let status = status.map_err(StageError::file("wait for", &script))?;
    reader.finish();
    LastSession::keep(&session, &reader.transcript)?;
    let patience = stopped.map_or(TIDYING, |_| HASTY_TIDYING);
    match tokio::time::timeout(patience, leftovers::commit(&place)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => say(format!("What the agent left uncommitted stays so: {error}")),
        Err(_) => say("What the agent left uncommitted stays so: git took too long."),
    }
    let report = so_far::report(&reader.transcript, earlier.as_ref());
    outcome::judge(&reader.transcript, report, status, stopped.is_some())
}

/// Passes the agent's output on to ours as it comes, byte for byte, and gives a copy of each piece. A slow reader of ours
/// slows the agent; nothing is dropped. The thread is left behind when a process that escaped the group holds the pipe.
fn pass_on(
    output: Option<ChildStdout>,
    script: &Path,
) -> Result<mpsc::Receiver<Vec<u8>>, StageError> {
    let (sender, pieces) = mpsc::channel(4);
    if let Some(output) = output {
        let output = output
            .into_owned_fd()
            .map_err(StageError::file("read the output of", script))?;
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
        // Whoever reads the log may be gone; the agent's work goes on.
        let _ = to.write_all(&buffer[..count]).and_then(|()| to.flush());
        if sender.blocking_send(buffer[..count].to_vec()).is_err() {
            return;
        }
    }
}

fn end(group: Option<i32>, how: Signal) {
    if let Some(group) = group {
        // Nobody may be left in it, which is what is wanted.
        let _ = killpg(Pid::from_raw(group), how);
    }
}

/// What every agent is told, beyond the environment of its container.
fn environment(place: &Place) -> Result<Vec<(&'static str, String)>, StageError> {
    let manifest: &RunManifest = &place.manifest;
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
        ("FD_PROJECT_DIR", shown(&place.project()?)),
        ("FD_DOCUMENTS", documents.to_owned()),
        ("FD_BRANCH", manifest.target_branch.clone()),
        ("FD_RUN_FILES", shown(&place.run_files)),
        ("FD_PROMPT_FILE", shown(&place.run_files.join("prompt.md"))),
        ("FD_OVERWRITE", flag(manifest.overwrite)),
        ("FD_SESSION", session(place)?.unwrap_or_default()),
        // As Claude Code itself has it: where it was started.
        ("CLAUDE_PROJECT_DIR", shown(&place.project()?)),
        ("HOME", shown(&place.home()?)),
    ])
}

/// The session to go on with: the last one of an earlier attempt, when the run asks for it. The file lies where an agent can
/// write, and what it says becomes an argument: whatever is no id is nothing.
fn session(place: &Place) -> Result<Option<String>, StageError> {
    if !place.manifest.continue_session {
        return Ok(None);
    }
    let session = LastSession::read(&place.run_directory()?.join(SESSION));
    Ok(session.map(|session| session.id).filter(|id| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        id.starts_with(|first: char| first.is_ascii_alphanumeric())
            && id.len() <= 128
            && id.bytes().all(plain)
    }))
}

/// Reads the agent's stream while it is passed on.
#[derive(Default)]
struct Lines {
    transcript: Transcript,
    /// The line under way; given up once it is over [`LINE_LIMIT`].
    line: Vec<u8>,
    overlong: bool,
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

    /// Ends the line under way.
    fn finish(&mut self) {
        if !self.overlong && !self.line.is_empty() {
            let line = String::from_utf8_lossy(&self.line);
            self.transcript.add(None, line.trim_end());
        }
        self.line.clear();
        self.overlong = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_passed_on_and_lines_are_read_across_pieces() {
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
