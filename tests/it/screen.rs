//! Runs the real event loop on an in-memory screen: keys in, text out. Tests wait for text to appear.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crossterm::event::Event;
use futures::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use kube::Client;
use ratatui::{
    Terminal,
    backend::{Backend, ClearType, TestBackend, WindowSize},
    buffer::Cell,
    layout::{Position, Size},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

use flightdeck_console::{
    Connected, ConsoleError, ConsoleOptions, TerminalIo, harness,
    keymap::{Chord, Keymap},
    theme::Theme,
    world::Target,
};
use flightdeck_host::{ledger::Ledger, settings::Settings};

/// Longest wait for a screen; generous, for slow machines under load.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A running console.
pub(crate) struct Screen {
    backend: SharedBackend,
    keys: mpsc::UnboundedSender<io::Result<Event>>,
    frames: watch::Receiver<u64>,
    console: JoinHandle<Result<(), ConsoleError>>,
}

impl Screen {
    /// Opens a console on a repository and the namespace `default` of an embedded cluster.
    pub(crate) fn on_embedded(
        client: Client,
        start: PathBuf,
        settings: Settings,
        ledger: Ledger,
        size: (u16, u16),
    ) -> Self {
        let target = Target {
            label: "embedded".into(),
            namespace: "default".into(),
            embedded: true,
        };
        let options = ConsoleOptions {
            start,
            connect: Arc::new(move || {
                let (client, target) = (client.clone(), target.clone());
                let notices = Vec::new();
                async move {
                    Ok(Connected {
                        client,
                        target,
                        disk: None,
                        notices,
                    })
                }
                .boxed()
            }),
            settings: Arc::new(settings),
            keymap: Arc::new(Keymap::shipped()),
            theme: Theme::shipped("dark"),
            ledger: Some(ledger),
        };
        Self::open(options, size.0, size.1)
    }

    /// Opens a console.
    pub(crate) fn open(options: ConsoleOptions, width: u16, height: u16) -> Self {
        let backend = SharedBackend(Arc::new(Mutex::new(TestBackend::new(width, height))));
        let (keys, input) = mpsc::unbounded_channel();
        let (drawn, frames) = watch::channel(0);
        let mut terminal = Terminal::new(backend.clone()).unwrap();
        let mut tty = TestTerminal {
            input: Arc::new(tokio::sync::Mutex::new(input)),
            drawn,
        };
        // On its own thread, as in the program: the state of the loop is not Send.
        let runtime = tokio::runtime::Handle::current();
        let console = tokio::task::spawn_blocking(move || {
            runtime.block_on(flightdeck_console::drive(options, &mut terminal, &mut tty))
        });
        Self {
            backend,
            keys,
            frames,
            console,
        }
    }

    /// The text on the screen.
    pub(crate) fn text(&self) -> String {
        harness::text_of(self.backend.lock().buffer())
    }

    /// Presses keys, written as in the keymap file and separated by spaces.
    pub(crate) fn press(&mut self, keys: &str) -> &mut Self {
        for key in keys.split_whitespace() {
            let chord: Chord = key.parse().unwrap_or_else(|error| panic!("{key}: {error}"));
            self.keys
                .send(Ok(Event::Key(chord.into())))
                .expect("the console runs");
        }
        self
    }

    /// Waits until `text` appears.
    pub(crate) async fn wait_for(&mut self, text: &str) -> &mut Self {
        self.until(&format!("`{text}` on the screen"), |screen| {
            screen.contains(text)
        })
        .await
    }

    /// Waits until `text` disappears.
    pub(crate) async fn wait_gone(&mut self, text: &str) -> &mut Self {
        self.until(&format!("`{text}` gone from the screen"), |screen| {
            !screen.contains(text)
        })
        .await
    }

    /// Waits until the screen satisfies `test`.
    pub(crate) async fn until(&mut self, what: &str, test: impl Fn(&str) -> bool) -> &mut Self {
        let waited = tokio::time::timeout(TIMEOUT, async {
            while !test(&self.text()) {
                if self.frames.changed().await.is_err() {
                    return false;
                }
            }
            true
        });
        match waited.await {
            Ok(true) => self,
            Ok(false) => panic!("the console exited before {what}:\n{}", self.text()),
            Err(late) => panic!("{late}, not within {TIMEOUT:?}: {what}:\n{}", self.text()),
        }
    }

    /// Waits for the console to exit, as after `q`.
    pub(crate) async fn ended(self) {
        let ended = tokio::time::timeout(TIMEOUT, self.console)
            .await
            .expect("the console exits");
        ended.unwrap().unwrap();
    }
}

struct TestTerminal {
    input: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<io::Result<Event>>>>,
    drawn: watch::Sender<u64>,
}

impl TerminalIo for TestTerminal {
    fn input(&mut self) -> BoxStream<'static, io::Result<Event>> {
        stream::unfold(Arc::clone(&self.input), |input| async {
            let event = input.lock().await.recv().await;
            event.map(|event| (event, input))
        })
        .boxed()
    }

    fn suspend(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn run_program(
        &mut self,
        _: &mut std::process::Command,
    ) -> io::Result<std::process::ExitStatus> {
        Err(io::Error::other("no terminal"))
    }

    fn drawn(&mut self) {
        self.drawn.send_modify(|frames| *frames += 1);
    }
}

/// A test backend that can be read while a terminal owns it.
#[derive(Clone)]
struct SharedBackend(Arc<Mutex<TestBackend>>);

impl SharedBackend {
    fn lock(&self) -> std::sync::MutexGuard<'_, TestBackend> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Converts an infallible result to one with an I/O error.
#[expect(clippy::unnecessary_wraps, reason = "the trait requires a result")]
fn infallible<T>(result: Result<T, std::convert::Infallible>) -> io::Result<T> {
    let Ok(value) = result;
    Ok(value)
}

impl Backend for SharedBackend {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        infallible(self.lock().draw(content))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        infallible(self.lock().hide_cursor())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        infallible(self.lock().show_cursor())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Err(io::Error::other(
            "the cursor position cannot be queried while keys are read",
        ))
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        infallible(self.lock().set_cursor_position(position))
    }

    fn clear(&mut self) -> io::Result<()> {
        infallible(self.lock().clear())
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        infallible(self.lock().clear_region(clear_type))
    }

    fn size(&self) -> io::Result<Size> {
        infallible(self.lock().size())
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        infallible(self.lock().window_size())
    }

    fn flush(&mut self) -> io::Result<()> {
        infallible(self.lock().flush())
    }
}
