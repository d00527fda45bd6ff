//! Watches: the events after a revision, followed by new ones, as lines of JSON.
//!
//! A watch reads the store's change log at its own pace. One that falls behind the log ends with an expired (410)
//! event.

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
    store::{Change, ChangeType, Store},
    table,
};

/// Interval of bookmarks on an idle watch.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum duration of a watch.
const MAX_DURATION: Duration = Duration::from_secs(30 * 60);

struct Watch {
    store: Store,
    kind: Arc<Kind>,
    scope: Scope,
    bookmarks: bool,
    changed: Receiver<u64>,
    /// Last revision sent.
    sent: u64,
    ends: Instant,
    next_bookmark: Instant,
    phase: Phase,
}

enum Phase {
    /// Lines to send at the start.
    Initial(Vec<u8>),
    Following,
    Ended,
}

/// Opens a watch.
pub(crate) fn open(
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
    let mut initial_lines = Vec::new();
    let mut is_expired = false;
    let sent = match options.since {
        Some(since) if !options.initial_events => {
            if since > state.revision() || collection.since(since).is_none() {
                expired(&mut initial_lines, since);
                is_expired = true;
            }
            since
        }
        _ => state.revision(),
    };
    if options.initial_events {
        let all = collection.range(&scope.namespace, None);
        for object in all.filter(|object| scope.contains(object)) {
            line(&mut initial_lines, "ADDED", kind, &scope, object);
        }
        if options.initial_events_bookmark {
            bookmark(&mut initial_lines, kind, scope.representation, sent, true);
        }
    }
    let watch = Watch {
        changed: collection.subscribe(),
        store: store.clone(),
        bookmarks: options.bookmarks,
        sent,
        ends: now + options.timeout.unwrap_or(MAX_DURATION).min(MAX_DURATION),
        next_bookmark: now + BOOKMARK_INTERVAL,
        phase: Phase::Initial(initial_lines),
        kind: Arc::clone(kind),
        scope,
    };
    drop(state);
    Ok(stream::unfold(watch, move |mut watch| async move {
        match std::mem::replace(&mut watch.phase, Phase::Following) {
            Phase::Initial(lines) if !lines.is_empty() => {
                if is_expired {
                    watch.phase = Phase::Ended;
                }
                Some((Bytes::from(lines), watch))
            }
            Phase::Ended => None,
            _ => watch.next().await.map(|lines| (lines, watch)),
        }
    }))
}

impl Watch {
    /// Returns the next lines; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.changed.borrow_and_update();
            let mut lines = Vec::new();
            if !self.catch_up(&mut lines)? {
                expired(&mut lines, self.sent);
                self.phase = Phase::Ended;
            }
            if !lines.is_empty() {
                return Some(Bytes::from(lines));
            }
            tokio::select! {
                changed = self.changed.changed() => changed.ok()?,
                () = tokio::time::sleep_until(self.ends) => return None,
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARK_INTERVAL;
                    bookmark(&mut lines, &self.kind, self.scope.representation, self.sent, false);
                    return Some(Bytes::from(lines));
                }
            }
        }
    }

    /// Appends the events since the last call. `Some(false)`: some are no longer in the log. `None`: the watch has
    /// ended.
    fn catch_up(&mut self, lines: &mut Vec<u8>) -> Option<bool> {
        let state = self.store.read();
        let Some(changes) = state.collection(&self.kind.resource)?.since(self.sent) else {
            return Some(false);
        };
        for change in changes {
            if let Some(event_type_name) = event_type(&self.scope, change) {
                line(
                    lines,
                    event_type_name,
                    &self.kind,
                    &self.scope,
                    &change.object,
                );
            }
        }
        self.sent = state.revision();
        Some(true)
    }
}

/// Returns the event type of a change within `scope`, if any.
fn event_type(scope: &Scope, change: &Change) -> Option<&'static str> {
    let now = change.kind != ChangeType::Deleted && scope.contains(&change.object);
    let before = change
        .previous
        .as_ref()
        .is_some_and(|object| scope.contains(object));
    match (before, now) {
        (false, true) => Some("ADDED"),
        (true, true) => Some("MODIFIED"),
        (true, false) => Some("DELETED"),
        (false, false) => None,
    }
}

fn line(out: &mut Vec<u8>, event_type_name: &str, kind: &Kind, scope: &Scope, object: &Object) {
    out.extend_from_slice(format!("{{\"type\":\"{event_type_name}\",\"object\":").as_bytes());
    append(out, kind, scope.representation, object);
    out.extend_from_slice(b"}\n");
}

fn raw_line(out: &mut Vec<u8>, event_type_name: &str, object: &Value) {
    out.extend_from_slice(
        json!({"type": event_type_name, "object": object})
            .to_string()
            .as_bytes(),
    );
    out.push(b'\n');
}

fn bookmark(
    out: &mut Vec<u8>,
    kind: &Kind,
    representation: Representation,
    revision: u64,
    initial: bool,
) {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if initial {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    let object = match representation {
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

/// Appends the event for an expired revision. It must be an event, not an HTTP error, or clients retry forever.
fn expired(out: &mut Vec<u8>, since: u64) {
    let error = StatusError::expired(format!("too old resource version: {since}"));
    raw_line(out, "ERROR", &error.to_status());
}
