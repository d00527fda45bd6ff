//! The state of a Task Master project: its current tag.

use serde::Deserialize;

use super::DEFAULT_TAG;

/// Returns the current tag in `.taskmaster/state.json`; `master` if there is no file, no tag, or the file is being
/// written.
#[must_use]
pub fn parse_current_tag(state_json: Option<&[u8]>) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct State {
        /// Older versions write `activeTag`.
        #[serde(alias = "activeTag")]
        current_tag: Option<String>,
    }
    state_json
        .and_then(|bytes| serde_json::from_slice::<State>(bytes).ok()?.current_tag)
        .map(|tag| tag.trim().to_owned())
        .filter(|tag| !tag.is_empty())
        .unwrap_or_else(|| DEFAULT_TAG.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn current_tag_defaults_to_master() {
        for (state, tag) in [
            (None, "master"),
            (Some(""), "master"),
            (Some(r#"{"migrationNoticeShown": true}"#), "master"),
            (Some(r#"{"currentTag": null}"#), "master"),
            (Some(r#"{"currentTag": "mvp", "x": []}"#), "mvp"),
            (Some(r#"{"activeTag": "old"}"#), "old"),
        ] {
            assert_eq!(
                parse_current_tag(state.map(str::as_bytes)),
                tag,
                "{state:?}"
            );
        }
    }
}
