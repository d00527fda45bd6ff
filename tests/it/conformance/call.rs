//! A step made concrete: one call that every driver can play in its own way, and what came of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    shape::{Variables, fill, fill_text},
    table::Step,
};

/// Kinds without a namespace that rows name.
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
    /// `configmaps`, `jobs.v1.batch`, `widgets.v1.example.org`.
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

    /// Of an object, by what it says of itself.
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

    /// `configmaps`, `widgets.v1.example.org`: as kubectl takes it.
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

/// One request, in abstract terms.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub verb: Verb,
    pub resource: Resource,
    /// "" for cluster-scoped kinds and for all namespaces.
    pub namespace: String,
    pub name: String,
    pub subresource: Option<String>,
    pub params: BTreeMap<String, String>,
    pub body: Option<Value>,
    pub headers: BTreeMap<String, String>,
    /// Of a raw call.
    pub method: String,
    pub path: String,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Done(Answer),
    Refused(Refusal),
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// JSON, or a text. `None`: this driver does not see it.
    pub body: Option<Value>,
    /// `None`: this driver does not see them.
    pub warnings: Option<String>,
}

/// What a driver saw of a refusal; `None` where it does not see it.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub code: Option<u16>,
    pub reason: Option<String>,
    pub message: String,
    pub status: Option<Value>,
}

impl Refusal {
    /// From the body of an answer.
    pub(super) fn read(code: u16, body: &str) -> Self {
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
    /// Reads a step. Panics on one that says nothing to do: that is a mistake in the table.
    pub(super) fn of(step: &Step, variables: &Variables, namespace: &str) -> Self {
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
                _ => panic!("a patch is one of json, merge, strategic: {step:?}"),
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
            panic!("nothing is done in {step:?}");
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
