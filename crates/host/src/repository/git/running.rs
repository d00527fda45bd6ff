//! A running `git` process: its output line by line, and its end.
//!
//! It is terminated with SIGTERM first: git removes its lock files on SIGTERM and leaves them on SIGKILL.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::{Instant, sleep_until},
};

use super::Tail;

/// Time between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// How long to read output after the program has exited: a helper may keep the pipes open indefinitely.
const LINGER: Duration = Duration::from_millis(500);

/// Maximum length of a line in bytes; the rest of a longer one is dropped.
const LONGEST_LINE: usize = 64 << 10;

/// A line of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLine {
    /// Without its line break. May contain untrusted text.
    pub text: String,
    /// A progress line, replaced by the next line.
    pub overwritten: bool,
}

/// The result of an ended process.
pub(super) struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    /// The end of standard error.
    pub stderr: Tail,
}

/// Why waiting stopped before the process ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum WaitError {
    /// The process is still running; the caller ends it.
    #[error("it printed more than the limit")]
    TooMuchOutput,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A process and its process group, which ends with it.
pub(super) struct Running(Option<Child>);

impl Running {
    /// Starts the process in its own process group.
    pub(super) fn start(mut command: Command, input: Option<Vec<u8>>) -> io::Result<Self> {
        command
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            // If git does not read its input, the pipe breaks; the exit code shows why.
            tokio::spawn(async move { drop(stdin.write_all(&input).await) });
        }
        Ok(Self(Some(child)))
    }

    /// Waits for the process, calling `on_line` for each line. Returns early if standard output exceeds `limit` bytes.
    pub(super) async fn wait(
        &mut self,
        limit: usize,
        on_line: &mut (dyn FnMut(OutputLine) + Send),
    ) -> Result<Ended, WaitError> {
        let Some(child) = self.0.as_mut() else {
            return Err(io::Error::other("the process was already terminated").into());
        };
        let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
        let (mut stdout, mut stderr) = (Vec::new(), Tail::default());
        let (mut out_lines, mut err_lines) = (LineSplitter::default(), LineSplitter::default());
        let (mut out_buffer, mut err_buffer) = ([0; 8192], [0; 8192]);
        let mut status = None;
        let mut deadline = Instant::now();
        while out.is_some() || err.is_some() || status.is_none() {
            tokio::select! {
                read = read(&mut out, &mut out_buffer), if out.is_some() => {
                    match read? {
                        0 => out = None,
                        count if stdout.len() + count > limit => return Err(WaitError::TooMuchOutput),
                        count => {
                            stdout.extend_from_slice(&out_buffer[..count]);
                            out_lines.take(&out_buffer[..count], on_line);
                        }
                    }
                }
                read = read(&mut err, &mut err_buffer), if err.is_some() => {
                    match read? {
                        0 => err = None,
                        count => {
                            stderr.push(&err_buffer[..count]);
                            err_lines.take(&err_buffer[..count], on_line);
                        }
                    }
                }
                ended = child.wait(), if status.is_none() => {
                    status = Some(ended?);
                    deadline = Instant::now() + LINGER;
                }
                () = sleep_until(deadline), if status.is_some() => break,
            }
        }
        out_lines.end(on_line);
        err_lines.end(on_line);
        let status = match status {
            Some(status) => status,
            None => child.wait().await?,
        };
        self.0 = None;
        Ok(Ended {
            status,
            stdout,
            stderr,
        })
    }

    /// Terminates the process group: SIGTERM, then SIGKILL after [`GRACE`].
    pub(super) async fn end(&mut self) {
        if let Some(child) = self.0.take() {
            end(child).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(child) = self.0.take() else {
            return;
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(end(child))),
            Err(_) => drop(Group::of(&child)),
        }
    }
}

async fn end(mut child: Child) {
    let group = Group::of(&child);
    group.signal(Signal::SIGTERM);
    // Either way, dropping `group` kills what is left.
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
}

/// A process group that is killed on drop.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .map(Pid::from_raw),
        )
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // An error means that the group is already gone.
            let _ = killpg(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

async fn read(
    from: &mut Option<impl AsyncReadExt + Unpin>,
    buffer: &mut [u8],
) -> io::Result<usize> {
    match from {
        Some(from) => from.read(buffer).await,
        None => Ok(0),
    }
}

/// Splits a stream into lines at `\
/// ` and `\\r`.
#[derive(Default)]
struct LineSplitter {
    partial: Vec<u8>,
}

impl LineSplitter {
    fn take(&mut self, bytes: &[u8], on_line: &mut (dyn FnMut(OutputLine) + Send)) {
        for &byte in bytes {
            match byte {
                b'\n' | b'\r' => self.emit(byte == b'\r', on_line),
                byte if self.partial.len() < LONGEST_LINE => self.partial.push(byte),
                _ => {}
            }
        }
    }

    fn end(&mut self, on_line: &mut (dyn FnMut(OutputLine) + Send)) {
        self.emit(false, on_line);
    }

    fn emit(&mut self, overwritten: bool, on_line: &mut (dyn FnMut(OutputLine) + Send)) {
        let partial = std::mem::take(&mut self.partial);
        let text = String::from_utf8_lossy(&partial).trim_end().to_owned();
        if !text.is_empty() {
            on_line(OutputLine { text, overwritten });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_long_line() {
        let mut lines_seen = Vec::new();
        let mut lines = LineSplitter::default();
        for _ in 0..3 {
            lines.take(&vec![b'x'; LONGEST_LINE], &mut |line| lines_seen.push(line));
            assert!(lines.partial.len() <= LONGEST_LINE);
        }
        lines.take(b"\nnext\n", &mut |line| lines_seen.push(line));
        assert_eq!(lines_seen[0].text.len(), LONGEST_LINE);
        assert_eq!(lines_seen[1].text, "next");
    }

    #[test]
    fn joins_lines_across_chunks() {
        let mut lines_seen = Vec::new();
        let mut lines = LineSplitter::default();
        for piece in [
            "Writing: 1",
            "0%\rWriting: 100%\n",
            "remote: don",
            "e\r\nend",
        ] {
            lines.take(piece.as_bytes(), &mut |line| lines_seen.push(line));
        }
        lines.end(&mut |line| lines_seen.push(line));
        let lines_seen: Vec<(&str, bool)> = lines_seen
            .iter()
            .map(|line| (line.text.as_str(), line.overwritten))
            .collect();
        assert_eq!(
            lines_seen,
            [
                ("Writing: 10%", true),
                ("Writing: 100%", false),
                ("remote: done", true),
                ("end", false)
            ]
        );
    }
}
