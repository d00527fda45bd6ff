//! What the desktop around the terminal does: browser and clipboard. Nothing a child prints reaches the screen.

use std::{
    io::Write,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};

/// Most bytes of an OSC 52 sequence that terminals take.
const CLIPBOARD_LIMIT: usize = 74_994;

/// Opens an address in the person's browser, detached.
pub(super) fn browse(url: &str, get: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(format!("{url} is no web address"));
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
    // Several browsers may be listed; the first one is asked.
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
        .map_err(|error| format!("{program} cannot be started ({error}); the address is {url}"))
}

/// Puts text on the clipboard of the terminal the person sits at, also through ssh.
pub(super) fn copy(text: &str, mut out: impl Write) -> Result<(), String> {
    let encoded = STANDARD.encode(text);
    if encoded.len() > CLIPBOARD_LIMIT {
        return Err("that is more than a terminal's clipboard takes".into());
    }
    write!(out, "\x1b]52;c;{encoded}\x07")
        .and_then(|()| out.flush())
        .map_err(|error| format!("the clipboard: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_opened() {
        let error = browse("file:///etc/passwd", |_| None).unwrap_err();
        assert_eq!(error, "file:///etc/passwd is no web address");
    }

    #[test]
    fn what_is_copied_cannot_break_out_of_the_sequence() {
        let mut out = Vec::new();
        copy("a\x07\x1b]0;x", &mut out).unwrap();
        let body = &out[7..out.len() - 1];
        assert!(body.iter().all(u8::is_ascii_graphic));
    }
}
