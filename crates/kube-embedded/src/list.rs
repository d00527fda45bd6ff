//! Lists: a page of the objects as they were at one revision, as bytes that were made when they were written.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    kinds::{Kind, View},
    list_options::{ListOptions, Moment},
    object::{Key, Object},
    representation::Representation,
    selector::Selector,
    status::StatusError,
    store::State,
    table, write,
};

/// Which objects, in which form.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Empty: every namespace.
    pub namespace: String,
    pub selector: Selector,
    pub form: Representation,
}

impl Scope {
    /// Whether an object belongs to it.
    pub fn has(&self, object: &Object) -> bool {
        (self.namespace.is_empty() || object.key.namespace == self.namespace)
            && (self.selector.is_empty() || self.selector.matches(&object.key, &object.value))
    }
}

/// Appends an object as `kind` shows it.
pub fn append(out: &mut Vec<u8>, kind: &Kind, form: Representation, object: &Object) {
    let own_version = || object.value["apiVersion"] == kind.api_version;
    if form == Representation::Full
        && kind.view == View::Stored
        && (!kind.is_custom() || own_version())
    {
        out.extend_from_slice(&object.json);
        return;
    }
    let value = match form {
        Representation::Full => write::shown(kind, &object.value),
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

/// Where a list that was cut goes on.
#[derive(Serialize, Deserialize)]
struct Continue {
    revision: u64,
    namespace: String,
    name: String,
}

/// The revision a list shows, and after which object its page begins.
fn place(state: &State, options: &ListOptions) -> Result<(u64, Option<Key>), StatusError> {
    let newest = state.revision();
    if !options.token.is_empty() {
        let token: Option<Continue> = BASE64_URL_SAFE_NO_PAD
            .decode(&options.token)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok());
        let token = token.ok_or_else(|| StatusError::bad_request("continue key is not valid"))?;
        return Ok((token.revision, Some(Key::new(token.namespace, token.name))));
    }
    match options.moment {
        Moment::Exact(asked) | Moment::NotBefore(asked) if asked > newest => {
            Err(StatusError::too_new(asked, newest))
        }
        Moment::Exact(asked) => Ok((asked, None)),
        Moment::Newest | Moment::NotBefore(_) => Ok((newest, None)),
    }
}

fn gone(options: &ListOptions) -> StatusError {
    StatusError::expired(if options.token.is_empty() {
        "The resourceVersion for the provided list is too old."
    } else {
        "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter."
    })
}

/// One page: the body of the list.
pub fn page(
    state: &State,
    kind: &Kind,
    scope: &Scope,
    options: &ListOptions,
) -> Result<Vec<u8>, StatusError> {
    let (revision, after) = place(state, options)?;
    let limit = options.limit.unwrap_or(usize::MAX);
    let mut page: Vec<&Object> = Vec::new();
    // Objects after the page, where they can be counted: with a selector nobody knows.
    let mut remaining = 0;
    let mut more = false;
    if let Some(collection) = state.collection(&kind.resource) {
        let then = collection.before(revision).ok_or_else(|| gone(options))?;
        let now = collection
            .range(&scope.namespace, after.as_ref())
            .filter(|object| then.is_empty() || !then.contains_key(&object.key));
        let mut all: Vec<&Object> = Vec::new();
        if then.is_empty() {
            // One more than the page shows whether there is more.
            all.extend(
                now.map(AsRef::as_ref)
                    .filter(|object| scope.has(object))
                    .take(limit.saturating_add(1)),
            );
        } else {
            let old = then.iter().filter_map(|(key, object)| {
                let object = (*object)?;
                after
                    .as_ref()
                    .is_none_or(|after| *key > after)
                    .then_some(object)
            });
            all.extend(
                now.chain(old)
                    .map(AsRef::as_ref)
                    .filter(|object| scope.has(object)),
            );
            all.sort_by(|a, b| a.key.cmp(&b.key));
        }
        more = all.len() > limit;
        remaining = all.len().saturating_sub(limit);
        all.truncate(limit);
        if more && then.is_empty() {
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
    Ok(body(kind, scope.form, &metadata, &page))
}

/// The body of a list with these objects.
fn body(kind: &Kind, form: Representation, metadata: &Value, page: &[&Object]) -> Vec<u8> {
    let (list_kind, api_version, columns, items) = match form {
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
    let now = Timestamp::now();
    for (index, object) in page.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        match form {
            Representation::Table(version, include) => {
                let row = table::row(kind, version, include, object, now);
                out.extend_from_slice(row.to_string().as_bytes());
            }
            _ => append(&mut out, kind, form, object),
        }
    }
    out.extend_from_slice(b"]}");
    out
}
