//! Calls, which every driver sends in its own way, and their results.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    shape::{Variables, fill, fill_text},
    table::Step,
};

/// Cluster-scoped kinds that rows use.
const CLUSTER_SCOPED: [&str; 5] = [
    "namespaces",
    "customresourcedefinitions",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub group: String,
    pub version: String,
    pub plural: String,
}

impl Resource {
    /// Parses `configmaps`, `jobs.v1.batch` or `widgets.v1.example.org`.
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = text.splitn(3, '.');
        let plural = parts.next().unwrap_or_default().to_owned();
        let version = parts.next().unwrap_or("v1").to_owned();
        let group = parts.next().unwrap_or_default().to_owned();
        Self {
            group,
            version,
            plural,
        }
    }

    /// Returns the resource of an object, by its apiVersion and kind.
    fn of(object: &Value) -> Self {
        let api_version = object["apiVersion"].as_str().unwrap_or("v1");
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let kind = object["kind"].as_str().unwrap_or("ConfigMap");
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: format!("{}s", kind.to_lowercase()),
        }
    }

    pub(super) fn is_core(&self) -> bool {
        self.group.is_empty()
    }

    /// Returns the name that kubectl accepts: `configmaps`, `widgets.v1.example.org`.
    pub(super) fn qualified(&self) -> String {
        if self.is_core() {
            self.plural.clone()
        } else {
            format!("{}.{}.{}", self.plural, self.version, self.group)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Get,
    List,
    Watch,
    Update,
    Json,
    Merge,
    Strategic,
    Apply,
    Delete,
    DeleteCollection,
    Log,
    Raw,
}

/// A request, independent of the driver.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub verb: Verb,
    pub resource: Resource,
    /// Empty for cluster-scoped kinds and for all namespaces.
    pub namespace: String,
    pub name: String,
    pub subresource: Option<String>,
    pub params: BTreeMap<String, String>,
    pub body: Option<Value>,
    pub headers: BTreeMap<String, String>,
    /// Only for raw calls.
    pub method: String,
    /// Only for raw calls.
    pub path: String,
}

/// The result of a call.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Done(Response),
    Refused(Refusal),
}

#[derive(Clone, Debug)]
pub(super) struct Response {
    /// JSON or a string. `None` if the driver does not return it.
    pub body: Option<Value>,
    /// `None` if the driver does not return them.
    pub warnings: Option<String>,
}

/// An error response. Fields are `None` if the driver does not return them.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub code: Option<u16>,
    pub reason: Option<String>,
    pub message: String,
    pub status: Option<Value>,
}

impl Refusal {
    /// Parses the body of an error response.
    pub(super) fn parse(code: u16, body: &str) -> Self {
        let status: Value = serde_json::from_str(body).unwrap_or_else(|_| json!({"message": body}));
        let text = |field: &str| status[field].as_str().map(str::to_owned);
        Self {
            code: Some(code),
            reason: text("reason"),
            message: text("message").unwrap_or_default(),
            status: Some(status),
        }
    }
}

impl Call {
    /// Returns the call of a step. Panics on a step without one, which is a mistake in the table.
    pub(super) fn from_step(step: &Step, variables: &Variables, namespace: &str) -> Self {
        let filled = |value: &Option<Value>| value.as_ref().map(|value| fill(value, variables));
        let (verb, target, body) = if let Some(body) = filled(&step.create) {
            (Verb::Create, Target::Object, Some(body))
        } else if let Some(body) = filled(&step.update) {
            (Verb::Update, Target::Object, Some(body))
        } else if let Some(body) = filled(&step.apply) {
            (Verb::Apply, Target::Object, Some(body))
        } else if let Some(name) = &step.patch {
            let (verb, body) = match (&step.json, &step.merge, &step.strategic) {
                (Some(body), None, None) => (Verb::Json, body),
                (None, Some(body), None) => (Verb::Merge, body),
                (None, None, Some(body)) => (Verb::Strategic, body),
                _ => panic!("a patch has one of json, merge, strategic: {step:?}"),
            };
            (verb, Target::Named(name), Some(fill(body, variables)))
        } else if let Some(name) = &step.get {
            (Verb::Get, Target::Named(name), None)
        } else if let Some(name) = &step.delete {
            (Verb::Delete, Target::Named(name), filled(&step.body))
        } else if let Some(name) = &step.log {
            (Verb::Log, Target::Named(name), None)
        } else if let Some(name) = &step.list {
            (Verb::List, Target::Named(name), None)
        } else if let Some(name) = &step.watch {
            (Verb::Watch, Target::Named(name), None)
        } else if let Some(name) = &step.deletecollection {
            (
                Verb::DeleteCollection,
                Target::Named(name),
                filled(&step.body),
            )
        } else if let Some(line) = &step.raw {
            (Verb::Raw, Target::Line(line), filled(&step.body))
        } else {
            panic!("no verb in {step:?}");
        };
        let (mut method, mut path) = (String::new(), String::new());
        let (resource, name) = match target {
            Target::Object => {
                let object = body.as_ref().unwrap();
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                (Resource::of(object), name.to_owned())
            }
            Target::Named(text) => {
                let text = fill_text(text, variables);
                let (resource, name) = text.split_once('/').unwrap_or((&text, ""));
                (Resource::parse(resource), name.to_owned())
            }
            Target::Line(text) => {
                let text = fill_text(text, variables);
                let (verb, rest) = text.split_once(' ').unwrap_or(("GET", &text));
                verb.clone_into(&mut method);
                rest.clone_into(&mut path);
                (Resource::parse(""), String::new())
            }
        };
        let namespace = match step.namespace.as_deref() {
            Some("*") => String::new(),
            Some(other) => fill_text(other, variables),
            None if CLUSTER_SCOPED.contains(&&*resource.plural) => String::new(),
            None => namespace.to_owned(),
        };
        let params = step
            .params
            .iter()
            .map(|(name, value)| {
                let value = match fill(value, variables) {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                (name.clone(), value)
            })
            .collect();
        Self {
            verb,
            resource,
            namespace,
            name,
            subresource: step.subresource.clone(),
            params,
            body,
            headers: step.headers.clone(),
            method,
            path,
        }
    }
}

enum Target<'a> {
    Object,
    Named(&'a str),
    Line(&'a str),
}
