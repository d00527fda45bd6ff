//! What Task Master keeps beside the plan: the tag in use.

use serde::Deserialize;

use super::DEFAULT_TAG;

/// The tag in use by `.taskmaster/state.json`; `master` when there is no file, no tag in it, or a write of it is under way.
#[must_use]
pub fn current_tag(state_json: Option<&[u8]>) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct State {
        /// `activeTag` is what older versions wrote.
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
    fn the_tag_in_use_is_masters_unless_the_state_says_otherwise() {
        for (state, tag) in [
            (None, "master"),
            (Some(""), "master"),
            (Some(r#"{"migrationNoticeShown": true}"#), "master"),
            (Some(r#"{"currentTag": null}"#), "master"),
            (Some(r#"{"currentTag": "mvp", "x": []}"#), "mvp"),
            (Some(r#"{"activeTag": "old"}"#), "old"),
        ] {
            assert_eq!(current_tag(state.map(str::as_bytes)), tag, "{state:?}");
        }
    }
}
