//! What a list or a watch is told besides what it selects, and which of it does not go together. Pure.

use std::time::Duration;

use serde_json::Value;

use super::{
    route::Params,
    status::{Cause, StatusError},
};

/// Which moment a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Newest,
    /// What was there at this revision.
    Exact(u64),
    /// Any that is not before this revision.
    NotBefore(u64),
}

/// Parameters of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListOptions {
    pub moment: Moment,
    /// Objects a page has at most.
    pub limit: Option<usize>,
    /// Where the page before ended; empty: the first page.
    pub token: String,
}

/// How a watch begins and how long it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    /// What happened after this revision; `None`: what happens from now on.
    pub since: Option<u64>,
    /// First an ADDED for every object there is.
    pub initial: bool,
    /// A marked bookmark after those.
    pub marks_initial: bool,
    pub bookmarks: bool,
    pub timeout: Option<Duration>,
}

const EXACT: &str = "Exact";
const NOT_OLDER_THAN: &str = "NotOlderThan";

/// What a list or watch is read from before it is known whether it makes sense.
struct Versions<'a> {
    version: &'a str,
    matching: &'a str,
    token: &'a str,
    initial_events: Option<bool>,
    causes: Vec<Cause>,
}

impl<'a> Versions<'a> {
    fn read(params: &'a Params) -> Self {
        Self {
            version: params.text("resourceVersion"),
            matching: params.text("resourceVersionMatch"),
            token: params.text("continue"),
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

    fn is_matching(&mut self, supported: &[&str]) {
        if !supported.contains(&self.matching) {
            let matching = Value::from(self.matching);
            let cause = Cause::not_supported("resourceVersionMatch", &matching, supported);
            self.causes.push(cause);
        }
    }

    fn done(self) -> Result<(), StatusError> {
        if self.causes.is_empty() {
            Ok(())
        } else {
            Err(StatusError::invalid_options("ListOptions", &self.causes))
        }
    }
}

/// A resource version as a number; `None` for "" and "0", which ask for no certain one.
pub fn revision(version: &str) -> Result<Option<u64>, StatusError> {
    match version {
        "" | "0" => Ok(None),
        version => version.parse().map(Some).map_err(|_| {
            StatusError::bad_request(format!(
                "invalid resource version: {version:?} is no number"
            ))
        }),
    }
}

impl ListOptions {
    /// Everything there is now, at once.
    pub const fn all() -> Self {
        Self {
            moment: Moment::Newest,
            limit: None,
            token: String::new(),
        }
    }

    /// Reads the parameters of a list.
    pub fn read(params: &Params) -> Result<Self, StatusError> {
        let mut read = Versions::read(params);
        if !read.matching.is_empty() {
            if read.version.is_empty() {
                let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                read.forbid("resourceVersionMatch", why);
            }
            if !read.token.is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                read.forbid("resourceVersionMatch", why);
            }
            read.is_matching(&["", EXACT, NOT_OLDER_THAN]);
            if read.matching == EXACT && read.version == "0" {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                read.forbid("resourceVersionMatch", why);
            }
        }
        if read.initial_events.is_some() {
            read.forbid(
                "sendInitialEvents",
                "sendInitialEvents is forbidden for list",
            );
        }
        let (version, matching, token) = (read.version, read.matching, read.token.to_owned());
        read.done()?;
        let limit: Option<usize> = params.number("limit")?;
        let limit = limit.filter(|limit| *limit > 0);
        let revision = revision(version)?;
        if !token.is_empty() && revision.is_some() {
            return Err(StatusError::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        let moment = match (revision, matching) {
            (None, _) => Moment::Newest,
            (Some(revision), EXACT) => Moment::Exact(revision),
            // Pages have always shown the version they were asked for.
            (Some(revision), "") if limit.is_some() => Moment::Exact(revision),
            (Some(revision), _) => Moment::NotBefore(revision),
        };
        Ok(Self {
            moment,
            limit,
            token,
        })
    }
}

impl WatchOptions {
    /// Reads the parameters of a watch.
    pub fn read(params: &Params) -> Result<Self, StatusError> {
        let mut read = Versions::read(params);
        if read.initial_events.is_some() && read.matching != NOT_OLDER_THAN {
            let why = format!(
                "sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER_THAN}"
            );
            read.forbid("resourceVersionMatch", why);
        }
        if !read.matching.is_empty() {
            if read.initial_events.is_none() {
                let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                read.forbid("resourceVersionMatch", why);
            }
            read.is_matching(&[NOT_OLDER_THAN]);
            if !read.token.is_empty() {
                let why = "resourceVersionMatch is forbidden when continue is provided";
                read.forbid("resourceVersionMatch", why);
            }
        }
        let (version, initial_events) = (read.version, read.initial_events);
        read.done()?;
        let since = revision(version)?;
        let bookmarks = params.flag("allowWatchBookmarks");
        let initial = initial_events.unwrap_or(since.is_none());
        Ok(Self {
            since,
            initial,
            marks_initial: initial_events == Some(true) && bookmarks,
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
    fn a_list_shows_the_moment_it_is_asked_for() {
        for (query, expected) in [
            ("", Ok(Moment::Newest)),
            ("resourceVersion=0", Ok(Moment::Newest)),
            ("resourceVersion=7", Ok(Moment::NotBefore(7))),
            ("resourceVersion=7&limit=5", Ok(Moment::Exact(7))),
            (
                "resourceVersion=7&limit=5&resourceVersionMatch=NotOlderThan",
                Ok(Moment::NotBefore(7)),
            ),
            (
                "resourceVersion=7&resourceVersionMatch=Exact",
                Ok(Moment::Exact(7)),
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
            let read = ListOptions::read(&params(query));
            let found = read.map(|options| options.moment);
            assert_eq!(found.map_err(|failure| failure.code), expected, "{query}");
        }
    }

    #[test]
    fn a_watch_begins_as_it_is_told() {
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
            let read = WatchOptions::read(&params(query));
            let found = read.map(|options| (options.since, options.initial, options.marks_initial));
            assert_eq!(found.map_err(|failure| failure.code), expected, "{query}");
        }
    }
}
