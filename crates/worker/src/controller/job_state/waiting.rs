//! Why an attempt is not running, with a message that says what to do.

use k8s_openapi::api::core::v1::{Container, Event, Pod};

use super::{JobState, one_line, statuses};

/// Returns the state of a pod that is blocked by a problem that does not resolve by itself within moments.
pub(super) fn blocked(pod: &Pod, events: &[Event]) -> Option<JobState> {
    node_lost(pod).or_else(|| not_running(pod, events))
}

/// Returns the state of a Job that cannot create its pod. Only Events show this.
pub(super) fn without_a_pod(events: &[Event]) -> Option<JobState> {
    let event = latest(events, &["FailedCreate"])?;
    Some(JobState::Waiting {
        reason: "FailedCreate".into(),
        message: one_line(event.message.as_deref().unwrap_or_default()),
    })
}

/// Returns the state of a pod whose node is lost. It may still run there, so it must not be replaced.
fn node_lost(pod: &Pod) -> Option<JobState> {
    let status = pod.status.as_ref()?;
    let lost = status.reason.as_deref() == Some("NodeLost");
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    lost.then(|| JobState::Waiting {
        reason: "NodeLost".into(),
        message: format!(
            "the node {} does not respond; the stage continues when it recovers, or ends when its pod is deleted",
            node.unwrap_or("of the pod")
        ),
    })
}

fn not_running(pod: &Pod, events: &[Event]) -> Option<JobState> {
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
                message = format!("the Secret {secret} with the key {key} is required: {message}");
            }
        } else if matches!(
            word,
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName"
        ) {
            message = format!("cannot pull the image {}: {message}", status.image);
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
                "the pod cannot be scheduled: {}",
                one_line(scheduled.message.as_deref().unwrap_or_default())
            ),
        });
    }
    let started = statuses(pod).any(|status| {
        let state = status.state.as_ref();
        state.is_some_and(|state| state.waiting.is_none())
    });
    let event = latest(events, &["FailedMount"]).filter(|_| !started)?;
    Some(JobState::Waiting {
        reason: "FailedMount".into(),
        message: one_line(event.message.as_deref().unwrap_or_default()),
    })
}

/// Returns secret and key of the container's variable that the kubelet's message is about; the message omits the key.
fn secret_of<'a>(pod: &'a Pod, container: &str, message: &str) -> Option<(&'a str, &'a str)> {
    let spec = pod.spec.as_ref()?;
    let all = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers);
    let named = |candidate: &&Container| candidate.name == container;
    let environment = all.into_iter().find(named)?.env.as_deref()?;
    environment.iter().find_map(|variable| {
        let secret = variable.value_from.as_ref()?.secret_key_ref.as_ref()?;
        let quoted = message.contains(&format!("\"{}\"", secret.name))
            || message.ends_with(&format!("/{}", secret.name));
        quoted.then_some((secret.name.as_str(), secret.key.as_str()))
    })
}

fn latest<'a>(events: &'a [Event], reasons: &[&str]) -> Option<&'a Event> {
    let matching = events.iter().filter(|event| {
        let reason = event.reason.as_deref();
        reason.is_some_and(|reason| reasons.contains(&reason))
    });
    matching.max_by_key(|event| {
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        last.or_else(|| event.event_time.as_ref().map(|time| time.0))
    })
}
