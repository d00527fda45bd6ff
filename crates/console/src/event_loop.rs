//! The event loop: reads events, updates the model, performs effects, draws frames.

use std::{io, time::Duration};

use crossterm::event::{Event, KeyEventKind};
use futures::StreamExt;
use jiff::Timestamp;
use ratatui::{
    Terminal,
    backend::Backend,
    layout::{Rect, Size},
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    connection::ConsoleOptions,
    effect::{Effect, Effects, Outcome, TerminalEffect},
    model::Model,
    msg::Msg,
    perform::Performer,
    terminal::{self, ConsoleError, TerminalIo},
    theme::Theme,
    update::{self, update},
    view,
};

/// Capacity of the message channel; senders wait when it is full.
const CHANNEL: usize = 64;
/// Longest time spent on messages before the next frame and the next key.
const BATCH: Duration = Duration::from_millis(8);
/// Minimum interval before the frame that answers a key. Short enough that held keys and pasted text appear immediate.
const KEY_FRAME: Duration = Duration::from_millis(2);
/// Minimum frame interval while the user is active.
const ACTIVE_FRAME: Duration = Duration::from_millis(16);
/// Minimum frame interval while idle: all animations share one frame, at most 10 Hz.
const IDLE_FRAME: Duration = Duration::from_millis(100);
/// How long after an event the user counts as active.
const ACTIVE_FOR: Duration = Duration::from_millis(500);

/// Runs the console in the terminal of this process until the user quits.
///
/// # Errors
/// If the terminal is unsuitable, or fails.
pub async fn run(options: ConsoleOptions) -> Result<(), ConsoleError> {
    terminal::check(|name| std::env::var(name).ok())?;
    let ui = &options.settings.ui;
    let notifier = terminal::Notifier::new(&ui.notify, |name| std::env::var(name).ok());
    let (mut screen, mut tty) = terminal::open(ui.mouse, notifier)?;
    // Dropping `tty` restores the terminal, whichever branch ends first.
    tokio::select! {
        ended = drive(options, &mut screen, &mut tty) => ended,
        () = terminal::termination() => Ok(()),
    }
}

/// Runs the console on any backend.
///
/// # Errors
/// If the backend fails.
pub async fn drive<B: Backend<Error = io::Error>>(
    options: ConsoleOptions,
    screen: &mut Terminal<B>,
    tty: &mut impl TerminalIo,
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
    let resized = draw_frame(&mut model, &theme, screen, tty)?;
    let mut pace = Pace::new(Instant::now());
    let mut performer = Performer::start(options, sender);
    performer.perform(update::initial_effects(&model));
    performer.perform(resized);
    let mut input = tty.input();
    let mut redraw = false;
    loop {
        let wake = wake(&model, redraw, pace.due());
        let first = tokio::select! {
            biased;
            event = input.next() => match event {
                Some(event) => {
                    let event = event?;
                    let typed = matches!(event, Event::Key(_) | Event::Paste(_));
                    pace.input(Instant::now(), typed);
                    redraw |= matches!(event, Event::Resize(..));
                    message(event)
                }
                // The input is closed.
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
        // The tick comes last: it refreshes the lists from the world before they are drawn.
        take(Msg::Tick(Timestamp::now()));
        if redraw && Instant::now() >= pace.due() {
            redraw = false;
            wanted.extend(draw_frame(&mut model, &theme, screen, tty)?);
            pace.drawn(Instant::now());
        }
        for effect in wanted {
            let effect = match effect {
                Effect::Terminal(effect) => effect,
                effect => {
                    performer.perform([effect]);
                    continue;
                }
            };
            match effect {
                TerminalEffect::Quit => return Ok(()),
                TerminalEffect::Notify(notice) => tty.notify(&notice),
                TerminalEffect::ClearNotice => tty.clear_notice(),
                TerminalEffect::Suspend => {
                    // Stop reading, so that the shell gets the keys.
                    drop(input);
                    tty.suspend()?;
                    reset_screen(screen)?;
                    input = tty.input();
                    redraw = true;
                }
                TerminalEffect::Edit(path, line) => {
                    drop(input);
                    let mut editor = terminal::editor(|name| std::env::var(name).ok(), &path, line);
                    if let Err(error) = tty.run_program(&mut editor) {
                        let program = editor.get_program().to_string_lossy().into_owned();
                        let sentence =
                            format!("cannot start {program}: {error}; set VISUAL or EDITOR");
                        update(&mut model, Msg::Done(Outcome::Failed(sentence)));
                    }
                    reset_screen(screen)?;
                    input = tty.input();
                    redraw = true;
                }
            }
        }
    }
}

/// The frame rate: high while the user is active, low for animations.
#[derive(Clone, Copy, Debug)]
struct Pace {
    drawn: Instant,
    active_until: Instant,
    /// A key was pressed since the last frame.
    key_pending: bool,
}

impl Pace {
    /// Starts active: the first data is about to arrive.
    fn new(now: Instant) -> Self {
        Self {
            drawn: now,
            active_until: now + ACTIVE_FOR,
            key_pending: false,
        }
    }

    /// Records an input event; `typed` for keys and pasted text, but not the mouse.
    fn input(&mut self, now: Instant, typed: bool) {
        self.active_until = now + ACTIVE_FOR;
        self.key_pending |= typed;
    }

    fn drawn(&mut self, now: Instant) {
        self.drawn = now;
        self.key_pending = false;
    }

    /// The earliest time of the next frame. After a long idle period this is in the past.
    fn due(self) -> Instant {
        if self.key_pending {
            self.drawn + KEY_FRAME
        } else if self.drawn < self.active_until {
            self.drawn + ACTIVE_FRAME
        } else {
            self.drawn + IDLE_FRAME
        }
    }
}

/// Clears the screen after another program used it, so that the next frame is drawn completely.
fn reset_screen<B: Backend>(screen: &mut Terminal<B>) -> Result<(), B::Error> {
    let size = screen.size()?;
    // Not `clear`: it queries the cursor position, and the answer would be read as keys.
    screen.resize(Rect::new(0, 0, size.width, size.height))
}

/// Resolves when a frame is due or the next animation step is reached; never while the screen is static.
async fn wake(model: &Model, redraw: bool, due: Instant) {
    if redraw {
        tokio::time::sleep_until(due).await;
    } else if let Some(at) = model.next_wake() {
        let wait = at.duration_since(Timestamp::now());
        let at = Instant::now() + Duration::try_from(wait).unwrap_or_default();
        tokio::time::sleep_until(at.max(due)).await;
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
        // The next frame reads the size from the terminal.
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
    tty: &mut impl TerminalIo,
) -> Result<Vec<Effect>, B::Error> {
    let mut effects = Vec::new();
    screen.draw(|frame| {
        let area = frame.area();
        if area.as_size() != model.size {
            effects = update(model, Msg::Resize(area.width, area.height)).list;
        }
        view::view(model, theme, area, frame.buffer_mut());
    })?;
    tty.drawn();
    Ok(effects)
}

#[cfg(test)]
mod tests {
    use futures::stream::{self, BoxStream};
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::harness::{Harness, text_of};

    struct NoTerminal;

    impl TerminalIo for NoTerminal {
        fn input(&mut self) -> BoxStream<'static, io::Result<Event>> {
            stream::empty().boxed()
        }

        fn suspend(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn frame_adopts_terminal_size() {
        let theme = Theme::of_scopes();
        let mut model = Harness::new(120, 40).model;
        let mut screen = Terminal::new(TestBackend::new(120, 40)).unwrap();
        // Smaller, too small, larger; no event of the resize has arrived.
        for (width, height) in [(96, 30), (20, 5), (200, 60)] {
            screen.backend_mut().resize(width, height);
            draw_frame(&mut model, &theme, &mut screen, &mut NoTerminal).unwrap();
            assert_eq!(model.size, Size::new(width, height));
            let expected = Harness::new(width, height).screen();
            assert_eq!(text_of(screen.backend().buffer()), expected);
        }
    }

    #[test]
    fn frame_rate_follows_user_activity() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let mut pace = Pace::new(start);
        // Time of a frame; an input event with its time and whether it was typed; wait until the next frame.
        for (frame, event, wait) in [
            (0, None, 16),
            (499, None, 16),
            (500, None, 100),
            (5_000, None, 100),
            (6_000, Some((6_000, false)), 16),
            (6_499, None, 16),
            (6_500, None, 100),
            // A key after the frame is answered immediately.
            (7_000, Some((7_001, true)), 2),
            (7_002, None, 16),
        ] {
            pace.drawn(start + ms(frame));
            if let Some((at, typed)) = event {
                pace.input(start + ms(at), typed);
            }
            assert_eq!(pace.due(), start + ms(frame + wait), "frame at {frame}");
        }
    }
}
