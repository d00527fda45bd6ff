//! The terminal: enters full-screen mode, and restores it on exit, panic, signal and suspension.

mod notifier;

use std::{
    io::{self, IsTerminal, Stdout, Write},
    os::fd::AsFd,
    path::Path,
    process::{Command, ExitStatus},
};

use crossterm::{
    cursor,
    event::{
        DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
        EnableFocusChange, EnableMouseCapture, Event, EventStream,
    },
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use futures::{
    StreamExt,
    stream::{BoxStream, FuturesUnordered, select_all},
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, raise},
};
use ratatui::{Terminal, backend::CrosstermBackend};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

pub use self::notifier::Notifier;
use super::effect::Notice;

/// Why the console could not run.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error("{0}")]
    NoTerminal(&'static str),
    #[error("terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// The terminal as the event loop uses it: the real one, or a test.
pub trait TerminalIo {
    /// Keys, mouse and focus events. Called again after [`Self::suspend`] and [`Self::run_program`].
    fn input(&mut self) -> BoxStream<'static, io::Result<Event>>;
    /// Gives the terminal back to the shell and stops this process until it is continued.
    fn suspend(&mut self) -> io::Result<()>;
    /// Runs a program in the foreground of the terminal.
    fn run_program(&mut self, command: &mut Command) -> io::Result<ExitStatus> {
        command.status()
    }
    /// Shows a desktop notification.
    fn notify(&mut self, _notice: &Notice) {}
    /// Restores the title that a notification replaced.
    fn clear_notice(&mut self) {}
    /// Called after each frame.
    fn drawn(&mut self) {}
}

/// Checks that the terminal supports a full-screen program. `get` looks up an environment variable.
///
/// # Errors
/// If it does not, with the reason.
pub fn check(get: impl Fn(&str) -> Option<String>) -> Result<(), ConsoleError> {
    if get("TERM").as_deref() == Some("dumb") {
        return Err(ConsoleError::NoTerminal(
            "TERM=dumb is not supported by the console; use the CLI: flightdeck --help",
        ));
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(ConsoleError::NoTerminal(
            "the console needs a terminal for stdin and stdout; use the CLI: flightdeck --help",
        ));
    }
    Ok(())
}

/// Resolves on SIGTERM, SIGINT or SIGHUP, and when the terminal is gone: SIGHUP does not reach a program whose parent ignores it.
pub async fn termination() {
    tokio::select! {
        () = termination_signal() => {}
        () = hangup(io::stdin()) => {}
    }
}

/// Resolves when the other end of `terminal` is closed.
async fn hangup(terminal: impl AsFd + Send + 'static) {
    let (sender, receiver) = oneshot::channel::<()>();
    // Blocks until the hangup, or until the process exits.
    let watcher = std::thread::Builder::new().spawn(move || {
        loop {
            // No events requested: poll reports only a hangup or an error.
            let mut descriptors = [PollFd::new(terminal.as_fd(), PollFlags::empty())];
            match poll(&mut descriptors, PollTimeout::NONE) {
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(_) => return std::mem::forget(sender),
            }
        }
        drop(sender);
    });
    if watcher.is_err() {
        std::future::pending::<()>().await;
    }
    // The sender is dropped without a value.
    let _ = receiver.await;
}

/// Resolves on SIGTERM, SIGINT or SIGHUP.
async fn termination_signal() {
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ];
    let mut waits = FuturesUnordered::new();
    for kind in kinds {
        // If no handler can be installed, the signal keeps its default action.
        if let Ok(mut signals) = signal(kind) {
            waits.push(async move { signals.recv().await });
        }
    }
    if waits.next().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Returns the command that opens a file at a line in the user's editor. `get` looks up an environment variable.
pub fn editor(get: impl Fn(&str) -> Option<String>, path: &Path, line: usize) -> Command {
    let named = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| get(name).filter(|value| !value.trim().is_empty()));
    let words = named.unwrap_or_else(|| "vi".into());
    let mut words = words.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let mut command = Command::new(program);
    command.args(words);
    let name = Path::new(program)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    match name.as_str() {
        "hx" | "helix" | "zed" | "subl" => {
            command.arg(format!("{}:{line}", path.display()));
        }
        "code" | "codium" | "cursor" => {
            command
                .arg("--goto")
                .arg(format!("{}:{line}", path.display()));
        }
        _ => {
            command.arg(format!("+{line}")).arg(path);
        }
    }
    command
}

/// The terminal of this process. Dropping it restores the terminal.
pub struct Tty {
    mouse: bool,
    /// `None` if notifications are off.
    notifier: Option<Notifier>,
}

/// Enters full-screen mode.
///
/// # Errors
/// If writing to the terminal fails.
pub fn open(
    mouse: bool,
    notifier: Option<Notifier>,
) -> Result<(Terminal<CrosstermBackend<Stdout>>, Tty), ConsoleError> {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        leave();
        previous(panic);
    }));
    enter(mouse)?;
    let host = Tty { mouse, notifier };
    let screen = Terminal::new(CrosstermBackend::new(io::stdout()))?;
    Ok((screen, host))
}

fn enter(mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    let mut out = io::stdout();
    execute!(
        out,
        EnterAlternateScreen,
        EnableBracketedPaste,
        EnableFocusChange,
        cursor::Hide
    )?;
    if mouse {
        execute!(out, EnableMouseCapture)?;
    }
    Ok(())
}

/// Restores the terminal. Safe to call twice; a step that fails does not skip the others.
fn leave() {
    let mut out = io::stdout();
    let _ = execute!(
        out,
        DisableMouseCapture,
        DisableFocusChange,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
    let _ = out.flush();
}

impl Drop for Tty {
    fn drop(&mut self) {
        self.clear_notice();
        leave();
    }
}

impl TerminalIo for Tty {
    fn input(&mut self) -> BoxStream<'static, io::Result<Event>> {
        // Polling an EventStream takes a lock that its reader thread holds while it waits, and the loop polls once per
        // message. `select_all` polls a stream only after it was woken.
        select_all([EventStream::new()]).boxed()
    }

    fn notify(&mut self, notice: &Notice) {
        if let Some(notifier) = &mut self.notifier {
            // If the terminal is gone, the next frame reports the error.
            let _ = notifier.notify(notice, &mut io::stdout());
        }
    }

    fn clear_notice(&mut self) {
        if let Some(notifier) = &mut self.notifier {
            let _ = notifier.restore_title(&mut io::stdout());
        }
    }

    fn run_program(&mut self, command: &mut Command) -> io::Result<ExitStatus> {
        leave();
        let ended = command.status();
        enter(self.mouse)?;
        ended
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.clear_notice();
        leave();
        raise(Signal::SIGTSTP).map_err(io::Error::from)?;
        enter(self.mouse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notices_that_the_other_end_is_closed() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let gone = hangup(ours);
        let mut gone = std::pin::pin!(gone);
        assert!(futures::poll!(&mut gone).is_pending());
        drop(theirs);
        gone.await;
    }

    #[test]
    fn editor_gets_line_in_its_own_syntax() {
        for (named, line) in [
            ("vim", "vim +7 /x/tasks.json"),
            ("hx", "hx /x/tasks.json:7"),
            ("code --wait", "code --wait --goto /x/tasks.json:7"),
            ("", "vi +7 /x/tasks.json"),
        ] {
            let command = editor(
                |name| (name == "EDITOR").then(|| named.into()),
                Path::new("/x/tasks.json"),
                7,
            );
            let words: Vec<_> = std::iter::once(command.get_program())
                .chain(command.get_args())
                .collect();
            assert_eq!(words.join(std::ffi::OsStr::new(" ")), line);
        }
    }

    #[test]
    fn dumb_terminal_error_points_to_cli() {
        let error = check(|_| Some("dumb".into())).unwrap_err();
        assert!(error.to_string().contains("flightdeck --help"), "{error}");
    }
}
