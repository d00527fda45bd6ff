//! The Events a person expects of a scheduler, a kubelet and a Job controller, in their words.
//!
//! Written in the order they came by a task of its own, so that nothing waits for them; one that cannot be written is lost.
//! The same sentence about the same thing is one Event with a count.

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

/// Longest message, in bytes: what events.k8s.io allows.
const LONGEST: usize = 1024;
/// Events that are remembered, so that they can be counted.
const REMEMBERED: usize = 1024;

/// Takes Events down.
#[derive(Clone)]
pub struct Recorder(mpsc::UnboundedSender<Note>);

struct Note {
    about: ObjectReference,
    kind: &'static str,
    reason: String,
    message: String,
}

impl Recorder {
    /// A recorder, and the work of writing what it takes down.
    pub fn new(client: Client, component: &str) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let component = component.to_owned();
        let (sender, mut notes) = mpsc::unbounded_channel();
        let work = async move {
            let mut written = HashMap::new();
            while let Some(note) = notes.recv().await {
                if let Err(error) = write(&client, &component, note, &mut written).await {
                    tracing::debug!(%error, "an Event cannot be written");
                }
            }
        };
        (Self(sender), work)
    }

    /// Something went as it should.
    pub fn normal(&self, about: &ObjectReference, reason: &str, message: impl Into<String>) {
        self.take_down(about, "Normal", reason, message.into());
    }

    /// Something that somebody should look at.
    pub fn warning(&self, about: &ObjectReference, reason: &str, message: impl Into<String>) {
        self.take_down(about, "Warning", reason, message.into());
    }

    fn take_down(
        &self,
        about: &ObjectReference,
        kind: &'static str,
        reason: &str,
        mut message: String,
    ) {
        let mut end = message.len().min(LONGEST);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
        // The node is ending when nobody listens.
        let _ = self.0.send(Note {
            about: about.clone(),
            kind,
            reason: reason.to_owned(),
            message,
        });
    }
}

/// What makes two Events the same: uid and part of the object, reason, message.
type Sameness = (Option<String>, Option<String>, String, String);

async fn write(
    client: &Client,
    component: &str,
    note: Note,
    written: &mut HashMap<Sameness, (String, i32)>,
) -> kube::Result<()> {
    let namespace = note.about.namespace.clone().unwrap_or_default();
    let events = Api::<Event>::namespaced(client.clone(), &namespace);
    let now = Timestamp::now();
    let same = (
        note.about.uid.clone(),
        note.about.field_path.clone(),
        note.reason.clone(),
        note.message.clone(),
    );
    if let Some((name, count)) = written.get_mut(&same) {
        let again = json!({"count": *count + 1, "lastTimestamp": Time(now)});
        let patched = events
            .patch(name, &PatchParams::default(), &Patch::Merge(again))
            .await;
        match patched {
            Ok(_) => {
                *count += 1;
                return Ok(());
            }
            // Forgotten by the cluster: written anew.
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
    if written.len() >= REMEMBERED {
        written.clear();
    }
    written.insert(same, (name, 1));
    Ok(())
}
