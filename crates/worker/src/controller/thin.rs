//! What is kept in memory of an object that a watch tells of: thousands of them are held, and little of each is read.

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

use super::{judge, observe::RunResource, plan::at_rest};
use flightdeck_core::{resources::RunStatus, runs::Run};

/// What nobody here reads is not kept.
pub trait Thin: ResourceExt + Clone {
    fn thin(&mut self) {
        self.managed_fields_mut().clear();
    }
}

impl Thin for Job {
    fn thin(&mut self) {
        self.managed_fields_mut().clear();
        if let Some(spec) = &mut self.spec {
            spec.template = PodTemplateSpec::default();
            spec.selector = None;
        }
    }
}

impl Thin for Pod {
    fn thin(&mut self) {
        self.managed_fields_mut().clear();
        let over = judge::is_over(self);
        let Some(spec) = &mut self.spec else { return };
        // A Secret that a container waits for is named from its environment; of the rest there is much.
        let from_secret = |variable: &EnvVar| {
            let source = variable.value_from.as_ref();
            source.is_some_and(|source| source.secret_key_ref.is_some())
        };
        let thin = |container: Container| Container {
            env: container.env.filter(|_| !over).map(|env| {
                let env = env.into_iter().filter(from_secret);
                env.collect()
            }),
            name: container.name,
            ..Container::default()
        };
        let whole = std::mem::take(spec);
        let init = whole.init_containers;
        *spec = PodSpec {
            active_deadline_seconds: whole.active_deadline_seconds,
            node_name: whole.node_name,
            init_containers: init.map(|init| init.into_iter().map(thin).collect()),
            containers: whole.containers.into_iter().map(thin).collect(),
            ..PodSpec::default()
        };
    }
}

impl Thin for PartialObjectMeta<ConfigMap> {}
impl Thin for PersistentVolumeClaim {}

/// Of a run at rest no more than that it is: whoever has something to do about it after all reads it again.
impl<K: RunResource> Thin for DeserializeGuard<K> {
    fn thin(&mut self) {
        self.managed_fields_mut().clear();
        let Ok(whole) = &mut self.0 else { return };
        let run: Run = whole.clone().into();
        if !at_rest(&run) {
            return;
        }
        let mut thin = K::default();
        *thin.meta_mut() = ObjectMeta {
            name: run.metadata.name,
            namespace: run.metadata.namespace,
            uid: run.metadata.uid,
            resource_version: run.metadata.resource_version,
            generation: run.metadata.generation,
            finalizers: run.metadata.finalizers,
            deletion_timestamp: run.metadata.deletion_timestamp,
            ..ObjectMeta::default()
        };
        thin.run_spec_mut().context_version = run.spec.context_version;
        *thin.status_mut() = Some(RunStatus {
            phase: run.status.phase,
            observed_context_version: run.status.observed_context_version,
            observed_generation: run.status.observed_generation,
            ..RunStatus::default()
        });
        *whole = thin;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use flightdeck_core::resources::DocsRun;

    fn kept(change: &dyn Fn(&mut Value)) -> DocsRun {
        let mut run = json!({
            "metadata": {
                "name": "r", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 3,
                "labels": { "a": "b" }, "managedFields": [{ "manager": "somebody" }],
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
        run.thin();
        run.0.unwrap()
    }

    #[test]
    fn of_a_run_at_rest_is_kept_that_it_is_and_what_tells_it_from_others() {
        let run = kept(&|_| {});
        assert!(at_rest(&run.clone().into()));
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
    fn a_run_that_has_something_before_it_is_kept_whole() {
        let changes: [&dyn Fn(&mut Value); 4] = [
            &|run| run["spec"]["contextVersion"] = json!(3),
            &|run| {
                run["metadata"]["finalizers"] = json!([flightdeck_core::runs::naming::FINALIZER])
            },
            &|run| run["spec"]["ttlSecondsAfterFinished"] = json!(60),
            &|run| run["status"]["phase"] = json!("Running"),
        ];
        for change in changes {
            let run = kept(change);
            assert_eq!(run.spec.task_ids, ["1", "2"]);
            assert_eq!(run.status.unwrap().attempts.len(), 1);
            assert!(run.metadata.managed_fields.unwrap_or_default().is_empty());
        }
    }

    #[test]
    fn of_a_pod_that_has_not_ended_the_secrets_it_may_wait_for_are_kept_and_no_other_environment() {
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
            Pod::thin(&mut pod);
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
