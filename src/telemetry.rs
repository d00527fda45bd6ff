//! What this program logs: one line an event, to where the front end says, and never a credential.
//!
//! Must not know: who logs, or what.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use flightdeck_core::text;

/// Form of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for what collects logs.
    Json,
}

/// Sends events to `writer` from now on. `FLIGHTDECK_LOG` chooses which (`flightdeck=debug`).
pub fn log<W>(writer: W, format: LogFormat)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = tracing_subscriber::EnvFilter::try_from_env("FLIGHTDECK_LOG")
        .unwrap_or_else(|_| "flightdeck=info,warn".into());
    let to = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(Discreet(writer));
    match format {
        LogFormat::Text => to.init(),
        LogFormat::Json => to.json().flatten_event(true).init(),
    }
}

/// Writers whose lines are rid of credentials.
struct Discreet<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Discreet<W> {
    type Writer = Lines<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines {
            inner: self.0.make_writer(),
            line: Vec::new(),
        }
    }
}

/// One event; it is written when it is whole, so that no credential is cut in two and missed.
struct Lines<W: Write> {
    inner: W,
    line: Vec<u8>,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            let line = String::from_utf8_lossy(&line);
            self.inner
                .write_all(text::redact_secrets(&line).as_bytes())?;
        }
        self.inner.flush()
    }
}

impl<W: Write> Drop for Lines<W> {
    fn drop(&mut self) {
        // A log that cannot be written has nobody to tell.
        drop(self.flush());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_token_that_is_written_in_pieces_is_not_logged() {
        let kept = Kept::default();
        let sink = kept.clone();
        let discreet = Discreet(move || sink.clone());
        let mut line = discreet.make_writer();
        line.write_all(b"cannot clone https://ada:hunt").unwrap();
        line.write_all(b"er2@github.com/acme/shop\n").unwrap();
        drop(line);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "cannot clone https://\u{2026}@github.com/acme/shop\n");
    }
}
