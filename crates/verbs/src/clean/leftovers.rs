//! Objects that belong to no run: objects of runs that no longer exist, and shared workspaces that have been unused for a long
//! time.
//!
//! The controller deletes only objects of its own run, by owner reference and UID, so a person has to delete these.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        batch::v1::Job,
        core::v1::{ConfigMap, PersistentVolumeClaim, Pod},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Resource,
    api::{DeleteParams, ListParams, Preconditions},
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Clean, Rule, older};
use crate::{ClusterContext, VerbError};
use flightdeck_core::{
    runs::{Run, RunKind, naming},
    text,
};

/// Seconds without a run after which a workspace is unused: thirty days.
const UNUSED: i64 = 30 * 86_400;

/// An object to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Leftover {
    /// `Job`, `ConfigMap` or `PersistentVolumeClaim`.
    pub kind: &'static str,
    pub name: String,
    pub uid: String,
    pub rule: Rule,
    /// Explains the rule for this object, as a phrase.
    pub why: String,
}

/// The objects of a namespace, as far as they can be leftovers.
#[derive(Clone, Debug, Default)]
pub struct NamespaceObjects {
    /// Our objects, with their kinds.
    pub objects: Vec<(&'static str, ObjectMeta)>,
    /// Claims used by pods that have not ended.
    pub in_use: BTreeSet<String>,
    /// UIDs of all runs, including those that this version cannot parse.
    pub run_uids: BTreeSet<String>,
    pub runs: Vec<Run>,
}

impl NamespaceObjects {
    /// Lists the namespace. Objects are listed before runs, so that an object of a new run is never taken for an orphan.
    pub async fn list(context: &ClusterContext) -> Result<Self, VerbError> {
        let mut found = Self::default();
        found.add::<Job>(context).await?;
        found.add::<ConfigMap>(context).await?;
        found.add::<PersistentVolumeClaim>(context).await?;
        let pods: Api<Pod> = Api::namespaced(context.client.clone(), &context.namespace);
        let pods = pods.list(&ListParams::default()).await;
        for pod in pods.map_err(VerbError::cluster("listing pods"))? {
            let phase = pod.status.and_then(|status| status.phase);
            if matches!(phase.as_deref(), Some("Succeeded" | "Failed")) {
                continue;
            }
            let volumes = pod.spec.and_then(|spec| spec.volumes).unwrap_or_default();
            let claims = volumes
                .into_iter()
                .filter_map(|volume| Some(volume.persistent_volume_claim?.claim_name));
            found.in_use.extend(claims);
        }
        for kind in RunKind::ALL {
            let runs = context
                .api(kind)
                .list_metadata(&ListParams::default())
                .await
                .map_err(VerbError::cluster("listing runs"))?;
            let uids = runs.items.into_iter().filter_map(|run| run.metadata.uid);
            found.run_uids.extend(uids);
        }
        found.runs = context.runs(None).await?;
        Ok(found)
    }

    async fn add<K>(&mut self, context: &ClusterContext) -> Result<(), VerbError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let kind = kind_of(&K::kind(&()));
        let api: Api<K> = Api::namespaced(context.client.clone(), &context.namespace);
        let selector = format!("{}={}", naming::LABEL_MANAGED_BY, naming::MANAGER);
        let listed = api
            .list_metadata(&ListParams::default().labels(&selector))
            .await;
        let listed = listed.map_err(VerbError::cluster(format!("listing {kind}s")))?;
        let all = listed.items.into_iter().map(|object| object.metadata);
        self.objects.extend(all.map(|metadata| (kind, metadata)));
        Ok(())
    }
}

fn kind_of(name: &str) -> &'static str {
    ["Job", "ConfigMap", "PersistentVolumeClaim"]
        .into_iter()
        .find(|kind| *kind == name)
        .unwrap_or_default()
}

impl Clean {
    /// Whether leftovers are selected. They belong to no repository, so this takes one of their rules.
    #[must_use]
    pub fn wants_leftovers(&self) -> bool {
        let rules = [Rule::Orphan, Rule::Workspace];
        rules.iter().any(|rule| self.rules.contains(rule))
    }

    /// Selects leftovers at the time `now`, by rule, kind and name. Pure.
    pub fn select_leftovers(
        &self,
        found: &NamespaceObjects,
        now: Timestamp,
    ) -> Result<Vec<Leftover>, VerbError> {
        let limit = match &self.older {
            Some(age) => older(age)?,
            None => UNUSED,
        };
        let selected = found.objects.iter().filter_map(|(kind, metadata)| {
            if metadata.deletion_timestamp.is_some() {
                return None;
            }
            let (rule, why) =
                orphan(metadata, found).or_else(|| unused(kind, metadata, found, limit, now))?;
            self.rules.contains(&rule).then(|| Leftover {
                kind,
                name: metadata.name.clone().unwrap_or_default(),
                uid: metadata.uid.clone().unwrap_or_default(),
                rule,
                why,
            })
        });
        let mut selected: Vec<Leftover> = selected.collect();
        selected.sort_by(|a, b| (a.rule, a.kind, &a.name).cmp(&(b.rule, b.kind, &b.name)));
        Ok(selected)
    }
}

fn label<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    Some(metadata.labels.as_ref()?.get(name)?.as_str())
}

/// Returns the rule for an object whose run no longer exists.
fn orphan(metadata: &ObjectMeta, found: &NamespaceObjects) -> Option<(Rule, String)> {
    let uid = label(metadata, naming::LABEL_RUN_UID)?;
    if found.run_uids.contains(uid) {
        return None;
    }
    let run = label(metadata, naming::LABEL_RUN).unwrap_or("a run");
    Some((Rule::Orphan, format!("run {run} ({uid}) no longer exists")))
}

/// Returns the rule for a shared workspace of code runs that no run has used since the limit.
fn unused(
    kind: &str,
    metadata: &ObjectMeta,
    found: &NamespaceObjects,
    limit: i64,
    now: Timestamp,
) -> Option<(Rule, String)> {
    let name = metadata.name.as_deref()?;
    let shared = kind == "PersistentVolumeClaim"
        && label(metadata, naming::LABEL_RUN_UID).is_none()
        && label(metadata, naming::LABEL_REPOSITORY).is_some();
    if !shared || found.in_use.contains(name) {
        return None;
    }
    let users = found.runs.iter();
    let users: Vec<&Run> = users
        .filter(|run| run.status.workspace_name.as_deref() == Some(name))
        .collect();
    if users.iter().any(|run| !run.ended()) {
        return None;
    }
    let ended = users
        .iter()
        .filter_map(|run| run.status.finished_at.as_deref()?.parse().ok());
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
    let last: Timestamp = ended.chain(created).max()?;
    let age = now.duration_since(last).as_secs();
    (age >= limit).then(|| {
        let why = format!("unused for {}", text::age(age));
        (Rule::Workspace, why)
    })
}

impl Leftover {
    /// Returns `Kind/name`.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// Deletes the object of this UID.
    pub(super) async fn delete(&self, context: &ClusterContext) -> Result<(), VerbError> {
        match self.kind {
            "Job" => self.delete_as::<Job>(context).await,
            "ConfigMap" => self.delete_as::<ConfigMap>(context).await,
            _ => self.delete_as::<PersistentVolumeClaim>(context).await,
        }
    }

    async fn delete_as<K>(&self, context: &ClusterContext) -> Result<(), VerbError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(context.client.clone(), &context.namespace);
        let parameters = DeleteParams::background().preconditions(Preconditions {
            uid: Some(self.uid.clone()),
            resource_version: None,
        });
        let deleted = api.delete(&self.name, &parameters).await;
        let what = format!("deleting {} {}", self.kind, self.name);
        deleted.map(drop).map_err(VerbError::cluster(what))
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use flightdeck_core::resources::CodeRun;

    const NOW: i64 = 1_000_000_000;

    fn at(age: i64) -> Timestamp {
        Timestamp::from_second(NOW - age).unwrap()
    }

    fn object(name: &str, age: i64, labels: &[(&str, &str)]) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.into()),
            uid: Some(format!("uid-{name}")),
            creation_timestamp: Some(Time(at(age))),
            labels: Some(
                labels
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
            ..ObjectMeta::default()
        }
    }

    fn code_run(workspace: &str, phase: &str, ended: i64) -> Run {
        let run: CodeRun = serde_json::from_value(serde_json::json!({
            "apiVersion": "orchestrator.io/v1", "kind": "CodeRun", "metadata": { "name": "code-1", "uid": "there" },
            "spec": { "repositoryUrl": "/srv/shop.git", "sourceBranch": "main", "taskId": "1", "service": "shop" },
            "status": {
                "phase": phase, "workspaceName": workspace, "observedContextVersion": 1,
                "finishedAt": at(ended).to_string(),
            },
        }))
        .unwrap();
        run.into()
    }

    fn selected(found: &NamespaceObjects, older: Option<&str>) -> Vec<String> {
        let clean = Clean {
            older: older.map(str::to_owned),
            rules: vec![Rule::Orphan, Rule::Workspace],
            ..Clean::default()
        };
        let selected = clean.select_leftovers(found, at(0)).unwrap();
        selected
            .iter()
            .map(|left| format!("{} {} {}", left.rule.as_str(), left.kind, left.name))
            .collect()
    }

    #[test]
    fn selects_objects_of_missing_runs_only() {
        let labels = |uid: &'static str| [(naming::LABEL_RUN_UID, uid)];
        let mut deleting = object("deleting", 0, &labels("gone"));
        deleting.deletion_timestamp = Some(Time(at(0)));
        let found = NamespaceObjects {
            objects: vec![
                ("Job", object("lost", 0, &labels("gone"))),
                ("ConfigMap", object("files", 0, &labels("there"))),
                (
                    "PersistentVolumeClaim",
                    object("work", 0, &labels("unreadable")),
                ),
                ("Job", deleting),
            ],
            run_uids: ["there".to_owned(), "unreadable".to_owned()].into(),
            ..NamespaceObjects::default()
        };
        assert_eq!(selected(&found, None), ["orphan Job lost"]);
    }

    #[test]
    fn selects_workspaces_without_recent_run_or_pod() {
        let claim = |name: &str, age: i64| {
            let shared = [(naming::LABEL_REPOSITORY, "shop")];
            ("PersistentVolumeClaim", object(name, age, &shared))
        };
        let old = 40 * 86_400;
        let found = |runs: Vec<Run>, in_use: &[&str]| NamespaceObjects {
            objects: vec![claim("old", old), claim("young", 86_400)],
            in_use: in_use.iter().map(|name| (*name).to_owned()).collect(),
            run_uids: ["there".to_owned()].into(),
            runs,
        };
        let unused = ["workspace PersistentVolumeClaim old"];
        assert_eq!(selected(&found(vec![], &[]), None), unused);
        let none: [String; 0] = [];
        assert_eq!(selected(&found(vec![], &["old"]), None), none);
        let recent = code_run("old", "Succeeded", 86_400);
        assert_eq!(selected(&found(vec![recent], &[]), None), none);
        let active = code_run("old", "Running", old);
        assert_eq!(selected(&found(vec![active], &[]), None), none);
        assert_eq!(selected(&found(vec![], &[]), Some("12h")).len(), 2);
    }

    #[test]
    fn leftovers_need_a_rule() {
        assert!(!Clean::default().wants_leftovers());
        let clean = Clean {
            rules: vec![Rule::Workspace],
            ..Clean::default()
        };
        assert!(clean.wants_leftovers());
    }
}
