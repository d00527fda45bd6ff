//! Features of a pod that this node cannot provide. They are reported, never ignored: such a pod waits with a message.
//!
//! Ignored, because they hold anyway or do not matter on one machine with one account: images (containers are local
//! programs), users and groups (processes run as the current user), resource requests and limits (not enforced), node
//! selectors, affinities and tolerations (there is one node), network and DNS settings (those of the machine),
//! read-only mounts (see [`super::paths`]), and changes of a ConfigMap or Secret after the pod has started (its files
//! are not updated).

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};
use serde_json::Value;

use super::paths::is_component;

/// Returns a message about the first unsupported feature of `pod`.
#[must_use]
pub(super) fn unsupported_feature(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let init = spec.init_containers.iter().flatten();
    pod_feature(spec)
        .map(str::to_owned)
        .or_else(|| {
            let is_sidecar = |container: &&Container| container.restart_policy.is_some();
            let sidecar = init.clone().find(is_sidecar)?;
            Some(format!(
                "a restart policy of an init container (init container {:?})",
                sidecar.name
            ))
        })
        .or_else(|| {
            init.clone().chain(&spec.containers).find_map(|container| {
                let what = container_feature(container)?;
                Some(format!("{what} (container {:?})", container.name))
            })
        })
        .or_else(|| {
            let containers = init
                .chain(&spec.containers)
                .map(|container| &container.name);
            let volumes = spec.volumes.iter().flatten().map(|volume| &volume.name);
            // The API refuses such names; this guards the directories that are named after them.
            let mut names = containers.chain(volumes);
            let name = names.find(|name| !is_component(name))?;
            Some(format!(
                "a container or volume {name:?}, which is not a file name"
            ))
        })
        .map(|what| format!("the embedded node does not support {what}"))
}

fn pod_feature(spec: &PodSpec) -> Option<&'static str> {
    let some = |list: bool, what| list.then_some(what);
    some(
        spec.scheduling_gates
            .as_ref()
            .is_some_and(|gates| !gates.is_empty()),
        "scheduling gates",
    )
    .or(some(
        spec.runtime_class_name.is_some(),
        "a runtime class, as containers are local processes",
    ))
}

fn container_feature(container: &Container) -> Option<&'static str> {
    let privileged = container.security_context.as_ref();
    let asked = [
        (
            privileged.and_then(|context| context.privileged) == Some(true),
            "privileged containers, as processes run as the current user",
        ),
        (container.lifecycle.is_some(), "lifecycle hooks"),
        (container.liveness_probe.is_some(), "liveness probes"),
        (container.readiness_probe.is_some(), "readiness probes"),
        (container.startup_probe.is_some(), "startup probes"),
        (container.volume_devices.is_some(), "block devices"),
        (
            container.stdin == Some(true) || container.tty == Some(true),
            "a terminal or stdin",
        ),
    ];
    asked
        .into_iter()
        .find_map(|(asks, what)| asks.then_some(what))
}

/// Returns the type of a volume, as its field is named.
#[must_use]
pub(super) fn volume_type(volume: &Volume) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(volume) else {
        return "unknown".to_owned();
    };
    let kind = fields.keys().find(|field| *field != "name");
    kind.cloned().unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn message_names_feature_and_container() {
        let probe = json!({"exec": {"command": ["true"]}});
        for (spec, container, part) in [
            (json!({}), json!({}), None),
            (
                json!({"nodeSelector": {"a": "b"}, "hostNetwork": true}),
                json!({"securityContext": {"runAsUser": 1000, "privileged": false}, "resources": {"limits": {"cpu": "1"}}}),
                None,
            ),
            (
                json!({}),
                json!({"securityContext": {"privileged": true}}),
                Some("privileged"),
            ),
            (
                json!({}),
                json!({"livenessProbe": probe}),
                Some("liveness probes"),
            ),
            (
                json!({}),
                json!({"readinessProbe": probe}),
                Some("readiness probes"),
            ),
            (
                json!({}),
                json!({"startupProbe": probe}),
                Some("startup probes"),
            ),
            (
                json!({}),
                json!({"lifecycle": {"preStop": probe}}),
                Some("lifecycle hooks"),
            ),
            (json!({}), json!({"tty": true}), Some("a terminal")),
            (
                json!({}),
                json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/v"}]}),
                Some("block devices"),
            ),
            (
                json!({"schedulingGates": [{"name": "g"}]}),
                json!({}),
                Some("scheduling gates"),
            ),
            (
                json!({"runtimeClassName": "kata"}),
                json!({}),
                Some("a runtime class"),
            ),
            (
                json!({"initContainers": [{"name": "side", "restartPolicy": "Always"}]}),
                json!({}),
                Some("of an init container (init container \"side\")"),
            ),
            (
                json!({"volumes": [{"name": "v"}, {"name": "../v"}]}),
                json!({}),
                Some("volume \"../v\", which is not a file name"),
            ),
            (
                json!({"initContainers": [{"name": ".."}]}),
                json!({}),
                Some("container or volume \"..\""),
            ),
        ] {
            let mut pod = json!({"spec": spec});
            let mut main = json!({"name": "main"});
            for (key, value) in container.as_object().unwrap() {
                main[key] = value.clone();
            }
            pod["spec"]["containers"] = json!([main]);
            let pod: Pod = serde_json::from_value(pod.clone()).unwrap();
            let message = unsupported_feature(&pod);
            match part {
                None => assert_eq!(message, None),
                Some(part) => assert!(message.clone().unwrap().contains(part), "{message:?}"),
            }
        }
    }

    #[test]
    fn returns_volume_type() {
        let volume = serde_json::from_value(json!({"name": "v", "hostPath": {"path": "/"}}));
        assert_eq!(volume_type(&volume.unwrap()), "hostPath");
    }
}
