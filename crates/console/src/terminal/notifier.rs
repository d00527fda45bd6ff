//! Desktop notifications by escape sequences, so that they work over SSH: the bell, the window title, and OSC 9 or
//! OSC 777.

use std::io::{self, Write};

use crate::effect::Notice;
use flightdeck_core::text;

/// Columns of a title or a message; desktops show no more.
const LIMIT: usize = 160;

/// The escape sequence of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sequence {
    /// `OSC 9 ; text`: iTerm2, Windows Terminal, kitty, mintty ...
    Osc9,
    /// `OSC 777 ; notify ; title ; text`: rxvt, foot, WezTerm, Ghostty, terminals on VTE ...
    Osc777,
}

/// Sends notifications to the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notifier {
    /// `None` for the bell and the title only.
    sequence: Option<Sequence>,
    /// Wrap the sequence for tmux, which forwards it if `allow-passthrough` is on.
    tmux: bool,
    /// The title is replaced; the previous one is on the terminal's title stack.
    title_set: bool,
}

impl Notifier {
    /// Creates a notifier from the setting `ui.notify`; `None` for `off`. For `auto`, `get` looks up environment variables
    /// to detect the terminal.
    #[must_use]
    pub fn new(setting: &str, get: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let sequence = match setting {
            "off" => return None,
            "bell" => None,
            "osc9" => Some(Sequence::Osc9),
            "osc777" => Some(Sequence::Osc777),
            _ => Some(detect(&get)),
        };
        Some(Self {
            sequence,
            tmux: get("TMUX").is_some_and(|value| !value.is_empty()),
            title_set: false,
        })
    }

    /// Sends a notification.
    pub fn notify(&mut self, notice: &Notice, out: &mut impl Write) -> io::Result<()> {
        let words = |text: &str| {
            // A semicolon separates the parts of a sequence.
            let text = text::sanitize(text).replace(';', ",");
            text::cut_end(&text, LIMIT).into_owned()
        };
        let (title, body) = (words(&notice.title), words(&notice.body));
        if !self.title_set {
            self.title_set = true;
            // Push the current title onto the terminal's stack.
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

    /// Restores the previous title, if it was replaced.
    pub fn restore_title(&mut self, out: &mut impl Write) -> io::Result<()> {
        if !std::mem::take(&mut self.title_set) {
            return Ok(());
        }
        // Clear the title first, for terminals without a title stack.
        out.write_all(b"\x1b]2;\x1b\\\x1b[23;2t")?;
        out.flush()
    }
}

/// Returns the sequence that the terminal most likely supports.
fn detect(get: &impl Fn(&str) -> Option<String>) -> Sequence {
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
            title: "docs-1 needs attention".into(),
            body: "waits; \x1b]52;c;x\x07 for leave\n".into(),
        }
    }

    fn sent(notifier: &mut Notifier) -> String {
        let mut out = Vec::new();
        notifier.notify(&notice(), &mut out).unwrap();
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
    fn sequence_matches_terminal() {
        let osc9 = sent(&mut notifier("auto", &[("TERM", "xterm-256color")]));
        assert_eq!(
            osc9,
            "\x1b[22;2t\x1b]2;docs-1 needs attention\x1b\\\x1b]9;docs-1 needs attention: waits, ␛]52,c,x␇ for leave⏎\x1b\\\x07"
        );
        let osc777 = sent(&mut notifier("auto", &[("TERM", "foot")]));
        assert!(
            osc777.contains(
                "\x1b]777;notify;docs-1 needs attention;waits, ␛]52,c,x␇ for leave⏎\x1b\\"
            ),
            "{osc777:?}"
        );
        assert!(!sent(&mut notifier("bell", &[])).contains("]9;"));
        assert_eq!(Notifier::new("off", |_| None), None);
    }

    #[test]
    fn wraps_sequence_inside_tmux() {
        let sent = sent(&mut notifier(
            "osc9",
            &[("TMUX", "/tmp/tmux-0/default,1,0")],
        ));
        assert!(
            sent.contains("\x1bPtmux;\x1b\x1b]9;docs-1 needs attention")
                && sent.contains("\x1b\x1b\\\x1b\\"),
            "{sent:?}"
        );
        assert!(sent.contains("\x1b]2;docs-1"), "tmux has its own title");
    }

    #[test]
    fn saves_and_restores_title_once() {
        let mut notifier = notifier("bell", &[]);
        let mut out = Vec::new();
        notifier.restore_title(&mut out).unwrap();
        assert!(out.is_empty(), "the title was not replaced");
        assert!(sent(&mut notifier).starts_with("\x1b[22;2t"));
        assert!(!sent(&mut notifier).contains("\x1b[22;2t"));
        notifier.restore_title(&mut out).unwrap();
        assert_eq!(out, b"\x1b]2;\x1b\\\x1b[23;2t");
        out.clear();
        notifier.restore_title(&mut out).unwrap();
        assert!(out.is_empty());
    }
}
