//! The shim: a small process that supervises one container, so that the container and its exit code survive a restart
//! of the server.
//!
//! The shim leads its own session and runs the container in a process group. It writes the container's output to the
//! log, and when the main process exits, kills the remaining processes and records the exit. On SIGTERM it stops the
//! container (SIGTERM to the group, SIGKILL after the grace period), on SIGUSR1 it kills it.
//!
//! The shim is synchronous and single-threaded. It communicates with the node only through the attempt's directory and
//! its stdout, to which it writes one byte once the container runs, and which closes when the shim ends.

mod log_file;
mod orphans;
mod processes;
mod record_writer;

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, killpg},
    unistd::{Pid, setsid},
};

use super::attempt::{Attempt, Ended, Spec, Started};
use log_file::LogFile;
use processes::Exit;
use record_writer::{RecordWriter, Timestamps};

pub(crate) use orphans::{ATTEMPT_VARIABLE, kill_orphans};
pub(crate) use processes::ticks;

/// How long to read remaining output after all processes of the container are dead.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
const BUFFER: usize = 64 * 1024;

/// Runs the container described by the file `spec`. Returns 0 once its exit is recorded, whatever its exit code.
///
/// A program that embeds a cluster with a node calls this from its `shim --spec FILE` command; see
/// [`ClusterOptions::program`](crate::ClusterOptions::program).
#[must_use]
pub fn main(spec: &Path) -> ExitCode {
    let attempt = Attempt::from_spec_path(spec);
    match supervise(&attempt) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn supervise(attempt: &Attempt) -> io::Result<()> {
    // Fails only if the process leads a session already.
    let _ = setsid();
    let Some(_lock) = attempt.try_lock()? else {
        return Ok(());
    };
    if attempt.ended().is_some() || attempt.started().is_some() {
        return Ok(());
    }
    processes::adopt_orphans();
    let ended = match run(attempt) {
        Ok(ended) => ended,
        Err(error) => Ended::not_started(error.to_string(), Timestamp::now()),
    };
    attempt.write_ended(&ended)
}

fn run(attempt: &Attempt) -> io::Result<Ended> {
    let spec = attempt.spec()?;
    let signals = Signals::register()?;
    let log = LogFile::open(attempt, spec.log_file_bytes, spec.log_files)?;
    attempt.reserve_end()?;
    attempt.claim()?;
    let child = start(&spec)?;
    let process = Pid::from_raw(child.id() as i32);
    let started = Started {
        shim: Pid::this().as_raw(),
        shim_ticks: ticks(Pid::this()),
        process: process.as_raw(),
        process_ticks: ticks(process),
        at: Timestamp::now(),
    };
    attempt.write_started(&started)?;
    // The node may be gone; its successor reads the file written above.
    let mut stdout = io::stdout();
    let _ = stdout.write_all(b"+").and_then(|()| stdout.flush());

    let supervisor = Supervisor::new(attempt.clone(), process, child, log, signals, &spec);
    let exit = supervisor.watch()?;
    Ok(Ended {
        exit_code: exit.code,
        signal: exit.signal,
        reason: None,
        message: None,
        started_at: Some(started.at),
        finished_at: Timestamp::now(),
    })
}

fn start(spec: &Spec) -> io::Result<Child> {
    let (program, arguments) = spec
        .command
        .split_first()
        .ok_or_else(|| io::Error::other("the container has no command"))?;
    Command::new(program)
        .args(arguments)
        .current_dir(&spec.working_directory)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            if spec.working_directory.is_dir() {
                io::Error::other(format!("cannot start {program:?}: {error}"))
            } else {
                let directory = spec.working_directory.display();
                io::Error::other(format!("working directory {directory} is missing"))
            }
        })
}

/// Signals handled by the shim, each as a descriptor that becomes readable.
struct Signals {
    stop: UnixStream,
    kill: UnixStream,
    child: UnixStream,
}

impl Signals {
    fn register() -> io::Result<Self> {
        Ok(Self {
            stop: signal_stream(Signal::SIGTERM)?,
            kill: signal_stream(Signal::SIGUSR1)?,
            child: signal_stream(Signal::SIGCHLD)?,
        })
    }
}

fn signal_stream(signal: Signal) -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    write.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal as i32, write)?;
    Ok(read)
}

/// Reads all pending bytes. Returns whether there were any.
fn drain(mut stream: &UnixStream) -> bool {
    let mut bytes = [0; 64];
    let mut any = false;
    while matches!(stream.read(&mut bytes), Ok(1..)) {
        any = true;
    }
    any
}

/// An output stream of the container, closed once all writers are gone.
struct Output {
    pipe: Option<File>,
    writer: RecordWriter,
}

impl Output {
    fn new(pipe: Option<OwnedFd>, stream: &'static str) -> Self {
        Self {
            pipe: pipe.map(File::from),
            writer: RecordWriter::new(stream),
        }
    }
}

struct Supervisor {
    attempt: Attempt,
    process: Pid,
    outputs: [Output; 2],
    log: LogFile,
    signals: Signals,
    grace: Duration,
    /// When to kill a container that was asked to stop.
    kill_at: Option<Instant>,
    buffer: Vec<u8>,
    records: Vec<u8>,
    timestamps: Timestamps,
}

impl Supervisor {
    fn new(
        attempt: Attempt,
        process: Pid,
        mut child: Child,
        log: LogFile,
        signals: Signals,
        spec: &Spec,
    ) -> Self {
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        Self {
            attempt,
            process,
            outputs: [Output::new(stdout, "stdout"), Output::new(stderr, "stderr")],
            log,
            signals,
            grace: Duration::from_secs(spec.grace_seconds),
            kill_at: None,
            buffer: vec![0; BUFFER],
            records: Vec::new(),
            timestamps: Timestamps::new(),
        }
    }

    /// Runs until the main process has exited, no other process is left, and all output is in the log.
    fn watch(mut self) -> io::Result<Exit> {
        let exit = loop {
            self.step(self.kill_at)?;
            if drain(&self.signals.stop) && self.kill_at.is_none() {
                self.signal(Signal::SIGTERM);
                let granted = self.attempt.grace().map(Duration::from_secs);
                self.kill_at = Instant::now().checked_add(granted.unwrap_or(self.grace));
            }
            let overdue = self.kill_at.is_some_and(|at| at <= Instant::now());
            if drain(&self.signals.kill) || overdue {
                self.signal(Signal::SIGKILL);
                // A process that is just forking can miss the signal: repeat until the exit is seen.
                self.kill_at = Some(Instant::now() + DRAIN_TIMEOUT);
            }
            if drain(&self.signals.child)
                && let Some(exit) = processes::reap(self.process, || self.signal(Signal::SIGKILL))?
            {
                break exit;
            }
        };
        processes::kill_children();
        let until = Instant::now() + DRAIN_TIMEOUT;
        while self.outputs.iter().any(|output| output.pipe.is_some()) && Instant::now() < until {
            self.step(Some(until))?;
            drain(&self.signals.child);
        }
        let now = Timestamp::now();
        for output in &mut self.outputs {
            output
                .writer
                .finish(now, &mut self.timestamps, &mut self.records);
        }
        self.flush();
        Ok(exit)
    }

    /// Signals the process group, which may be gone.
    fn signal(&self, signal: Signal) {
        let _ = killpg(self.process, signal);
    }

    /// Waits for signals, output or `until`, and reads the output.
    fn step(&mut self, until: Option<Instant>) -> io::Result<()> {
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            // Add a millisecond: the timeout is cut to whole milliseconds and must not end early.
            let wait = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
        });
        let (signals, outputs) = (&self.signals, &self.outputs);
        let mut polled: Vec<PollFd> = [&signals.stop, &signals.kill, &signals.child]
            .map(|signal| PollFd::new(signal.as_fd(), PollFlags::POLLIN))
            .into();
        let signal_count = polled.len();
        let mut open = Vec::new();
        for (index, output) in outputs.iter().enumerate() {
            if let Some(pipe) = &output.pipe {
                polled.push(PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
                open.push(index);
            }
        }
        match poll(&mut polled, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready: Vec<usize> = open
            .into_iter()
            .zip(&polled[signal_count..])
            .filter(|(_, fd)| fd.any().unwrap_or(false))
            .map(|(index, _)| index)
            .collect();
        for index in ready {
            self.read_output(index);
        }
        self.flush();
        Ok(())
    }

    fn read_output(&mut self, index: usize) {
        let output = &mut self.outputs[index];
        let Some(pipe) = &mut output.pipe else { return };
        match pipe.read(&mut self.buffer) {
            Ok(0) => output.pipe = None,
            Ok(length) => output.writer.push(
                Timestamp::now(),
                &mut self.timestamps,
                &self.buffer[..length],
                &mut self.records,
            ),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => output.pipe = None,
        }
    }

    fn flush(&mut self) {
        self.log.write(Timestamp::now(), &self.records);
        self.records.clear();
    }
}
