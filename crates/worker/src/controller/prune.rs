//! Prunes watched objects to the fields that are used, because thousands of them are held in memory.

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{
        ConfigMap, Container, EnvVar, PersistentVolumeClaim, Pod, PodSpec, PodTemplateSpec,
    },
};
use kube::{
    ResourceExt,
    api::ObjectMeta,
    core::{DeserializeGuard, PartialObjectMeta},
};

use super::{job_state, observe::RunResource, plan::is_settled};
use flightdeck_core::{resources::RunStatus, runs::Run};

/// Removes fields that the controller does not use.
pub(crate) trait Prune: ResourceExt + Clone {
    fn prune(&mut self) {
        self.managed_fields_mut().clear();
    }
}

impl Prune for Job {
    fn prune(&mut self) {
        self.managed_fields_mut().clear();
        if let Some(spec) = &mut self.spec {
            spec.template = PodTemplateSpec::default();
            spec.selector = None;
        }
    }
}

impl Prune for Pod {
    fn prune(&mut self) {
        self.managed_fields_mut().clear();
        let terminated = job_state::is_terminated(self);
        let Some(spec) = &mut self.spec else { return };
        // Keep only variables from Secrets: a missing Secret is named from them.
        let from_secret = |variable: &EnvVar| {
            let source = variable.value_from.as_ref();
            source.is_some_and(|source| source.secret_key_ref.is_some())
        };
        let pruned = |container: Container| Container {
            env: container.env.filter(|_| !terminated).map(|env| {
                let env = env.into_iter().filter(from_secret);
                env.collect()
            }),
            name: container.name,
            ..Container::default()
        };
        let full = std::mem::take(spec);
        let init = full.init_containers;
        *spec = PodSpec {
            active_deadline_seconds: full.active_deadline_seconds,
            node_name: full.node_name,
            init_containers: init.map(|init| init.into_iter().map(pruned).collect()),
            containers: full.containers.into_iter().map(pruned).collect(),
            ..PodSpec::default()
        };
    }
}

impl Prune for PartialObjectMeta<ConfigMap> {}
impl Prune for PersistentVolumeClaim {}

/// Keeps only the identity of a settled run; code that needs the rest reads it from the API server.
impl<K: RunResource> Prune for DeserializeGuard<K> {
    fn prune(&mut self) {
        self.managed_fields_mut().clear();
        let Ok(full) = &mut self.0 else { return };
        let run: Run = full.clone().into();
        if !is_settled(&run) {
            return;
        }
        let mut pruned = K::default();
        *pruned.meta_mut() = ObjectMeta {
            name: run.metadata.name,
            namespace: run.metadata.namespace,
            uid: run.metadata.uid,
            resource_version: run.metadata.resource_version,
            generation: run.metadata.generation,
            finalizers: run.metadata.finalizers,
            deletion_timestamp: run.metadata.deletion_timestamp,
            ..ObjectMeta::default()
        };
        pruned.run_spec_mut().context_version = run.spec.context_version;
        *pruned.status_mut() = Some(RunStatus {
            phase: run.status.phase,
            observed_context_version: run.status.observed_context_version,
            observed_generation: run.status.observed_generation,
            ..RunStatus::default()
        });
        *full = pruned;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use flightdeck_core::resources::DocsRun;

    fn pruned(change: &dyn Fn(&mut Value)) -> DocsRun {
        let mut run = json!({
            "metadata": {
                "name": "r", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 3,
                "labels": { "a": "b" }, "managedFields": [{ "manager": "kubectl" }],
            },
            "spec": {
                "repositoryUrl": "/srv/x.git", "sourceBranch": "main", "taskIds": ["1", "2"], "contextVersion": 2,
                "context": [{ "filename": "a.md", "content": "long" }],
            },
            "status": {
                "phase": "Failed", "reason": "AgentFailed", "observedContextVersion": 2, "observedGeneration": 3,
                "attempts": [{ "stage": "prep", "contextVersion": 1, "attempt": 1, "jobName": "j" }],
            },
        });
        change(&mut run);
        let mut run: DeserializeGuard<DocsRun> = serde_json::from_value(run).unwrap();
        run.prune();
        run.0.unwrap()
    }

    #[test]
    fn keeps_only_the_identity_of_a_settled_run() {
        let run = pruned(&|_| {});
        assert!(is_settled(&run.clone().into()));
        assert_eq!(
            serde_json::to_value(&run.metadata).unwrap(),
            json!({ "name": "r", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 3 })
        );
        assert!(run.spec.task_ids.is_empty() && run.spec.run.context.is_empty());
        let status = run.status.unwrap();
        assert_eq!(status.phase.as_deref(), Some("Failed"));
        assert!(status.attempts.is_empty());
    }

    #[test]
    fn keeps_an_active_run_unchanged() {
        let changes: [&dyn Fn(&mut Value); 4] = [
            &|run| run["spec"]["contextVersion"] = json!(3),
            &|run| {
                run["metadata"]["finalizers"] = json!([flightdeck_core::runs::naming::FINALIZER]);
            },
            &|run| run["spec"]["ttlSecondsAfterFinished"] = json!(60),
            &|run| run["status"]["phase"] = json!("Running"),
        ];
        for change in changes {
            let run = pruned(change);
            assert_eq!(run.spec.task_ids, ["1", "2"]);
            assert_eq!(run.status.unwrap().attempts.len(), 1);
            assert!(run.metadata.managed_fields.unwrap_or_default().is_empty());
        }
    }

    #[test]
    fn keeps_only_secret_variables_of_active_pods() {
        let pod = |phase: &str| -> Pod {
            let mut pod = serde_json::from_value(json!({
                "metadata": { "name": "p" },
                "spec": { "nodeName": "n", "containers": [{ "name": "agent", "image": "x", "env": [
                    { "name": "PLAIN", "value": "v" },
                    { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } },
                ] }] },
                "status": { "phase": phase },
            }))
            .unwrap();
            Pod::prune(&mut pod);
            pod
        };
        let names = |pod: Pod| {
            let container = pod.spec.unwrap().containers.remove(0);
            let env = container.env.unwrap_or_default().into_iter();
            (
                container.name,
                env.map(|variable| variable.name).collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            names(pod("Pending")),
            ("agent".to_owned(), vec!["TOKEN".to_owned()])
        );
        assert_eq!(names(pod("Failed")), ("agent".to_owned(), vec![]));
    }
}
