//! Lists: a page of objects at one revision, built from their serialized forms.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    kinds::{Kind, View},
    list_options::{ListOptions, ListRevision},
    object::{Key, Object},
    representation::Representation,
    selector::Selector,
    status::StatusError,
    store::State,
    table, write,
};

/// Which objects a request covers, and in which representation.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// Empty for all namespaces.
    pub namespace: String,
    pub selector: Selector,
    pub representation: Representation,
}

impl Scope {
    /// Returns whether an object is in scope.
    pub(crate) fn contains(&self, object: &Object) -> bool {
        (self.namespace.is_empty() || object.key.namespace == self.namespace)
            && (self.selector.is_empty() || self.selector.matches(&object.key, &object.value))
    }
}

/// Appends an object in the given representation.
pub(crate) fn append(
    out: &mut Vec<u8>,
    kind: &Kind,
    representation: Representation,
    object: &Object,
) {
    let stored_version = || object.value["apiVersion"] == kind.api_version;
    if representation == Representation::Full
        && kind.view == View::Stored
        && (!kind.is_custom() || stored_version())
    {
        out.extend_from_slice(&object.json);
        return;
    }
    let value = match representation {
        Representation::Full => write::from_stored(kind, &object.value),
        Representation::Metadata(api_version) => {
            table::partial(api_version, &object.value["metadata"])
        }
        Representation::Table(api_version, include) => json!({
            "kind": "Table",
            "apiVersion": api_version,
            "metadata": {"resourceVersion": object.revision.to_string()},
            "columnDefinitions": table::definitions(kind),
            "rows": [table::row(kind, api_version, include, object, Timestamp::now())],
        }),
    };
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Content of a continue token.
#[derive(Serialize, Deserialize)]
struct Continue {
    revision: u64,
    namespace: String,
    name: String,
}

/// Returns the revision of a list, and the object after which its page begins.
fn start(state: &State, options: &ListOptions) -> Result<(u64, Option<Key>), StatusError> {
    let newest = state.revision();
    if !options.continue_token.is_empty() {
        let token: Option<Continue> = BASE64_URL_SAFE_NO_PAD
            .decode(&options.continue_token)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        let token = token.ok_or_else(|| StatusError::bad_request("continue key is not valid"))?;
        return Ok((token.revision, Some(Key::new(token.namespace, token.name))));
    }
    match options.revision {
        ListRevision::Exact(asked) | ListRevision::NotOlderThan(asked) if asked > newest => {
            Err(StatusError::too_new(asked, newest))
        }
        ListRevision::Exact(asked) => Ok((asked, None)),
        ListRevision::Latest | ListRevision::NotOlderThan(_) => Ok((newest, None)),
    }
}

fn expired(options: &ListOptions) -> StatusError {
    StatusError::expired(if options.continue_token.is_empty() {
        "The resourceVersion for the provided list is too old."
    } else {
        "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter."
    })
}

/// Returns the body of one page.
pub(crate) fn page(
    state: &State,
    kind: &Kind,
    scope: &Scope,
    options: &ListOptions,
) -> Result<Vec<u8>, StatusError> {
    let (revision, after) = start(state, options)?;
    let limit = options.limit.unwrap_or(usize::MAX);
    let mut page: Vec<&Object> = Vec::new();
    // Number of objects after the page; unknown with a selector.
    let mut remaining = 0;
    let mut more = false;
    if let Some(collection) = state.collection(&kind.resource) {
        let changed = collection
            .changed_since(revision)
            .ok_or_else(|| expired(options))?;
        let unchanged = collection
            .range(&scope.namespace, after.as_ref())
            .filter(|object| changed.is_empty() || !changed.contains_key(&object.key));
        let mut all: Vec<&Object> = Vec::new();
        if changed.is_empty() {
            // One more than the limit shows whether there is another page.
            all.extend(
                unchanged
                    .map(AsRef::as_ref)
                    .filter(|object| scope.contains(object))
                    .take(limit.saturating_add(1)),
            );
        } else {
            let old = changed.iter().filter_map(|(key, object)| {
                let object = (*object)?;
                after
                    .as_ref()
                    .is_none_or(|after| *key > after)
                    .then_some(object)
            });
            all.extend(
                unchanged
                    .chain(old)
                    .map(AsRef::as_ref)
                    .filter(|object| scope.contains(object)),
            );
            all.sort_by(|a, b| a.key.cmp(&b.key));
        }
        more = all.len() > limit;
        remaining = all.len().saturating_sub(limit);
        all.truncate(limit);
        if more && changed.is_empty() {
            let last = all.last().map(|object| &object.key);
            remaining = collection.range(&scope.namespace, last).count();
        }
        page = all;
    }

    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if more && let Some(last) = page.last() {
        let token = Continue {
            revision,
            namespace: last.key.namespace.clone(),
            name: last.key.name.clone(),
        };
        let json = serde_json::to_vec(&token).map_err(StatusError::internal)?;
        if scope.selector.is_empty() {
            metadata["remainingItemCount"] = remaining.into();
        }
        metadata["continue"] = BASE64_URL_SAFE_NO_PAD.encode(json).into();
    }
    Ok(body(kind, scope.representation, &metadata, &page))
}

/// Builds the body of a list with these objects.
fn body(
    kind: &Kind,
    representation: Representation,
    metadata: &Value,
    page: &[&Object],
) -> Vec<u8> {
    let (list_kind, api_version, columns, items) = match representation {
        Representation::Full => (&*kind.list_kind, &*kind.api_version, None, "items"),
        Representation::Metadata(version) => ("PartialObjectMetadataList", version, None, "items"),
        Representation::Table(version, _) => {
            ("Table", version, Some(table::definitions(kind)), "rows")
        }
    };
    let size: usize = page.iter().map(|object| object.json.len() + 1).sum();
    let mut out = Vec::with_capacity(size + 256);
    let columns = columns.map_or_else(String::new, |columns| {
        format!(",\"columnDefinitions\":{columns}")
    });
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{metadata}{columns},\"{items}\":[",
        Value::from(list_kind),
        Value::from(api_version)
    );
    out.extend_from_slice(head.as_bytes());
    let unchanged = Timestamp::now();
    for (index, object) in page.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match representation {
            Representation::Table(version, include) => {
                let row = table::row(kind, version, include, object, unchanged);
                out.extend_from_slice(row.to_string().as_bytes());
            }
            _ => append(&mut out, kind, representation, object),
        }
    }
    out.extend_from_slice(b"]}");
    out
}
