//! How a terminal is told that something happened while nobody looked: the bell, the title, and the sequence it shows as
//! a message of the desktop. All of it goes through the terminal, so that it works over SSH as well.

use std::io::{self, Write};

use crate::effect::Notice;
use flightdeck_core::text;

/// Most columns of a title or a message: what desktops show of one.
const MOST: usize = 160;

/// Which sequence shows a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// `OSC 9 ; text`: iTerm2, Windows Terminal, kitty, mintty ...
    Osc9,
    /// `OSC 777 ; notify ; title ; text`: rxvt, foot, WezTerm, Ghostty, terminals on VTE ...
    Osc777,
}

/// What a terminal is told, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notifier {
    /// `None`: the bell and the title alone.
    sequence: Option<Sequence>,
    /// tmux hands on only what is wrapped for it, and only where its `allow-passthrough` is on.
    tmux: bool,
    /// The title is ours; the one before waits on the terminal's own stack.
    titled: bool,
}

impl Notifier {
    /// As the setting `ui.notify` says, and the surroundings where that is `auto`; `None` for `off`. `get` looks up a
    /// variable.
    #[must_use]
    pub fn new(setting: &str, get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let sequence = match setting {
            "off" => return None,
            "bell" => None,
            "osc9" => Some(Sequence::Osc9),
            "osc777" => Some(Sequence::Osc777),
            _ => Some(guess(&get)),
        };
        Some(Self {
            sequence,
            tmux: get("TMUX").is_some_and(|value| !value.is_empty()),
            titled: false,
        })
    }

    /// Says it.
    pub fn say(&mut self, notice: &Notice, out: &mut impl Write) -> io::Result<()> {
        let words = |text: &str| {
            // Between the parts of a sequence stands a semicolon.
            let text = text::sanitize(text).replace(';', ",");
            text::cut_end(&text, MOST).into_owned()
        };
        let (title, body) = (words(&notice.title), words(&notice.body));
        if !self.titled {
            self.titled = true;
            // The title there was, onto the terminal's stack.
            out.write_all(b"\x1b[22;2t")?;
        }
        write!(out, "\x1b]2;{title}\x1b\\")?;
        let message = match self.sequence {
            None => String::new(),
            Some(Sequence::Osc9) => format!("\x1b]9;{title}: {body}\x1b\\"),
            Some(Sequence::Osc777) => format!("\x1b]777;notify;{title};{body}\x1b\\"),
        };
        if self.tmux && !message.is_empty() {
            let doubled = message.replace('\x1b', "\x1b\x1b");
            write!(out, "\x1bPtmux;{doubled}\x1b\\")?;
        } else {
            out.write_all(message.as_bytes())?;
        }
        out.write_all(b"\x07")?;
        out.flush()
    }

    /// Gives the terminal the title back that it had; nothing when it was never taken.
    pub fn seen(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !std::mem::take(&mut self.titled) {
            return Ok(());
        }
        // Empty first: a terminal without a stack keeps no stale words.
        out.write_all(b"\x1b]2;\x1b\\\x1b[23;2t")?;
        out.flush()
    }
}

/// The sequence that the terminal most likely knows.
fn guess(get: &impl Fn(&str) -> Option<String>) -> Sequence {
    let set = |name: &str| get(name).is_some_and(|value| !value.is_empty());
    let program = get("TERM_PROGRAM").unwrap_or_default();
    let term = get("TERM").unwrap_or_default();
    let knows_777 = ["WezTerm", "ghostty"].contains(&program.as_str())
        || set("VTE_VERSION")
        || ["foot", "rxvt", "ghostty"]
            .iter()
            .any(|name| term.contains(name));
    if knows_777 {
        Sequence::Osc777
    } else {
        Sequence::Osc9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        Notice {
            title: "docs-1 needs you".into(),
            body: "waits; \x1b]52;c;x\x07 for leave\n".into(),
        }
    }

    fn said(notifier: &mut Notifier) -> String {
        let mut out = Vec::new();
        notifier.say(&notice(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn notifier(setting: &str, variables: &[(&str, &str)]) -> Notifier {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Notifier::new(setting, get).unwrap()
    }

    #[test]
    fn a_terminal_is_told_in_the_way_it_knows() {
        let osc9 = said(&mut notifier("auto", &[("TERM", "xterm-256color")]));
        assert_eq!(
            osc9,
            "\x1b[22;2t\x1b]2;docs-1 needs you\x1b\\\x1b]9;docs-1 needs you: waits, ␛]52,c,x␇ for leave⏎\x1b\\\x07"
        );
        let osc777 = said(&mut notifier("auto", &[("TERM", "foot")]));
        assert!(
            osc777.contains("\x1b]777;notify;docs-1 needs you;waits, ␛]52,c,x␇ for leave⏎\x1b\\"),
            "{osc777:?}"
        );
        assert!(!said(&mut notifier("bell", &[])).contains("]9;"));
        assert_eq!(Notifier::new("off", |_| None), None);
    }

    #[test]
    fn inside_tmux_it_is_wrapped_for_the_terminal_outside() {
        let said = said(&mut notifier(
            "osc9",
            &[("TMUX", "/tmp/tmux-0/default,1,0")],
        ));
        assert!(
            said.contains("\x1bPtmux;\x1b\x1b]9;docs-1 needs you")
                && said.contains("\x1b\x1b\\\x1b\\"),
            "{said:?}"
        );
        assert!(said.contains("\x1b]2;docs-1"), "tmux has a title itself");
    }

    #[test]
    fn the_title_is_taken_once_and_given_back_once() {
        let mut notifier = notifier("bell", &[]);
        let mut out = Vec::new();
        notifier.seen(&mut out).unwrap();
        assert!(out.is_empty(), "nothing was taken");
        assert!(said(&mut notifier).starts_with("\x1b[22;2t"));
        assert!(!said(&mut notifier).contains("\x1b[22;2t"));
        notifier.seen(&mut out).unwrap();
        assert_eq!(out, b"\x1b]2;\x1b\\\x1b[23;2t");
        out.clear();
        notifier.seen(&mut out).unwrap();
        assert!(out.is_empty());
    }
}
