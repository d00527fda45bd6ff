//! One `git` process under way: what it prints as it comes, and its end, by itself or by ours.
//!
//! Ending is polite first: git takes its lock files with it when it is asked, and leaves them when it is killed.

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

/// How long a group that was asked to end may take to clean up.
const GRACE: Duration = Duration::from_secs(2);
/// How long output may still come when the program has ended: a helper that stays may hold the pipes for ever.
const LINGER: Duration = Duration::from_millis(500);

/// Bytes of one line that are passed on; the rest of a longer one is dropped.
const LONGEST_LINE: usize = 64 << 10;

/// A piece of what a command printed, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Without its line break; may hold remote text.
    pub text: String,
    /// A line of progress: the next one takes its place.
    pub overwritten: bool,
}

/// What an ended process left.
pub(super) struct Ended {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    /// The end of it.
    pub stderr: Tail,
}

/// Why a process was not waited for to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unended {
    /// It goes on: the caller ends it.
    #[error("it printed more than was asked for")]
    TooMuchOutput,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A process and all it started, which end with it.
pub(super) struct Running(Option<Child>);

impl Running {
    /// Starts it in a process group of its own.
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
            // A git that does not read its input closes the pipe; its exit code tells the story.
            tokio::spawn(async move { drop(stdin.write_all(&input).await) });
        }
        Ok(Self(Some(child)))
    }

    /// Waits for its end, telling of every line as it comes. Stops when standard output has more than `limit` bytes.
    pub(super) async fn wait(
        &mut self,
        limit: usize,
        tell: &mut (dyn FnMut(Line) + Send),
    ) -> Result<Ended, Unended> {
        let Some(child) = self.0.as_mut() else {
            return Err(io::Error::other("the process has been ended").into());
        };
        let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
        let (mut stdout, mut stderr) = (Vec::new(), Tail::default());
        let (mut out_lines, mut err_lines) = (Lines::default(), Lines::default());
        let (mut out_buffer, mut err_buffer) = ([0; 8192], [0; 8192]);
        let mut status = None;
        let mut patience = Instant::now();
        while out.is_some() || err.is_some() || status.is_none() {
            tokio::select! {
                read = read(&mut out, &mut out_buffer), if out.is_some() => {
                    match read? {
                        0 => out = None,
                        count if stdout.len() + count > limit => return Err(Unended::TooMuchOutput),
                        count => {
                            stdout.extend_from_slice(&out_buffer[..count]);
                            out_lines.take(&out_buffer[..count], tell);
                        }
                    }
                }
                read = read(&mut err, &mut err_buffer), if err.is_some() => {
                    match read? {
                        0 => err = None,
                        count => {
                            stderr.push(&err_buffer[..count]);
                            err_lines.take(&err_buffer[..count], tell);
                        }
                    }
                }
                ended = child.wait(), if status.is_none() => {
                    status = Some(ended?);
                    patience = Instant::now() + LINGER;
                }
                () = sleep_until(patience), if status.is_some() => break,
            }
        }
        out_lines.end(tell);
        err_lines.end(tell);
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

    /// Asks the whole group to end, and makes it when it takes too long.
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
    // Whether it ended or not: the group is made to end when this returns.
    let _ = tokio::time::timeout(GRACE, child.wait()).await;
}

/// A process group that is gone when this is dropped.
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
            // It may be gone already, which is what is wanted.
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

/// Cuts a stream into lines, whatever ends them.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], tell: &mut (dyn FnMut(Line) + Send)) {
        for &byte in bytes {
            match byte {
                b'\n' | b'\r' => self.tell(byte == b'\r', tell),
                byte if self.begun.len() < LONGEST_LINE => self.begun.push(byte),
                _ => {}
            }
        }
    }

    fn end(&mut self, tell: &mut (dyn FnMut(Line) + Send)) {
        self.tell(false, tell);
    }

    fn tell(&mut self, overwritten: bool, tell: &mut (dyn FnMut(Line) + Send)) {
        let begun = std::mem::take(&mut self.begun);
        let text = String::from_utf8_lossy(&begun).trim_end().to_owned();
        if !text.is_empty() {
            tell(Line { text, overwritten });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_end_is_cut() {
        let mut heard = Vec::new();
        let mut lines = Lines::default();
        for _ in 0..3 {
            lines.take(&vec![b'x'; LONGEST_LINE], &mut |line| heard.push(line));
            assert!(lines.begun.len() <= LONGEST_LINE);
        }
        lines.take(b"\nnext\n", &mut |line| heard.push(line));
        assert_eq!(heard[0].text.len(), LONGEST_LINE);
        assert_eq!(heard[1].text, "next");
    }

    #[test]
    fn lines_come_whole_whatever_pieces_they_arrive_in() {
        let mut heard = Vec::new();
        let mut lines = Lines::default();
        for piece in [
            "Writing: 1",
            "0%\rWriting: 100%\n",
            "remote: don",
            "e\r\nend",
        ] {
            lines.take(piece.as_bytes(), &mut |line| heard.push(line));
        }
        lines.end(&mut |line| heard.push(line));
        let heard: Vec<(&str, bool)> = heard
            .iter()
            .map(|line| (line.text.as_str(), line.overwritten))
            .collect();
        assert_eq!(
            heard,
            [
                ("Writing: 10%", true),
                ("Writing: 100%", false),
                ("remote: done", true),
                ("end", false)
            ]
        );
    }
}
