//! Ages as arguments: `90s`, `15m`, `12h`, `3d`.

/// Parses an age. Returns seconds.
#[must_use]
pub fn parse_age(age: &str) -> Option<i64> {
    let unit = age.chars().last()?;
    let number: i64 = age[..age.len() - unit.len_utf8()]
        .parse()
        .ok()
        .filter(|number| *number >= 0)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_units_and_rejects_everything_else() {
        assert_eq!(
            ["90s", "15m", "12h", "3d"].map(parse_age),
            [Some(90), Some(900), Some(43_200), Some(259_200)]
        );
        assert_eq!(
            ["", "d", "-1d", "3w", "9999999999999999999d", "1é"].map(parse_age),
            [None; 6]
        );
    }
}
