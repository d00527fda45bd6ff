//! Formatting of cells: ages and missing values.

use jiff::Timestamp;
use serde_json::Value;

/// Placeholder of a missing value.
pub(super) const NONE: &str = "<none>";
const UNKNOWN: &str = "<unknown>";
const INVALID: &str = "<invalid>";

/// Returns the time since `time`; `<unknown>` if there is none.
pub(super) fn since(time: &Value, now: Timestamp) -> String {
    match time.as_str().unwrap_or_default() {
        "" => UNKNOWN.to_owned(),
        text => text
            .parse::<Timestamp>()
            .map_or_else(|_| INVALID.to_owned(), |time| between(time, now)),
    }
}

/// Returns the duration between two times, in at most two units.
pub(super) fn between(from: Timestamp, to: Timestamp) -> String {
    human(to.as_second() - from.as_second())
}

/// Returns `text`, or `<none>` if it is empty.
pub(super) fn or_none(text: &str) -> Value {
    if text.is_empty() { NONE } else { text }.into()
}

/// Formats a duration like Kubernetes: exact when short, rounded when long.
fn human(seconds: i64) -> String {
    let two = |big: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{big}{unit}")
        } else {
            format!("{big}{unit}{small}{small_unit}")
        }
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    match (seconds, hours) {
        (..-1, _) => INVALID.to_owned(),
        (-1, _) => "0s".to_owned(),
        (0..120, _) => format!("{seconds}s"),
        (120..600, _) => two(minutes, "m", seconds % 60, "s"),
        (600..10_800, _) => format!("{minutes}m"),
        (_, ..8) => two(hours, "h", minutes % 60, "m"),
        (_, 8..48) => format!("{hours}h"),
        (_, 48..192) => two(days, "d", hours % 24, "h"),
        (_, 192..17_520) => format!("{days}d"),
        (_, 17_520..70_080) => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_ages_like_kubernetes() {
        const HOUR: i64 = 3600;
        const DAY: i64 = 24 * HOUR;
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (10 * 60 + 5, "10m"),
            (3 * HOUR, "3h"),
            (3 * HOUR + 61, "3h1m"),
            (9 * HOUR + 61, "9h"),
            (2 * DAY, "2d"),
            (2 * DAY + HOUR, "2d1h"),
            (9 * DAY + HOUR, "9d"),
            (800 * DAY, "2y70d"),
            (9 * 365 * DAY, "9y"),
        ] {
            assert_eq!(human(seconds), expected, "{seconds}");
        }
        assert_eq!(since(&Value::Null, Timestamp::UNIX_EPOCH), "<unknown>");
        assert_eq!(
            since(&"yesterday".into(), Timestamp::UNIX_EPOCH),
            "<invalid>"
        );
    }
}
