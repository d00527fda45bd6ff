//! A request in the terms of a rule (the `RequestInfo` of the API server). Pure.

use http::{Method, Uri};

use super::{
    super::route::{Params, Target},
    plan::Verb,
};

/// Verb and object of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestInfo {
    pub verb: Verb,
    /// `pods`, `pods/log`; the path if it names no resource.
    pub resource: String,
    /// Empty if the path has none.
    pub namespace: String,
    /// Empty if the path has none.
    pub name: String,
}

impl RequestInfo {
    pub(super) fn of(method: &Method, uri: &Uri) -> Self {
        let Some(Target::Resource(path)) = Target::parse(uri.path()) else {
            return Self {
                verb: verb(method, true, false),
                resource: uri.path().to_owned(),
                namespace: String::new(),
                name: String::new(),
            };
        };
        let watch = Params::parse(uri).flag("watch");
        let resource = match &path.subresource {
            Some(subresource) => format!("{}/{subresource}", path.plural),
            None => path.plural,
        };
        Self {
            verb: verb(method, path.name.is_some(), watch),
            resource,
            namespace: path.namespace,
            name: path.name.unwrap_or_default(),
        }
    }

    /// Returns whether the response is a single object or list, not a stream.
    pub(super) fn is_cacheable(&self) -> bool {
        matches!(self.verb, Verb::Get | Verb::List) && !self.resource.ends_with("/log")
    }
}

fn verb(method: &Method, named: bool, watch: bool) -> Verb {
    match (method.as_str(), named) {
        ("POST", _) => Verb::Create,
        ("PUT", _) => Verb::Update,
        ("PATCH", _) => Verb::Patch,
        ("DELETE", true) => Verb::Delete,
        ("DELETE", false) => Verb::DeleteCollection,
        _ if watch => Verb::Watch,
        (_, true) => Verb::Get,
        (_, false) => Verb::List,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_requests_to_kubernetes_verbs() {
        let d = "/apis/orchestrator.io/v1/namespaces/n/docsruns";
        for (method, uri, verb, resource, name) in [
            ("GET", format!("{d}?limit=5"), Verb::List, "docsruns", ""),
            (
                "GET",
                format!("{d}?watch=true"),
                Verb::Watch,
                "docsruns",
                "",
            ),
            ("GET", format!("{d}?watch=0"), Verb::List, "docsruns", ""),
            ("GET", format!("{d}/a"), Verb::Get, "docsruns", "a"),
            (
                "PATCH",
                format!("{d}/a/status"),
                Verb::Patch,
                "docsruns/status",
                "a",
            ),
            ("PUT", format!("{d}/a"), Verb::Update, "docsruns", "a"),
            ("POST", d.to_owned(), Verb::Create, "docsruns", ""),
            ("DELETE", format!("{d}/a"), Verb::Delete, "docsruns", "a"),
            (
                "DELETE",
                d.to_owned(),
                Verb::DeleteCollection,
                "docsruns",
                "",
            ),
            ("GET", "/version".to_owned(), Verb::Get, "/version", ""),
        ] {
            let asked = RequestInfo::of(&method.parse().unwrap(), &uri.parse().unwrap());
            let namespace = if resource.starts_with('/') { "" } else { "n" };
            assert_eq!(
                (
                    asked.verb,
                    &*asked.resource,
                    &*asked.name,
                    &*asked.namespace
                ),
                (verb, resource, name, namespace),
                "{method} {uri}"
            );
        }
    }
    #[test]
    fn only_gets_and_lists_are_cacheable() {
        for (uri, one) in [
            ("/api/v1/namespaces/n/pods", true),
            ("/api/v1/namespaces/n/pods/a", true),
            ("/api/v1/namespaces/n/pods?watch=1", false),
            ("/api/v1/namespaces/n/pods/a/log?follow=true", false),
        ] {
            let asked = RequestInfo::of(&Method::GET, &uri.parse().unwrap());
            assert_eq!(asked.is_cacheable(), one, "{uri}");
        }
    }
}
