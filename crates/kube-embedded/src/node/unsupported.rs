//! What a pod may ask for that this node cannot give. It is said, never passed over: such a pod waits with the sentence.
//!
//! Passed over because it holds in its way, or cannot matter with one machine and one account: images (programs are
//! this machine's), users and groups (processes are the person's own), resource requests and limits (not enforced),
//! node selectors, affinities and tolerations (there is one node), network and DNS settings (the machine's), read-only
//! mounts (see [`super::paths`]), and changes of a ConfigMap or Secret after the pod has begun (its files stay as they were).

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Volume};
use serde_json::Value;

use super::paths::is_component;

/// The first thing `pod` asks for that cannot be had here, as a sentence.
#[must_use]
pub fn refusal(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let init = spec.init_containers.iter().flatten();
    of_pod(spec)
        .map(str::to_owned)
        .or_else(|| {
            let lasting = |container: &&Container| container.restart_policy.is_some();
            let sidecar = init.clone().find(lasting)?;
            Some(format!(
                "a restart policy of its own (init container {:?})",
                sidecar.name
            ))
        })
        .or_else(|| {
            init.clone().chain(&spec.containers).find_map(|container| {
                let what = of_container(container)?;
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
        .map(|what| format!("the embedded node cannot give a pod {what}"))
}

fn of_pod(spec: &PodSpec) -> Option<&'static str> {
    let some = |list: bool, what| list.then_some(what);
    some(
        spec.scheduling_gates
            .as_ref()
            .is_some_and(|gates| !gates.is_empty()),
        "scheduling gates",
    )
    .or(some(
        spec.runtime_class_name.is_some(),
        "a runtime class: containers are processes of this machine",
    ))
}

fn of_container(container: &Container) -> Option<&'static str> {
    let privileged = container.security_context.as_ref();
    let asked = [
        (
            privileged.and_then(|context| context.privileged) == Some(true),
            "privileges: its processes are the person's own",
        ),
        (container.lifecycle.is_some(), "lifecycle hooks"),
        (container.liveness_probe.is_some(), "a liveness probe"),
        (container.readiness_probe.is_some(), "a readiness probe"),
        (container.startup_probe.is_some(), "a startup probe"),
        (container.volume_devices.is_some(), "block devices"),
        (
            container.stdin == Some(true) || container.tty == Some(true),
            "a terminal or an input",
        ),
    ];
    asked
        .into_iter()
        .find_map(|(asks, what)| asks.then_some(what))
}

/// The type of a volume, as its field is called.
#[must_use]
pub fn volume_type(volume: &Volume) -> String {
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
    fn what_would_change_the_meaning_of_a_pod_is_named_with_its_container() {
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
                Some("privileges"),
            ),
            (
                json!({}),
                json!({"livenessProbe": probe}),
                Some("a liveness probe"),
            ),
            (
                json!({}),
                json!({"readinessProbe": probe}),
                Some("a readiness probe"),
            ),
            (
                json!({}),
                json!({"startupProbe": probe}),
                Some("a startup probe"),
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
                Some("of its own (init container \"side\")"),
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
            let said = refusal(&pod);
            match part {
                None => assert_eq!(said, None),
                Some(part) => assert!(said.clone().unwrap().contains(part), "{said:?}"),
            }
        }
    }

    #[test]
    fn a_volume_is_called_by_its_type() {
        let volume = serde_json::from_value(json!({"name": "v", "hostPath": {"path": "/"}}));
        assert_eq!(volume_type(&volume.unwrap()), "hostPath");
    }
}
