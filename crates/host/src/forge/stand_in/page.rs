//! The web page of a pull request.

use std::fmt::Write;

use super::store::StoredPull;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:3rem auto;padding:0 1rem;color:#1f2328;background:#fff}\
code{background:#eff1f3;padding:.1em .35em;border-radius:.3em}\
pre{white-space:pre-wrap;background:#f6f8fa;padding:1rem;border-radius:.5rem}\
.state{color:#fff;padding:.15em .7em;border-radius:1em}\
.open{background:#1a7f37}.merged{background:#8250df}.closed{background:#cf222e}\
small{color:#59636e}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}code,pre{background:#161b22}small{color:#9198a1}}";

/// Renders the page of a pull request.
pub(super) fn pull(stored: &StoredPull) -> String {
    let state = match (stored.merged.is_some(), stored.closed) {
        (true, _) => "merged",
        (_, true) => "closed",
        _ => "open",
    };
    let mut page = format!(
        "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>#{number} {title}</title>\
         <style>{STYLE}</style><h1>{title} <small>#{number}</small></h1>\
         <p><span class=\"state {state}\">{state}</span> <code>{base}</code> ← <code>{head}</code></p>",
        number = stored.number,
        title = escape(&stored.title),
        base = escape(&stored.base),
        head = escape(&stored.head),
    );
    for (name, words) in [
        ("Labels", &stored.labels),
        ("Reviewers", &stored.reviewers),
        ("Teams", &stored.teams),
    ] {
        if !words.is_empty() {
            let _ = write!(page, "<p>{name}: {}</p>", escape(&words.join(", ")));
        }
    }
    let _ = write!(
        page,
        "<pre>{}</pre><p><small>{} · served by Flightdeck's local GitHub stand-in</small></p>",
        escape(&stored.body),
        escape(&stored.repository),
    );
    page
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}
