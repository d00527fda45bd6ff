//! Records the Events of scheduler, kubelet and Job controller.
//!
//! Events are written in order by a task of their own, so that nothing waits for them. One that cannot be written is
//! lost. Equal Events are aggregated into one with a count.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::sync::mpsc;

use super::NODE_NAME;

/// Maximum length of a message in bytes, as in events.k8s.io.
const MAX_MESSAGE: usize = 1024;
/// Maximum number of Events remembered for aggregation.
const MAX_REMEMBERED: usize = 1024;

/// Records Events.
#[derive(Clone)]
pub(crate) struct Recorder(mpsc::UnboundedSender<Note>);

struct Note {
    about: ObjectReference,
    kind: &'static str,
    reason: String,
    message: String,
}

impl Recorder {
    /// Returns a recorder, and the task that writes its Events.
    pub(crate) fn new(
        client: Client,
        component: &str,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let component = component.to_owned();
        let (sender, mut notes) = mpsc::unbounded_channel();
        let task = async move {
            let mut written = HashMap::new();
            while let Some(note) = notes.recv().await {
                if let Err(error) = write(&client, &component, note, &mut written).await {
                    tracing::debug!(%error, "cannot write an Event");
                }
            }
        };
        (Self(sender), task)
    }

    /// Records an Event of type Normal.
    pub(crate) fn normal(&self, about: &ObjectReference, reason: &str, message: impl Into<String>) {
        self.record(about, "Normal", reason, message.into());
    }

    /// Records an Event of type Warning.
    pub(crate) fn warning(
        &self,
        about: &ObjectReference,
        reason: &str,
        message: impl Into<String>,
    ) {
        self.record(about, "Warning", reason, message.into());
    }

    fn record(
        &self,
        about: &ObjectReference,
        kind: &'static str,
        reason: &str,
        mut message: String,
    ) {
        let mut end = message.len().min(MAX_MESSAGE);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        // Fails only while the node shuts down.
        let _ = self.0.send(Note {
            about: about.clone(),
            kind,
            reason: reason.to_owned(),
            message,
        });
    }
}

/// Key of equal Events: uid and part of the object, reason, message.
type EventKey = (Option<String>, Option<String>, String, String);

async fn write(
    client: &Client,
    component: &str,
    note: Note,
    written: &mut HashMap<EventKey, (String, i32)>,
) -> kube::Result<()> {
    let namespace = note.about.namespace.clone().unwrap_or_default();
    let events = Api::<Event>::namespaced(client.clone(), &namespace);
    let now = Timestamp::now();
    let key = (
        note.about.uid.clone(),
        note.about.field_path.clone(),
        note.reason.clone(),
        note.message.clone(),
    );
    if let Some((name, count)) = written.get_mut(&key) {
        let again = json!({"count": *count + 1, "lastTimestamp": Time(now)});
        let patched = events
            .patch(name, &PatchParams::default(), &Patch::Merge(again))
            .await;
        match patched {
            Ok(_) => {
                *count += 1;
                return Ok(());
            }
            // Deleted in the meantime: create a new one.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    let object = note.about.name.clone().unwrap_or_default();
    let name = format!("{object}.{:x}", now.as_nanosecond());
    let event = Event {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        involved_object: note.about,
        type_: Some(note.kind.to_owned()),
        reason: Some(note.reason),
        message: Some(note.message),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        source: Some(EventSource {
            component: Some(component.to_owned()),
            host: Some(NODE_NAME.to_owned()),
        }),
        reporting_component: Some(component.to_owned()),
        reporting_instance: Some(NODE_NAME.to_owned()),
        ..Event::default()
    };
    events.create(&PostParams::default(), &event).await?;
    if written.len() >= MAX_REMEMBERED {
        written.clear();
    }
    written.insert(key, (name, 1));
    Ok(())
}
