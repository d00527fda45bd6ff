//! Formats amounts as short text.

/// Formats millionths of a US dollar: `$0.42`.
pub(crate) fn dollars(micro: i64) -> String {
    format!("${:.2}", micro as f64 / 1e6)
}

/// Formats a large number: `950`, `41k`, `1.2M`.
pub(crate) fn compact(n: i64) -> String {
    match n {
        ..1_000 => n.to_string(),
        1_000..1_000_000 => format!("{}k", n / 1_000),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}
