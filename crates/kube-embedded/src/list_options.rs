//! Parameters of lists and watches, and their validation. Pure.

use std::time::Duration;

use serde_json::Value;

use super::{
    route::Params,
    status::{Cause, StatusError},
};

/// The revision a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListRevision {
    /// The latest revision.
    Latest,
    /// Exactly this revision.
    Exact(u64),
    /// This revision or a later one.
    NotOlderThan(u64),
}

/// Parameters of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListOptions {
    pub revision: ListRevision,
    /// Maximum number of objects in a page.
    pub limit: Option<usize>,
    /// Continue continue_token; empty for the first page.
    pub continue_token: String,
}

/// Start and duration of a watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WatchOptions {
    /// Revision after which events are sent; `None` for events from now on.
    pub since: Option<u64>,
    /// Whether to send an ADDED event for every existing object first.
    pub initial_events: bool,
    /// Whether to send a bookmark with `k8s.io/initial-events-end` after those.
    pub initial_events_bookmark: bool,
    pub bookmarks: bool,
    pub timeout: Option<Duration>,
}

const EXACT: &str = "Exact";
const NOT_OLDER_THAN: &str = "NotOlderThan";

/// Parameters of both lists and watches, with the violations found so far.
struct VersionParams<'a> {
    version: &'a str,
    matching: &'a str,
    continue_token: &'a str,
    initial_events: Option<bool>,
    causes: Vec<Cause>,
}

impl<'a> VersionParams<'a> {
    fn parse(params: &'a Params) -> Self {
        Self {
            version: params.text("resourceVersion"),
            matching: params.text("resourceVersionMatch"),
            continue_token: params.text("continue"),
            initial_events: match params.text("sendInitialEvents") {
                "" => None,
                _ => Some(params.flag("sendInitialEvents")),
            },
            causes: Vec::new(),
        }
    }

    fn forbid(&mut self, field: &str, message: impl AsRef<str>) {
        self.causes.push(Cause::forbidden(field, message));
    }

    fn check_matching(&mut self, supported: &[&str]) {
        if !supported.contains(&self.matching) {
            let matching = Value::from(self.matching);
            let cause = Cause::not_supported("resourceVersionMatch", &matching, supported);
            self.causes.push(cause);
        }
    }

    fn finish(self) -> Result<(), StatusError> {
        if self.causes.is_empty() {
            Ok(())
        } else {
            Err(StatusError::invalid_options("ListOptions", &self.causes))
        }
    }
}

/// Parses a resource version; `None` for "" and "0", which accept any.
pub(crate) fn revision(version: &str) -> Result<Option<u64>, StatusError> {
    match version {
        "" | "0" => Ok(None),
        version => version.parse().map(Some).map_err(|_| {
            StatusError::bad_request(format!(
                "invalid resource version: {version:?} is not a number"
            ))
        }),
    }
}

impl ListOptions {
    /// Returns options for all objects at the latest revision.
    pub(crate) const fn all() -> Self {
        Self {
            revision: ListRevision::Latest,
            limit: None,
            continue_token: String::new(),
        }
    }

    /// Parses the parameters of a list.
    pub(crate) fn parse(params: &Params) -> Result<Self, StatusError> {
        let mut versions = VersionParams::parse(params);
        if !versions.matching.is_empty() {
            if versions.version.is_empty() {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                versions.forbid("resourceVersionMatch", why);
            }
            if !versions.continue_token.is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                versions.forbid("resourceVersionMatch", why);
            }
            versions.check_matching(&["", EXACT, NOT_OLDER_THAN]);
            if versions.matching == EXACT && versions.version == "0" {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                versions.forbid("resourceVersionMatch", why);
            }
        }
        if versions.initial_events.is_some() {
            versions.forbid(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            );
        }
        let (version, matching, continue_token) = (
            versions.version,
            versions.matching,
            versions.continue_token.to_owned(),
        );
        versions.finish()?;
        let limit: Option<usize> = params.number("limit")?;
        let limit = limit.filter(|limit| *limit > 0);
        let revision = revision(version)?;
        if !continue_token.is_empty() && revision.is_some() {
            return Err(StatusError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let revision = match (revision, matching) {
            (None, _) => ListRevision::Latest,
            (Some(revision), EXACT) => ListRevision::Exact(revision),
            // With a limit, the legacy default is the exact revision.
            (Some(revision), "") if limit.is_some() => ListRevision::Exact(revision),
            (Some(revision), _) => ListRevision::NotOlderThan(revision),
        };
        Ok(Self {
            revision,
            limit,
            continue_token,
        })
    }
}

impl WatchOptions {
    /// Parses the parameters of a watch.
    pub(crate) fn parse(params: &Params) -> Result<Self, StatusError> {
        let mut versions = VersionParams::parse(params);
        if versions.initial_events.is_some() && versions.matching != NOT_OLDER_THAN {
            let why = format!(
                "sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER_THAN}"
            );
            versions.forbid("resourceVersionMatch", why);
        }
        if !versions.matching.is_empty() {
            if versions.initial_events.is_none() {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                versions.forbid("resourceVersionMatch", why);
            }
            versions.check_matching(&[NOT_OLDER_THAN]);
            if !versions.continue_token.is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                versions.forbid("resourceVersionMatch", why);
            }
        }
        let (version, initial_events) = (versions.version, versions.initial_events);
        versions.finish()?;
        let since = revision(version)?;
        let bookmarks = params.flag("allowWatchBookmarks");
        Ok(Self {
            since,
            initial_events: initial_events.unwrap_or(since.is_none()),
            initial_events_bookmark: initial_events == Some(true) && bookmarks,
            bookmarks,
            timeout: params.number("timeoutSeconds")?.map(Duration::from_secs),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(&format!("/x?{query}").parse().unwrap())
    }

    #[test]
    fn parses_list_revision() {
        for (query, expected) in [
            ("", Ok(ListRevision::Latest)),
            ("resourceVersion=0", Ok(ListRevision::Latest)),
            ("resourceVersion=7", Ok(ListRevision::NotOlderThan(7))),
            ("resourceVersion=7&limit=5", Ok(ListRevision::Exact(7))),
            (
                "resourceVersion=7&limit=5&resourceVersionMatch=NotOlderThan",
                Ok(ListRevision::NotOlderThan(7)),
            ),
            (
                "resourceVersion=7&resourceVersionMatch=Exact",
                Ok(ListRevision::Exact(7)),
            ),
            ("resourceVersion=0&resourceVersionMatch=Exact", Err(422)),
            ("resourceVersionMatch=Exact", Err(422)),
            ("resourceVersion=7&resourceVersionMatch=Near", Err(422)),
            (
                "continue=x&resourceVersion=7&resourceVersionMatch=Exact",
                Err(422),
            ),
            ("continue=x&resourceVersion=7", Err(400)),
            ("resourceVersion=nonsense", Err(400)),
            ("sendInitialEvents=true", Err(422)),
        ] {
            let parse = ListOptions::parse(&params(query));
            let found = parse.map(|options| options.revision);
            assert_eq!(found.map_err(|failure| failure.code), expected, "{query}");
        }
    }

    #[test]
    fn parses_watch_start() {
        for (query, expected) in [
            ("", Ok((None, true, false))),
            ("resourceVersion=0", Ok((None, true, false))),
            ("resourceVersion=7", Ok((Some(7), false, false))),
            (
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
                Ok((None, true, true)),
            ),
            (
                "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
                Ok((None, true, false)),
            ),
            (
                "sendInitialEvents=false&resourceVersionMatch=NotOlderThan",
                Ok((None, false, false)),
            ),
            ("sendInitialEvents=true", Err(422)),
            (
                "sendInitialEvents=true&resourceVersionMatch=Exact",
                Err(422),
            ),
            (
                "resourceVersion=7&resourceVersionMatch=NotOlderThan",
                Err(422),
            ),
            ("resourceVersion=nonsense", Err(400)),
            ("timeoutSeconds=soon", Err(400)),
        ] {
            let parse = WatchOptions::parse(&params(query));
            let found = parse.map(|options| {
                (
                    options.since,
                    options.initial_events,
                    options.initial_events_bookmark,
                )
            });
            assert_eq!(found.map_err(|failure| failure.code), expected, "{query}");
        }
    }
}
