//! The patch of refused work in the log of publish.

/// The line before the patch.
pub const BEGIN: &str = "----- BEGIN PATCH -----";
/// The line after the patch.
pub const END: &str = "----- END PATCH -----";

/// Returns the last complete patch among log lines, with a final newline; `None` if there is none.
pub fn find<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let (mut current, mut last) = (None, None);
    for line in lines {
        match (line, &mut current) {
            (BEGIN, _) => current = Some(String::new()),
            (END, _) => last = current.take().or(last),
            (line, Some(patch)) => {
                patch.push_str(line);
                patch.push('\n');
            }
            _ => {}
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_last_complete_patch() {
        let log = [
            "Cloning.", BEGIN, "old", END, BEGIN, "+a", " ", END, BEGIN, "cut off",
        ];
        assert_eq!(find(log).as_deref(), Some("+a\n \n"));
        assert_eq!(find(["a", END]), None);
    }
}
