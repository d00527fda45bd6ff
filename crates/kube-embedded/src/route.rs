//! Parses request paths and queries. Pure.

use std::collections::BTreeMap;

use http::Uri;

use super::status::{Cause, StatusError};

/// What a path refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Version,
    Health,
    /// `/api`
    Core,
    /// `/apis`
    Groups,
    /// `/apis/batch`
    Group(String),
    /// `/api/v1`, `/apis/batch/v1`
    GroupVersion(String, String),
    /// `/openapi/v3`
    OpenApi,
    /// `/openapi/v3/api/v1`, `/openapi/v3/apis/batch/v1`
    OpenApiOf(String, String),
    Resource(ResourcePath),
}

/// A path below a group and version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub group: String,
    pub version: String,
    /// Empty for cluster-scoped kinds, or all namespaces.
    pub namespace: String,
    pub plural: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
}

impl ResourcePath {
    /// Returns `jobs.batch`, as in messages.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.clone()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
}

impl Target {
    /// Parses a path; `None` if it can never be served.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let owned = |text: &str| text.to_owned();
        Some(match parts.as_slice() {
            ["version"] => Self::Version,
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["openapi", "v3"] => Self::OpenApi,
            ["openapi", "v3", "api", version] => Self::OpenApiOf(String::new(), owned(version)),
            ["openapi", "v3", "apis", group, version] => {
                Self::OpenApiOf(owned(group), owned(version))
            }
            ["api"] => Self::Core,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group(owned(group)),
            ["api", version] => Self::GroupVersion(String::new(), owned(version)),
            ["apis", group, version] => Self::GroupVersion(owned(group), owned(version)),
            ["api", version, rest @ ..] => Self::Resource(resource("", version, rest)?),
            ["apis", group, version, rest @ ..] => Self::Resource(resource(group, version, rest)?),
            _ => return None,
        })
    }
}

fn resource(group: &str, version: &str, rest: &[&str]) -> Option<ResourcePath> {
    let (namespace, rest) = match rest {
        ["namespaces", _, "status" | "finalize"] => ("", rest),
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (plural, None, None),
        [plural, name] => (plural, Some(name), None),
        [plural, name, subresource] => (plural, Some(name), Some(subresource)),
        _ => return None,
    };
    Some(ResourcePath {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace: namespace.to_owned(),
        plural: (*plural).to_owned(),
        name: name.map(|&name| name.to_owned()),
        subresource: subresource.map(|&name| name.to_owned()),
    })
}

/// Query parameters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(BTreeMap<String, String>);

impl Params {
    /// Parses the query. The last of several equal parameters counts.
    pub(crate) fn parse(uri: &Uri) -> Self {
        let query = uri.query().unwrap_or_default().as_bytes();
        Self(form_urlencoded::parse(query).into_owned().collect())
    }

    /// Returns a parameter, or "".
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Returns whether a flag is given and not `false` or `0`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.0
            .get(name)
            .is_some_and(|value| !matches!(value.as_str(), "false" | "0"))
    }

    /// Returns a number, if given.
    pub(crate) fn number<T: std::str::FromStr>(
        &self,
        name: &str,
    ) -> Result<Option<T>, StatusError> {
        match self.text(name) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| StatusError::bad_request(format!("{name}: invalid number {text:?}"))),
        }
    }

    /// Returns whether `dryRun=All` is given. Any other value is an error in `options` (`CreateOptions`, `PatchOptions`
    /// ...).
    pub(crate) fn dry_run(&self, options: &str) -> Result<bool, StatusError> {
        Ok(self.one_of("dryRun", &["All"], options)? == "All")
    }

    /// Returns a parameter that is "" or one of `words`.
    pub(crate) fn one_of(
        &self,
        name: &str,
        words: &[&str],
        options: &str,
    ) -> Result<&str, StatusError> {
        let text = self.text(name);
        if text.is_empty() || words.contains(&text) {
            return Ok(text);
        }
        let cause = Cause::not_supported(name, &text.into(), words);
        Err(StatusError::invalid_options(options, &[cause]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_paths() {
        for (path, expected) in [
            ("/api/v1/pods", Some(("", "v1", "", "pods", None, None))),
            (
                "/api/v1/namespaces",
                Some(("", "v1", "", "namespaces", None, None)),
            ),
            (
                "/api/v1/namespaces/a",
                Some(("", "v1", "", "namespaces", Some("a"), None)),
            ),
            (
                "/api/v1/namespaces/a/status",
                Some(("", "v1", "", "namespaces", Some("a"), Some("status"))),
            ),
            (
                "/api/v1/namespaces/a/pods/p/log",
                Some(("", "v1", "a", "pods", Some("p"), Some("log"))),
            ),
            (
                "/apis/o.io/v1/namespaces/a/docsruns",
                Some(("o.io", "v1", "a", "docsruns", None, None)),
            ),
            ("/apis/o.io/v1/docsruns/x/y/z", None),
            ("/nothing", None),
        ] {
            let found = Target::parse(path).map(|target| match target {
                Target::Resource(path) => path,
                other => panic!("{other:?}"),
            });
            let found = found.as_ref().map(|path| {
                (
                    path.group.as_str(),
                    path.version.as_str(),
                    path.namespace.as_str(),
                    path.plural.as_str(),
                    path.name.as_deref(),
                    path.subresource.as_deref(),
                )
            });
            assert_eq!(found, expected, "{path}");
        }
        assert_eq!(Target::parse("/apis"), Some(Target::Groups));
        assert_eq!(Target::parse("/readyz"), Some(Target::Health));
    }
}
