//! The browser and the clipboard. Output of child processes never reaches the screen.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::performer::Performer;
use crate::effect::{DesktopEffect, Outcome};

/// Largest payload of an OSC 52 sequence that terminals accept, in bytes.
const CLIPBOARD_LIMIT: usize = 74_994;

pub(super) fn perform(performer: &mut Performer, effect: DesktopEffect) {
    let result = match effect {
        DesktopEffect::Browse(url) => browse(&url, |name| std::env::var(name).ok()).map(|()| None),
        DesktopEffect::Copy(text) => {
            copy(&text, std::io::stdout()).map(|()| Some(Outcome::Copied(text)))
        }
    };
    let outcome = result.unwrap_or_else(|sentence| Some(Outcome::Failed(sentence)));
    if let Some(outcome) = outcome {
        performer.spawn_detached(async move { outcome });
    }
}

/// Opens a URL in the user's browser, detached.
fn browse(url: &str, get: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(format!("{url} is not a web address"));
    }
    let program = get("BROWSER").filter(|browser| !browser.is_empty());
    let program = program.unwrap_or_else(|| {
        if cfg!(target_os = "macos") {
            "open"
        } else {
            "xdg-open"
        }
        .into()
    });
    // BROWSER may list several programs; use the first.
    let program = program.split(':').next().unwrap_or(&program).to_owned();
    Command::new(&program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map(|mut child| {
            std::thread::spawn(move || child.wait());
        })
        .map_err(|error| format!("cannot start {program}: {error}; open {url}"))
}

/// Copies text to the clipboard by OSC 52, which also works over SSH.
fn copy(text: &str, mut out: impl Write) -> Result<(), String> {
    let encoded = STANDARD.encode(text);
    if encoded.len() > CLIPBOARD_LIMIT {
        return Err("text is too long for the terminal's clipboard".into());
    }
    write!(out, "\x1b]52;c;{encoded}\x07")
        .and_then(|()| out.flush())
        .map_err(|error| format!("clipboard: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_only_web_addresses() {
        let error = browse("file:///etc/passwd", |_| None).unwrap_err();
        assert_eq!(error, "file:///etc/passwd is not a web address");
    }

    #[test]
    fn copied_text_cannot_end_the_sequence() {
        let mut out = Vec::new();
        copy("a\x07\x1b]0;x", &mut out).unwrap();
        let body = &out[7..out.len() - 1];
        assert!(body.iter().all(u8::is_ascii_graphic));
    }
}
