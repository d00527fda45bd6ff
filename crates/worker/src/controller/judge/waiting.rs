//! What keeps an attempt from running: a sentence for whoever has to do something about it.

use k8s_openapi::api::core::v1::{Container, Event, Pod};

use super::{JobState, one_line, statuses};

/// What keeps the pod from running, if something does that does not pass by itself within moments.
pub(super) fn of(pod: &Pod, events: &[Event]) -> Option<JobState> {
    node_lost(pod).or_else(|| kept(pod, events))
}

/// What keeps a Job from having a pod: no status says it.
pub(super) fn without_a_pod(events: &[Event]) -> Option<JobState> {
    let event = latest(events, &["FailedCreate"])?;
    Some(JobState::Waiting {
        reason: "FailedCreate".into(),
        message: one_line(event.message.as_deref().unwrap_or_default()),
    })
}

/// A node that does not answer: whether its pod still runs, nobody knows, so nothing may take its place.
fn node_lost(pod: &Pod) -> Option<JobState> {
    let status = pod.status.as_ref()?;
    let lost = status.reason.as_deref() == Some("NodeLost");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    lost.then(|| JobState::Waiting {
        reason: "NodeLost".into(),
        message: format!(
            "the node {} does not answer; the stage goes on when it does, or ends when its pod is deleted",
            node.unwrap_or("of the pod")
        ),
    })
}

fn kept(pod: &Pod, events: &[Event]) -> Option<JobState> {
    for status in statuses(pod) {
        let Some(waiting) = status
            .state
            .as_ref()
            .and_then(|state| state.waiting.as_ref())
        else {
            continue;
        };
        let word = waiting.reason.as_deref().unwrap_or_default();
        if matches!(word, "" | "ContainerCreating" | "PodInitializing") {
            continue;
        }
        let mut message = one_line(waiting.message.as_deref().unwrap_or_default());
        if word == "CreateContainerConfigError" {
            if let Some((secret, key)) = secret_of(pod, &status.name, &message) {
                message = format!("the Secret {secret} with the key {key} is needed: {message}");
            }
        } else if matches!(
            word,
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName"
        ) {
            message = format!("the image {} cannot be pulled: {message}", status.image);
        }
        if message.is_empty() {
            message = format!("the container {} is waiting: {word}", status.name);
        }
        return Some(JobState::Waiting {
            reason: word.to_owned(),
            message,
        });
    }
    let conditions = pod
        .status
        .as_ref()?
        .conditions
        .as_deref()
        .unwrap_or_default();
    let scheduled = conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled");
    if let Some(scheduled) = scheduled.filter(|condition| condition.status == "False") {
        return Some(JobState::Waiting {
            reason: scheduled
                .reason
                .clone()
                .unwrap_or_else(|| "Unschedulable".into()),
            message: format!(
                "no node takes the pod: {}",
                one_line(scheduled.message.as_deref().unwrap_or_default())
            ),
        });
    }
    let begun = statuses(pod).any(|status| {
        let state = status.state.as_ref();
        state.is_some_and(|state| state.waiting.is_none())
    });
    let event = latest(events, &["FailedMount"]).filter(|_| !begun)?;
    Some(JobState::Waiting {
        reason: "FailedMount".into(),
        message: one_line(event.message.as_deref().unwrap_or_default()),
    })
}

/// Secret and key that a container's environment names and the kubelet's sentence is about; the sentence leaves the key out.
fn secret_of<'a>(pod: &'a Pod, container: &str, message: &str) -> Option<(&'a str, &'a str)> {
    let spec = pod.spec.as_ref()?;
    let all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let named = |wanted: &&Container| wanted.name == container;
    let environment = all.into_iter().find(named)?.env.as_deref()?;
    environment.iter().find_map(|variable| {
        let secret = variable.value_from.as_ref()?.secret_key_ref.as_ref()?;
        let quoted = message.contains(&format!("\"{}\"", secret.name))
            || message.ends_with(&format!("/{}", secret.name));
        quoted.then_some((secret.name.as_str(), secret.key.as_str()))
    })
}

fn latest<'a>(events: &'a [Event], reasons: &[&str]) -> Option<&'a Event> {
    let wanted = events.iter().filter(|event| {
        let reason = event.reason.as_deref();
        reason.is_some_and(|reason| reasons.contains(&reason))
    });
    wanted.max_by_key(|event| {
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        last.or_else(|| event.event_time.as_ref().map(|time| time.0))
    })
}
