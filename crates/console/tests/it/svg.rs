//! Renders a screen as SVG: selectable text in runs of one style, in a window, with any monospaced font.

use std::fmt::Write;

use ratatui::{
    buffer::{Buffer, Cell},
    style::{Color, Modifier},
};

use flightdeck_console::theme::colour;

/// Size of a cell in pixels.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 19.0;
/// Margin of the screen and height of the title bar, in pixels.
const PAD: f64 = 14.0;
const BAR: f64 = 30.0;

/// Returns the SVG. `ground` and `ink` are the default background and foreground.
pub(crate) fn render(buffer: &Buffer, title: &str, ground: Color, ink: Color) -> String {
    let (columns, rows) = (buffer.area.width, buffer.area.height);
    let (width, height) = (
        f64::from(columns) * WIDTH + 2.0 * PAD,
        f64::from(rows) * HEIGHT + BAR + PAD,
    );
    let mut out = String::new();
    let ground_hex = hex(ground);
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" font-family="ui-monospace, 'JetBrains Mono', 'Cascadia Mono', 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14">"#
    )
    .unwrap();
    writeln!(out, "<title>{}</title>", escape(title)).unwrap();
    writeln!(
        out,
        r##"<rect x="0.5" y="0.5" width="{:.0}" height="{:.0}" rx="9" fill="{ground_hex}" stroke="#7f7f7f" stroke-opacity="0.45"/>"##,
        width - 1.0,
        height - 1.0
    )
    .unwrap();
    for (index, colour) in ["#ff5f57", "#febc2e", "#28c840"].iter().enumerate() {
        let x = 18.0 + 18.0 * index as f64;
        writeln!(out, r#"<circle cx="{x}" cy="15" r="5.5" fill="{colour}"/>"#).unwrap();
    }
    writeln!(
        out,
        r#"<text x="{:.0}" y="20" text-anchor="middle" font-size="12" fill="{}" fill-opacity="0.55">{}</text>"#,
        width / 2.0,
        hex(ink),
        escape(title)
    )
    .unwrap();
    for y in 0..rows {
        let top = BAR + f64::from(y) * HEIGHT;
        let runs = runs(buffer, y, ground, ink);
        for run in runs.iter().filter(|run| run.look.ground != ground) {
            writeln!(
                out,
                r#"<rect x="{:.1}" y="{top:.1}" width="{:.1}" height="{HEIGHT}" fill="{}"/>"#,
                PAD + f64::from(run.from) * WIDTH,
                f64::from(run.columns) * WIDTH,
                hex(run.look.ground)
            )
            .unwrap();
        }
        for run in runs.iter().filter(|run| !run.text.trim().is_empty()) {
            let lead = run.text.len() - run.text.trim_start().len();
            let x = PAD + (f64::from(run.from) + lead as f64) * WIDTH;
            let text = run.text.trim();
            let columns = flightdeck_core::text::width(text) as f64;
            writeln!(
                out,
                r#"<text x="{x:.1}" y="{:.1}" textLength="{:.1}" fill="{}"{} xml:space="preserve">{}</text>"#,
                top + 14.0,
                columns * WIDTH,
                hex(run.look.ink),
                run.look.attributes(),
                escape(text)
            )
            .unwrap();
        }
    }
    out.push_str("</svg>\n");
    out
}

#[derive(Clone, Copy, PartialEq)]
struct Look {
    ink: Color,
    ground: Color,
    modifiers: Modifier,
}

impl Look {
    fn of(cell: &Cell, ground: Color, ink: Color) -> Self {
        let own = |colour: Color, other: Color| {
            if colour == Color::Reset {
                other
            } else {
                colour
            }
        };
        let (mut front, mut back) = (own(cell.fg, ink), own(cell.bg, ground));
        if cell.modifier.contains(Modifier::REVERSED) {
            std::mem::swap(&mut front, &mut back);
        }
        Self {
            ink: front,
            ground: back,
            modifiers: cell.modifier - Modifier::REVERSED,
        }
    }

    fn attributes(self) -> String {
        let mut out = String::new();
        for (modifier, words) in [
            (Modifier::BOLD, r#" font-weight="700""#),
            (Modifier::ITALIC, r#" font-style="italic""#),
            (Modifier::UNDERLINED, r#" text-decoration="underline""#),
            (Modifier::CROSSED_OUT, r#" text-decoration="line-through""#),
            (Modifier::DIM, r#" fill-opacity="0.6""#),
        ] {
            if self.modifiers.contains(modifier) {
                out.push_str(words);
            }
        }
        out
    }
}

struct Run {
    from: u16,
    columns: u16,
    text: String,
    look: Look,
}

/// Returns the runs of one style. A character that fonts may draw wider or narrower is a run of its own, so that the
/// text after it stays in its column.
fn runs(buffer: &Buffer, y: u16, ground: Color, ink: Color) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::new();
    let mut alone = true;
    let mut x = 0;
    while x < buffer.area.width {
        let cell = &buffer[(x, y)];
        let look = Look::of(cell, ground, ink);
        let columns = flightdeck_core::text::width(cell.symbol()).max(1) as u16;
        let plain = cell.symbol().is_ascii() || cell.symbol().starts_with(['─', '│']);
        match out.last_mut() {
            Some(last) if last.look == look && plain && !alone => {
                last.text.push_str(cell.symbol());
                last.columns += columns;
            }
            _ => out.push(Run {
                from: x,
                columns,
                text: cell.symbol().to_owned(),
                look,
            }),
        }
        alone = !plain;
        x += columns;
    }
    out
}

fn hex(colour: Color) -> String {
    let (r, g, b) = colour::rgb(colour).unwrap_or((200, 200, 200));
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
