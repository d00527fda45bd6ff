//! `migrate`: converts `TaskRun`s of an older platform to suspended DocsRuns and CodeRuns, and reports dropped fields.
//!
//! The TaskRuns are not modified. Migrating again does nothing: an annotation records the TaskRun of each run.

mod fields;
mod translate;

use std::path::Path;

use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ClusterContext, Context, LaunchSource, Render, Table, Verb, VerbError, View};
pub use fields::DroppedField;
use flightdeck_core::{
    remote_url,
    resources::{GROUP, VERSION},
    runs::{Run, RunKind, naming},
};
use flightdeck_preflight::{PreflightRequest, RemoteQuery, Report, Sources};
use translate::{Plans, translate};

/// Annotation of a run: the TaskRun it was migrated from, as `name/uid`.
const ANNOTATION_ORIGIN: &str = "flightdeck.dev/migrated-from";

/// Migrates the TaskRuns of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Migrate {
    /// ID of a task for the documentation runs, which named none; repeat for several. Default: all tasks of the plan, for runs of
    /// this repository.
    #[arg(long = "task", value_name = "ID")]
    #[serde(default)]
    pub tasks: Vec<String>,
    /// Create nothing; only validate on the server.
    #[arg(long)]
    #[serde(default)]
    pub dry_run: bool,
}

/// The result of a migration, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigrateReport {
    pub dry_run: bool,
    pub task_runs: Vec<MigratedRun>,
    /// Namespace, for the command that starts a run.
    #[serde(skip)]
    #[schemars(skip)]
    namespace: String,
}

/// The result for one TaskRun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MigratedRun {
    /// Name of the TaskRun and of the run.
    pub name: String,
    /// `None` if it cannot be determined.
    pub kind: Option<RunKind>,
    pub outcome: MigrateOutcome,
    /// Fields without a counterpart.
    pub dropped: Vec<DroppedField>,
}

/// Result of migrating one TaskRun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "outcome", content = "why")]
pub enum MigrateOutcome {
    /// A suspended run was created, or would be.
    Created,
    /// The TaskRun was migrated before.
    AlreadyMigrated,
    /// No run was created, for this reason.
    Failed(String),
}

impl MigrateReport {
    /// Whether every TaskRun has a run.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let failed = |run: &MigratedRun| matches!(run.outcome, MigrateOutcome::Failed(_));
        !self.task_runs.iter().any(failed)
    }
}

impl Verb for Migrate {
    const NAME: &'static str = "migrate";
    const ABOUT: &'static str = "Create suspended runs from the TaskRuns of an older platform";
    type Output = MigrateReport;

    /// Migrates all TaskRuns of the namespace, continuing after failures. Documentation runs get the tasks of the plan in the
    /// working directory.
    ///
    /// # Errors
    /// If the cluster does not serve TaskRuns or is unreachable.
    async fn run(self, context: &Context) -> Result<MigrateReport, VerbError> {
        let cluster = context.cluster().await?;
        let mut old = task_runs(cluster).await?;
        old.sort_by_key(ResourceExt::name_any);
        let plans = Plans {
            named: self.tasks.clone(),
            here: if self.tasks.is_empty() {
                plan_at(&context.start).await
            } else {
                None
            },
        };
        let mut report = MigrateReport {
            dry_run: self.dry_run,
            task_runs: Vec::new(),
            namespace: cluster.namespace.clone(),
        };
        for object in &old {
            report
                .task_runs
                .push(self.migrate(cluster, object, &plans).await);
        }
        Ok(report)
    }
}

impl Migrate {
    async fn migrate(
        &self,
        context: &ClusterContext,
        object: &DynamicObject,
        plans: &Plans,
    ) -> MigratedRun {
        let name = object.name_any();
        let (run, dropped) = translate(object, &context.settings, plans);
        let kind = run.as_ref().ok().map(|run| run.kind);
        let outcome = match run {
            Err(why) => MigrateOutcome::Failed(why),
            Ok(run) => self
                .create(context, object, run)
                .await
                .unwrap_or_else(|error| MigrateOutcome::Failed(error.to_string())),
        };
        MigratedRun {
            name,
            kind,
            outcome,
            dropped,
        }
    }

    async fn create(
        &self,
        context: &ClusterContext,
        object: &DynamicObject,
        mut run: Run,
    ) -> Result<MigrateOutcome, VerbError> {
        let name = run.name().to_owned();
        let origin = format!("{name}/{}", object.uid().unwrap_or_default());
        let doing = VerbError::cluster(format!("looking for {} run {name}", run.kind));
        if let Some(existing) = context.api(run.kind).get_opt(&name).await.map_err(doing)? {
            return if existing.annotations().get(ANNOTATION_ORIGIN) == Some(&origin) {
                Ok(MigrateOutcome::AlreadyMigrated)
            } else {
                Err(VerbError::Conflict(format!(
                    "a {} {name} exists that was not migrated from this TaskRun",
                    run.kind.resource_kind()
                )))
            };
        }
        let annotations = run.metadata.annotations.get_or_insert_default();
        annotations.insert(ANNOTATION_ORIGIN.to_owned(), origin);
        annotations.insert(
            naming::ANNOTATION_LAUNCHED_FROM.to_owned(),
            format!("flightdeck {} migrate", env!("CARGO_PKG_VERSION")),
        );
        run.validate()
            .map_err(|invalid| VerbError::Usage(invalid.to_string()))?;
        context.create(run, self.dry_run).await?;
        Ok(MigrateOutcome::Created)
    }
}

impl Render for MigrateReport {
    fn names(&self) -> Vec<String> {
        self.task_runs.iter().map(|run| run.name.clone()).collect()
    }

    fn view(&self) -> View {
        if self.task_runs.is_empty() {
            return View::Notices;
        }
        let row = |run: &MigratedRun| {
            let outcome = match &run.outcome {
                MigrateOutcome::Created if self.dry_run => "would be created, suspended".to_owned(),
                MigrateOutcome::Created => "created, suspended".to_owned(),
                MigrateOutcome::AlreadyMigrated => "already migrated".to_owned(),
                MigrateOutcome::Failed(why) => format!("not migrated: {why}"),
            };
            let kind = run.kind.map_or("?", |kind| kind.resource_kind());
            vec![run.name.clone(), kind.to_owned(), outcome]
        };
        let runs = self.task_runs.iter().map(row).collect();
        let dropped = self.task_runs.iter().flat_map(|run| {
            let row = |dropped: &DroppedField| {
                vec![run.name.clone(), dropped.field.clone(), dropped.why.clone()]
            };
            run.dropped.iter().map(row)
        });
        let mut tables = vec![Table::new(&["TASKRUN", "KIND", "RESULT"], runs)];
        let dropped: Vec<Vec<String>> = dropped.collect();
        if !dropped.is_empty() {
            tables.push(Table::new(
                &["TASKRUN", "DROPPED FIELD", "INSTEAD"],
                dropped,
            ));
        }
        View::Tables(tables)
    }

    fn notices(&self) -> Vec<String> {
        if self.task_runs.is_empty() {
            return vec!["no TaskRuns in this namespace".into()];
        }
        let mut created = self.task_runs.iter();
        let created = created.find(|run| run.outcome == MigrateOutcome::Created && !self.dry_run);
        let command = created.and_then(|run| {
            let plural = format!("{}s.{GROUP}", run.kind?.resource_kind().to_lowercase());
            Some(format!(
                "The runs are suspended. To start one: kubectl --namespace {} patch {plural} {} --type merge --patch '{{\"spec\":{{\"suspend\":false}}}}'",
                self.namespace, run.name
            ))
        });
        command.into_iter().collect()
    }

    fn exit_code(&self) -> u8 {
        u8::from(!self.is_complete())
    }
}

async fn task_runs(context: &ClusterContext) -> Result<Vec<DynamicObject>, VerbError> {
    let kind = GroupVersionKind::gvk(GROUP, VERSION, "TaskRun");
    let resource = ApiResource::from_gvk_with_plural(&kind, "taskruns");
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &context.namespace, &resource);
    let mut page = ListParams::default().limit(500);
    let mut found = Vec::new();
    loop {
        let list = match api.list(&page).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Err(VerbError::NotFound(
                    "the cluster does not serve taskruns.orchestrator.io".to_owned(),
                ));
            }
            list => list.map_err(VerbError::cluster("listing TaskRuns"))?,
        };
        let token = list.metadata.continue_.clone().unwrap_or_default();
        found.extend(list.items);
        if token.is_empty() {
            return Ok(found);
        }
        page = page.continue_token(&token);
    }
}

/// Returns the URL of the repository at `start` and the IDs of its plan's tasks. Offline.
async fn plan_at(start: &Path) -> Option<(String, Vec<String>)> {
    let request = PreflightRequest {
        tag: Some("master".to_owned()),
        ..PreflightRequest::new(RunKind::Docs)
    };
    let sources = Sources::repository(start.to_owned(), RemoteQuery::Cached(None));
    let facts = flightdeck_preflight::gather(&request, sources).await;
    let subject = LaunchSource::new(&facts, &Report::of(&facts)).ok()?;
    let tasks = subject.tasks.into_iter().map(|(id, _)| id).collect();
    Some((remote_url::identity(&subject.repository_url), tasks))
}
