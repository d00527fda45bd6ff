//! Watches: what happened after a revision, then whatever happens, as lines of JSON.
//!
//! A watch reads the store's log at its own pace; a slow one that falls behind the log is told so (410) and ends.

use std::{sync::Arc, time::Duration};

use futures::{Stream, stream};
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::{sync::watch::Receiver, time::Instant};

use super::{
    kinds::Kind,
    list::{Scope, append},
    list_options::WatchOptions,
    object::Object,
    representation::Representation,
    status::StatusError,
    store::{Change, Store, What},
    table,
};

/// How often a quiet watch that wants bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// The longest a watch lasts when it names no timeout.
const LONGEST: Duration = Duration::from_secs(30 * 60);

struct Watch {
    store: Store,
    kind: Arc<Kind>,
    scope: Scope,
    bookmarks: bool,
    changed: Receiver<u64>,
    /// Everything up to here was told.
    told: u64,
    ends: Instant,
    next_bookmark: Instant,
    phase: Phase,
}

enum Phase {
    /// Lines that are ready when the watch opens.
    First(Vec<u8>),
    Following,
    Over,
}

/// Opens a watch.
pub fn open(
    store: &Store,
    kind: &Arc<Kind>,
    scope: Scope,
    options: &WatchOptions,
) -> Result<impl Stream<Item = Bytes> + Send + 'static, StatusError> {
    let now = Instant::now();
    let state = store.read();
    let collection = state
        .collection(&kind.resource)
        .ok_or_else(StatusError::no_such_path)?;
    let mut first = Vec::new();
    let mut phase_over = false;
    let told = match options.since {
        Some(since) if !options.initial => {
            if since > state.revision() || collection.since(since).is_none() {
                expired(&mut first, since);
                phase_over = true;
            }
            since
        }
        _ => state.revision(),
    };
    if options.initial {
        let all = collection.range(&scope.namespace, None);
        for object in all.filter(|object| scope.has(object)) {
            line(&mut first, "ADDED", kind, &scope, object);
        }
        if options.marks_initial {
            bookmark(&mut first, kind, scope.form, told, true);
        }
    }
    let watch = Watch {
        changed: collection.subscribe(),
        store: store.clone(),
        bookmarks: options.bookmarks,
        told,
        ends: now + options.timeout.unwrap_or(LONGEST).min(LONGEST),
        next_bookmark: now + BOOKMARK_EVERY,
        phase: Phase::First(first),
        kind: Arc::clone(kind),
        scope,
    };
    drop(state);
    Ok(stream::unfold(watch, move |mut watch| async move {
        match std::mem::replace(&mut watch.phase, Phase::Following) {
            Phase::First(lines) if !lines.is_empty() => {
                if phase_over {
                    watch.phase = Phase::Over;
                }
                Some((Bytes::from(lines), watch))
            }
            Phase::Over => None,
            _ => watch.next().await.map(|lines| (lines, watch)),
        }
    }))
}

impl Watch {
    /// The next lines; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.changed.borrow_and_update();
            let mut lines = Vec::new();
            if !self.catch_up(&mut lines)? {
                expired(&mut lines, self.told);
                self.phase = Phase::Over;
            }
            if !lines.is_empty() {
                return Some(Bytes::from(lines));
            }
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.ends) => return None,
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    bookmark(&mut lines, &self.kind, self.scope.form, self.told, false);
                    return Some(Bytes::from(lines));
                }
            }
        }
    }

    /// Appends what happened since the last time. `Some(false)`: it is no longer known. `None`: nothing will come.
    fn catch_up(&mut self, lines: &mut Vec<u8>) -> Option<bool> {
        let state = self.store.read();
        let Some(changes) = state.collection(&self.kind.resource)?.since(self.told) else {
            return Some(false);
        };
        for change in changes {
            if let Some(what) = seen(&self.scope, change) {
                line(lines, what, &self.kind, &self.scope, &change.object);
            }
        }
        self.told = state.revision();
        Some(true)
    }
}

/// What a change is to who sees only `scope`.
fn seen(scope: &Scope, change: &Change) -> Option<&'static str> {
    let now = change.what != What::Deleted && scope.has(&change.object);
    let before = change
        .previous
        .as_ref()
        .is_some_and(|object| scope.has(object));
    match (before, now) {
        (false, true) => Some("ADDED"),
        (true, true) => Some("MODIFIED"),
        (true, false) => Some("DELETED"),
        (false, false) => None,
    }
}

fn line(out: &mut Vec<u8>, what: &str, kind: &Kind, scope: &Scope, object: &Object) {
    out.extend_from_slice(format!("{{\"type\":\"{what}\",\"object\":").as_bytes());
    append(out, kind, scope.form, object);
    out.extend_from_slice(b"}\n");
}

fn raw_line(out: &mut Vec<u8>, what: &str, object: &Value) {
    out.extend_from_slice(
        json!({"type": what, "object": object})
            .to_string()
            .as_bytes(),
    );
    out.push(b'\n');
}

fn bookmark(out: &mut Vec<u8>, kind: &Kind, form: Representation, revision: u64, initial: bool) {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if initial {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let object = match form {
        Representation::Full => {
            json!({"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata})
        }
        Representation::Metadata(api_version) => table::partial(api_version, &metadata),
        Representation::Table(api_version, _) => json!({
            "kind": "Table",
            "apiVersion": api_version,
            "metadata": {"resourceVersion": revision.to_string()},
            "columnDefinitions": table::definitions(kind),
            "rows": [{"cells": [], "object": table::partial(api_version, &metadata)}],
        }),
    };
    raw_line(out, "BOOKMARK", &object);
}

/// The one way to say that a revision is not known: an event, never an HTTP error, or clients ask again for ever.
fn expired(out: &mut Vec<u8>, since: u64) {
    let failure = StatusError::expired(format!("too old resource version: {since}"));
    raw_line(out, "ERROR", &failure.to_status());
}
