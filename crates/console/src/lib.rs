//! The console: the full-screen terminal program.
//!
//! ```text
//!  keys, mouse, resize --+                                       +-> lane "logs"   (a newer effect aborts the older)
//!  cluster deltas -------+-> Msg -> update(&mut Model) -> Effects +-> lane "preflight" ...
//!  tick (carries now) ---+             |                         +-> detached: launch, stop, delete ...
//!  finished effects -----+             +-> view(&Model, &Theme, Rect) -> frame         |
//!         ^                                                                            |
//!         +------------------------------- Msg::Done(outcome) <------------------------+
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`msg`], [`model`], [`world`], [`mod@update`], [`effect`] | what can happen, what is known, what follows: pure |
//! | [`layout`], [`view`], [`draw`], [`theme`], [`glyphs`] | the screen from the model: pure |
//! | [`command`], [`keymap`] | what can be asked for, and by which key |
//! | [`panels`], [`overlays`], [`widgets`] | the four panels, what lies over them, what they are made of |
//! | [`list`], [`field`], [`filter`] | state of lists, of a line being typed, of filters |
//! | [`perform`], [`terminal`] | the rim: does the effects, owns the terminal |

pub mod command;
pub mod draw;
pub mod effect;
pub mod field;
pub mod filter;
pub mod glyphs;
#[doc(hidden)]
pub mod harness;
pub mod keymap;
pub mod layout;
pub mod list;
pub mod model;
pub mod msg;
pub mod overlays;
pub mod panels;
pub mod perform;
pub mod terminal;
pub mod theme;
pub mod update;
pub mod view;
pub mod widgets;
pub mod world;

use std::{io, path::PathBuf, process, sync::Arc, time::Duration};

use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use jiff::Timestamp;
use ratatui::{
    Terminal,
    backend::Backend,
    layout::{Rect, Size},
};
use tokio::{sync::mpsc, time::Instant};

use crossterm::event::{Event, KeyEventKind};

use self::{
    effect::{Effect, Effects, Outcome},
    keymap::Keymap,
    model::Model,
    msg::Msg,
    perform::Performer,
    theme::Theme,
    update::update,
    world::Target,
};

use flightdeck_host::{ledger::Ledger, settings::Settings};

/// What the console is started with.
pub struct ConsoleOptions {
    /// Where to look for the repository.
    pub start: PathBuf,
    /// Reaches the cluster; asked after the first frame, and again until it succeeds.
    pub connect: Connect,
    pub settings: Arc<Settings>,
    pub keymap: Arc<Keymap>,
    pub theme: Theme,
    /// What outlives a run; `None` keeps nothing.
    pub ledger: Option<Ledger>,
}

/// One try at reaching the cluster; an error is a sentence.
pub type Connect = Arc<dyn Fn() -> BoxFuture<'static, Result<Connected, String>> + Send + Sync>;

/// A cluster that answers.
pub struct Connected {
    pub client: kube::Client,
    pub target: Target,
    /// Where the embedded node works; `None` on a real cluster.
    pub disk: Option<PathBuf>,
    /// What the person should know of the connection, a sentence each.
    pub notices: Vec<String>,
}

/// Why the console could not run.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error("{0}")]
    NoTerminal(&'static str),
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// What the console needs of the place it runs in: the real terminal, or a test.
pub trait Host {
    /// Keys, clicks, sizes. Asked for again after [`Self::suspend`].
    fn input(&mut self) -> BoxStream<'static, io::Result<Event>>;
    /// Gives the terminal back to the shell and stops this process until it is continued.
    fn suspend(&mut self) -> io::Result<()>;
    /// Lends the terminal to a program and takes it back when that has ended.
    fn lend(&mut self, command: &mut process::Command) -> io::Result<process::ExitStatus> {
        command.status()
    }
    /// Tells the person who does not look at the terminal.
    fn notify(&mut self, _notice: &effect::Notice) {}
    /// The person looks again.
    fn seen(&mut self) {}
    /// Called after each frame.
    fn drawn(&mut self) {}
}

/// Messages that may wait; whoever sends more waits.
const CHANNEL: usize = 64;
/// How long messages are taken in before the next frame and the next look for a key.
const BATCH: Duration = Duration::from_millis(8);
/// Shortest time from a frame to the one that answers a key: a held key, or a pasted text, is drawn as fast as eyes can tell.
const ANSWER: Duration = Duration::from_millis(2);
/// Shortest time between other frames while a person is at the keys.
const FRAME: Duration = Duration::from_millis(16);
/// The same while nobody is: what moves by itself moves in one frame, ten times a second at most.
const CALM: Duration = Duration::from_millis(100);
/// How long after a key its consequences are drawn as they come.
const LIVELY: Duration = Duration::from_millis(500);

/// Runs the console in the terminal of this process until the person quits.
///
/// # Errors
/// When there is no terminal that can show it, or when it breaks.
pub async fn run(options: ConsoleOptions) -> Result<(), ConsoleError> {
    terminal::check(|name| std::env::var(name).ok())?;
    let ui = &options.settings.ui;
    let notifier = terminal::Notifier::new(&ui.notify, |name| std::env::var(name).ok());
    let (mut screen, mut host) = terminal::open(ui.mouse, notifier)?;
    // Whatever ends first, dropping the host gives the terminal back.
    tokio::select! {
        ended = drive(options, &mut screen, &mut host) => ended,
        () = terminal::told_to_end() => Ok(()),
    }
}

/// Runs the console on any backend.
///
/// # Errors
/// When the backend breaks.
pub async fn drive<B: Backend<Error = io::Error>>(
    options: ConsoleOptions,
    screen: &mut Terminal<B>,
    host: &mut impl Host,
) -> Result<(), ConsoleError> {
    let (sender, mut messages) = mpsc::channel(CHANNEL);
    let size: Size = screen.size()?;
    let theme = options.theme.clone();
    let mut model = Model::new(
        options.settings.clone(),
        options.keymap.clone(),
        size,
        Timestamp::now(),
    );
    model.zone = jiff::tz::TimeZone::system();
    let resized = draw_frame(&mut model, &theme, screen, host)?;
    let mut pace = Pace::new(Instant::now());
    let mut performer = Performer::start(options, sender);
    performer.perform(update::begin(&model));
    performer.perform(resized);
    let mut input = host.input();
    let mut redraw = false;
    loop {
        let wake = wake(&model, redraw, pace.due());
        let first = tokio::select! {
            biased;
            event = input.next() => match event {
                Some(event) => {
                    let event = event?;
                    let typed = matches!(event, Event::Key(_) | Event::Paste(_));
                    pace.asked(Instant::now(), typed);
                    redraw |= matches!(event, Event::Resize(..));
                    message(event)
                }
                // Nobody can press a key any more.
                None => return Ok(()),
            },
            message = messages.recv() => message,
            () = wake => None,
        };
        let mut wanted = Vec::new();
        let mut take = |msg| {
            let Effects {
                list,
                redraw: visible,
            } = update(&mut model, msg);
            wanted.extend(list);
            redraw |= visible;
        };
        if let Some(msg) = first {
            let began = Instant::now();
            take(msg);
            while began.elapsed() < BATCH
                && let Ok(msg) = messages.try_recv()
            {
                take(msg);
            }
        }
        // Last, so that the lists have followed the world before they are drawn.
        take(Msg::Tick(Timestamp::now()));
        if redraw && Instant::now() >= pace.due() {
            redraw = false;
            wanted.extend(draw_frame(&mut model, &theme, screen, host)?);
            pace.drawn(Instant::now());
        }
        for effect in wanted {
            match effect {
                Effect::Quit => return Ok(()),
                Effect::Notify(notice) => host.notify(&notice),
                Effect::Seen => host.seen(),
                Effect::Suspend => {
                    drop(input);
                    host.suspend()?;
                    retake(screen)?;
                    input = host.input();
                    redraw = true;
                }
                Effect::Edit(path, line) => {
                    drop(input);
                    let mut editor = terminal::editor(|name| std::env::var(name).ok(), &path, line);
                    if let Err(error) = host.lend(&mut editor) {
                        let program = editor.get_program().to_string_lossy().into_owned();
                        let sentence =
                            format!("{program} cannot be started ({error}); set VISUAL or EDITOR");
                        update(&mut model, Msg::Done(Outcome::Failed(sentence)));
                    }
                    retake(screen)?;
                    input = host.input();
                    redraw = true;
                }
                effect => performer.perform([effect]),
            }
        }
    }
}

/// How often frames are drawn: at once for a person, seldom for what moves by itself.
#[derive(Clone, Copy, Debug)]
struct Pace {
    drawn: Instant,
    lively_until: Instant,
    /// A key waits for the frame that answers it.
    waits: bool,
}

impl Pace {
    /// A first frame was drawn, and much is about to come.
    fn new(now: Instant) -> Self {
        Self {
            drawn: now,
            lively_until: now + LIVELY,
            waits: false,
        }
    }

    /// A person did something; turned a wheel, when nothing was typed.
    fn asked(&mut self, now: Instant, typed: bool) {
        self.lively_until = now + LIVELY;
        self.waits |= typed;
    }

    fn drawn(&mut self, now: Instant) {
        self.drawn = now;
        self.waits = false;
    }

    /// When the next frame may be drawn at the earliest.
    fn due(self) -> Instant {
        // The first frame after a long rest is due already, whoever asks for it.
        if self.waits {
            self.drawn + ANSWER
        } else if self.drawn < self.lively_until {
            self.drawn + FRAME
        } else {
            self.drawn + CALM
        }
    }
}

/// Clears a screen that another program had, so that the next frame draws all of it.
fn retake<B: Backend>(screen: &mut Terminal<B>) -> Result<(), B::Error> {
    let size = screen.size()?;
    // Not `clear`: that asks the terminal where its cursor is, and the answer would be taken for keys.
    screen.resize(Rect::new(0, 0, size.width, size.height))
}

/// Resolves when a frame is due or something visible changes by itself; never, when the screen can rest.
async fn wake(model: &Model, redraw: bool, due: Instant) {
    if redraw {
        tokio::time::sleep_until(due).await;
    } else if let Some(at) = model.next_wake() {
        let wait = at.duration_since(Timestamp::now());
        let moves = Instant::now() + Duration::try_from(wait).unwrap_or_default();
        // Not before it can be drawn.
        tokio::time::sleep_until(moves.max(due)).await;
    } else {
        std::future::pending::<()>().await;
    }
}

fn message(event: Event) -> Option<Msg> {
    Some(match event {
        Event::Key(key) if key.kind == KeyEventKind::Release => return None,
        Event::Key(key) => Msg::Key(key),
        Event::Mouse(mouse) => Msg::Mouse(mouse),
        Event::Paste(text) => Msg::Paste(text),
        // The next frame has the size.
        Event::Resize(..) => return None,
        Event::FocusGained => Msg::Focus(true),
        Event::FocusLost => Msg::Focus(false),
    })
}

/// Draws a frame. Returns the effects of a resize.
///
/// The frame is the only source of the size: ratatui adopts the terminal's size when it begins a frame, before or after
/// the event of the resize arrives.
fn draw_frame<B: Backend>(
    model: &mut Model,
    theme: &Theme,
    screen: &mut Terminal<B>,
    host: &mut impl Host,
) -> Result<Vec<Effect>, B::Error> {
    let mut effects = Vec::new();
    screen.draw(|frame| {
        let area = frame.area();
        if area.as_size() != model.size {
            effects = update(model, Msg::Resize(area.width, area.height)).list;
        }
        view::view(model, theme, area, frame.buffer_mut());
    })?;
    host.drawn();
    Ok(effects)
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use ratatui::backend::TestBackend;

    use super::{
        harness::{Harness, text_of},
        *,
    };

    struct NoHost;

    impl Host for NoHost {
        fn input(&mut self) -> BoxStream<'static, io::Result<Event>> {
            stream::empty().boxed()
        }

        fn suspend(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_frame_adopts_the_size_of_the_terminal() {
        let theme = Theme::of_scopes();
        let mut model = Harness::new(120, 40).model;
        let mut screen = Terminal::new(TestBackend::new(120, 40)).unwrap();
        // Smaller, too small, larger; no event of the resize has arrived.
        for (width, height) in [(96, 30), (20, 5), (200, 60)] {
            screen.backend_mut().resize(width, height);
            draw_frame(&mut model, &theme, &mut screen, &mut NoHost).unwrap();
            assert_eq!(model.size, Size::new(width, height));
            let expected = Harness::new(width, height).screen();
            assert_eq!(text_of(screen.backend().buffer()), expected);
        }
    }

    #[test]
    fn frames_follow_a_person_at_once_and_the_rest_ten_times_a_second() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut pace = Pace::new(start);
        // A frame at a time, then a key or a turn of the wheel, and how long after the frame the next one may come.
        for (frame, key, wait) in [
            (0, None, 16),
            (499, None, 16),
            (500, None, 100),
            (5_000, None, 100),
            (6_000, Some((6_000, false)), 16),
            (6_499, None, 16),
            (6_500, None, 100),
            // A key after the frame: its answer is not kept waiting, and what follows the answer comes soon.
            (7_000, Some((7_001, true)), 2),
            (7_002, None, 16),
        ] {
            pace.drawn(start + ms(frame));
            if let Some((key, typed)) = key {
                pace.asked(start + ms(key), typed);
            }
            assert_eq!(pace.due(), start + ms(frame + wait), "frame at {frame}");
        }
    }
}
