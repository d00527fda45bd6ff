//! The shim: one small process over each container, so that the server may die and come back without killing it or
//! misjudging how it ended.
//!
//! It leads a session of its own, starts the container in a process group, stamps its output into the log file, takes
//! the signals that stop it, and when the main process ends kills whatever it left behind and writes how it ended.
//! SIGTERM asks the container to stop (SIGTERM to the group, SIGKILL after the grace); SIGUSR1 kills it at once.
//!
//! Synchronous, single-threaded, and it speaks with the node only through the attempt's directory and its own standard
//! output, where it writes one byte when the container runs and which closes when it is done.

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
use record_writer::{Lines, Stamps};

pub use orphans::{MARK, end as end_remains};
pub use processes::ticks;

/// How long output may still come once every process of the container is dead.
const DRAIN: Duration = Duration::from_secs(2);
const BUFFER: usize = 64 * 1024;

/// Runs the container that `spec` describes to its end. 0 when its end was written down, whatever it was.
#[must_use]
pub fn main(spec: &Path) -> ExitCode {
    let attempt = Attempt::from_spec_path(spec);
    match oversee(&attempt) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn oversee(attempt: &Attempt) -> io::Result<()> {
    // Fails only for a process that already leads one.
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
    // The node may be gone: then nobody listens, and the file above is what its successor reads.
    let mut stdout = io::stdout();
    let _ = stdout.write_all(b"+").and_then(|()| stdout.flush());

    let overseer = Overseer::new(attempt.clone(), process, child, log, signals, &spec);
    let exit = overseer.watch()?;
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

/// The signals a shim obeys, each as a descriptor that becomes readable.
struct Signals {
    stop: UnixStream,
    kill: UnixStream,
    child: UnixStream,
}

impl Signals {
    fn register() -> io::Result<Self> {
        Ok(Self {
            stop: readable(Signal::SIGTERM)?,
            kill: readable(Signal::SIGUSR1)?,
            child: readable(Signal::SIGCHLD)?,
        })
    }
}

fn readable(signal: Signal) -> io::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    write.set_nonblocking(true)?;
    signal_hook::low_level::pipe::register(signal as i32, write)?;
    Ok(read)
}

/// Reads everything there is; whether there was anything.
fn drained(mut stream: &UnixStream) -> bool {
    let mut bytes = [0; 64];
    let mut any = false;
    while matches!(stream.read(&mut bytes), Ok(1..)) {
        any = true;
    }
    any
}

/// One stream of the container; closed when its last writer is gone.
struct Output {
    pipe: Option<File>,
    lines: Lines,
}

impl Output {
    fn new(pipe: Option<OwnedFd>, stream: &'static str) -> Self {
        Self {
            pipe: pipe.map(File::from),
            lines: Lines::new(stream),
        }
    }
}

struct Overseer {
    attempt: Attempt,
    process: Pid,
    outputs: [Output; 2],
    log: LogFile,
    signals: Signals,
    grace: Duration,
    /// When a container that was asked to stop is killed.
    kill_at: Option<Instant>,
    buffer: Vec<u8>,
    records: Vec<u8>,
    stamps: Stamps,
}

impl Overseer {
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
            stamps: Stamps::new(),
        }
    }

    /// Until the main process has ended, nothing of it is left, and all it wrote is in the log.
    fn watch(mut self) -> io::Result<Exit> {
        let exit = loop {
            self.step(self.kill_at)?;
            if drained(&self.signals.stop) && self.kill_at.is_none() {
                self.signal(Signal::SIGTERM);
                let granted = self.attempt.grace().map(Duration::from_secs);
                self.kill_at = Instant::now().checked_add(granted.unwrap_or(self.grace));
            }
            let overdue = self.kill_at.is_some_and(|at| at <= Instant::now());
            if drained(&self.signals.kill) || overdue {
                self.signal(Signal::SIGKILL);
                // Processes between states can miss it: again, until the end is seen.
                self.kill_at = Some(Instant::now() + DRAIN);
            }
            if drained(&self.signals.child)
                && let Some(exit) = processes::reap(self.process, || self.signal(Signal::SIGKILL))?
            {
                break exit;
            }
        };
        processes::kill_orphans();
        let until = Instant::now() + DRAIN;
        while self.outputs.iter().any(|output| output.pipe.is_some()) && Instant::now() < until {
            self.step(Some(until))?;
            drained(&self.signals.child);
        }
        let now = Timestamp::now();
        for output in &mut self.outputs {
            output
                .lines
                .finish(now, &mut self.stamps, &mut self.records);
        }
        self.flush();
        Ok(exit)
    }

    /// A group that is gone needs no signal.
    fn signal(&self, signal: Signal) {
        let _ = killpg(self.process, signal);
    }

    /// Sleeps until something happens or `until`, and takes in what the container wrote.
    fn step(&mut self, until: Option<Instant>) -> io::Result<()> {
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            // One more: a timeout is cut to whole milliseconds, and must not end early.
            let wait = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(wait).unwrap_or(PollTimeout::MAX)
        });
        let (signals, outputs) = (&self.signals, &self.outputs);
        let mut polled: Vec<PollFd> = [&signals.stop, &signals.kill, &signals.child]
            .map(|signal| PollFd::new(signal.as_fd(), PollFlags::POLLIN))
            .into();
        let quiet = polled.len();
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
            .zip(&polled[quiet..])
            .filter(|(_, fd)| fd.any().unwrap_or(false))
            .map(|(index, _)| index)
            .collect();
        for index in ready {
            self.take_in(index);
        }
        self.flush();
        Ok(())
    }

    fn take_in(&mut self, index: usize) {
        let output = &mut self.outputs[index];
        let Some(pipe) = &mut output.pipe else { return };
        match pipe.read(&mut self.buffer) {
            Ok(0) => output.pipe = None,
            Ok(length) => output.lines.push(
                Timestamp::now(),
                &mut self.stamps,
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
