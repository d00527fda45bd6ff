//! The terminal: entered once, left on every way out: end, panic, signal, suspension.

mod notice;

use std::{
    io::{self, IsTerminal, Stdout, Write},
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
use nix::sys::signal::{Signal, raise};
use ratatui::{Terminal, backend::CrosstermBackend};
use tokio::signal::unix::{SignalKind, signal};

pub use self::notice::{Notifier, Sequence};
use super::{ConsoleError, Host, effect::Notice};

/// Whether there is a terminal that can show a full screen; `get` looks up a variable.
///
/// # Errors
/// A sentence that says why not.
pub fn check(get: impl Fn(&str) -> Option<String>) -> Result<(), ConsoleError> {
    if get("TERM").as_deref() == Some("dumb") {
        return Err(ConsoleError::NoTerminal(
            "this terminal (TERM=dumb) cannot show the console; the commands work everywhere: flightdeck --help",
        ));
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(ConsoleError::NoTerminal(
            "the console needs a terminal for input and output; the commands need none: flightdeck --help",
        ));
    }
    Ok(())
}

/// Resolves when the process is told to end: by SIGTERM, by SIGINT from elsewhere, or because the terminal is gone.
pub async fn told_to_end() {
    let kinds = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ];
    let mut waits = FuturesUnordered::new();
    for kind in kinds {
        // A signal that cannot be listened for keeps its usual effect.
        if let Ok(mut signals) = signal(kind) {
            waits.push(async move { signals.recv().await });
        }
    }
    if waits.next().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// The person's editor on a file, at a line; `get` looks up a variable.
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

/// The terminal of this process. Dropping it gives the terminal back.
pub struct Tty {
    mouse: bool,
    /// `None` when the person wants to be told nothing.
    notifier: Option<Notifier>,
}

/// Enters the full screen.
///
/// # Errors
/// When the terminal refuses.
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

/// Gives the terminal back; safe to call twice, and when half of it fails the other half is still done.
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
        self.seen();
        leave();
    }
}

impl Host for Tty {
    fn input(&mut self) -> BoxStream<'static, io::Result<Event>> {
        // To ask for keys takes a lock that a thread holds while it waits for them, and the console asks with each message:
        // a set of streams asks those alone that have woken it.
        select_all([EventStream::new()]).boxed()
    }

    fn notify(&mut self, notice: &Notice) {
        if let Some(notifier) = &mut self.notifier {
            // A terminal that cannot be told breaks at the next frame, where it is said.
            let _ = notifier.say(notice, &mut io::stdout());
        }
    }

    fn seen(&mut self) {
        if let Some(notifier) = &mut self.notifier {
            let _ = notifier.seen(&mut io::stdout());
        }
    }

    fn lend(&mut self, command: &mut Command) -> io::Result<ExitStatus> {
        leave();
        let ended = command.status();
        enter(self.mouse)?;
        ended
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.seen();
        leave();
        raise(Signal::SIGTSTP).map_err(io::Error::from)?;
        enter(self.mouse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_editor_opens_at_the_line_in_its_own_way() {
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
    fn a_terminal_that_cannot_show_it_is_told_what_can_be_done() {
        let error = check(|_| Some("dumb".into())).unwrap_err();
        assert!(error.to_string().contains("flightdeck --help"), "{error}");
    }
}
