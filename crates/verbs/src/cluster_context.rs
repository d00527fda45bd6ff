//! A connected cluster, and the reads and writes of runs that verbs share.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{ClusterAccess, VerbError, embedded::EmbeddedServer};
use flightdeck_core::{
    resources,
    runs::{Run, RunKind, naming},
};
use flightdeck_host::{
    ledger::Ledger,
    settings::Settings,
    templates::{self, TemplateError},
};
use flightdeck_preflight::{
    ClusterSource,
    cluster::{ClusterQuery, api_resource, list_runs, parse_run},
};

/// A connected cluster with the settings and the ledger. Cheap to clone.
#[derive(Clone)]
pub struct ClusterContext {
    pub client: Client,
    pub namespace: String,
    pub settings: Arc<Settings>,
    /// `None` disables archiving.
    pub ledger: Option<Ledger>,
}

impl ClusterContext {
    /// Returns the untyped API of a kind. Patches through it preserve unknown fields.
    #[must_use]
    pub fn api(&self, kind: RunKind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &api_resource(kind))
    }

    /// Lists the runs of the namespace, optionally of one repository (a value of [`naming::repository_label`]).
    pub async fn runs(&self, repository: Option<&str>) -> Result<Vec<Run>, VerbError> {
        let mut runs = Vec::new();
        for kind in RunKind::ALL {
            let listed = list_runs(&self.client, &self.namespace, kind, repository).await;
            runs.extend(listed.map_err(VerbError::cluster(format!("listing {kind} runs")))?);
        }
        Ok(runs)
    }

    /// Returns the run of that name, of either kind.
    pub async fn run(&self, name: &str) -> Result<Run, VerbError> {
        Ok(self.run_and_object(name).await?.0)
    }

    /// Returns the run of that name and the object as received from the server.
    pub async fn run_and_object(&self, name: &str) -> Result<(Run, Value), VerbError> {
        for kind in RunKind::ALL {
            let found = self
                .api(kind)
                .get_opt(name)
                .await
                .map_err(VerbError::cluster(format!("reading {kind} run {name}")))?;
            if let Some(object) = found {
                let run = parse_run(kind, &object).ok_or_else(|| {
                    VerbError::Failed(format!(
                        "{} {name} is malformed or was written by a newer version",
                        kind.resource_kind()
                    ))
                })?;
                let value = serde_json::to_value(&object).unwrap_or_default();
                return Ok((run, value));
            }
        }
        Err(VerbError::NotFound(format!(
            "no run {name} in namespace {}",
            self.namespace
        )))
    }

    /// Patches the spec of a run with the merge patch returned by `decide`, and returns the run before the change.
    ///
    /// `decide` gets the run and its spec as received from the server: a merge patch replaces lists, so a list must be extended
    /// from the server's version. On a conflict `decide` is called again with the new state.
    ///
    /// # Errors
    /// [`VerbError::Conflict`] if the run was recreated or someone else started an attempt in the meantime.
    pub async fn change_spec(
        &self,
        name: &str,
        doing: &str,
        decide: impl Fn(&Run, &Value) -> Result<Value, VerbError>,
    ) -> Result<Run, VerbError> {
        let (first, mut object) = self.run_and_object(name).await?;
        let mut run = first.clone();
        loop {
            let change = decide(&run, &object["spec"])?;
            let mut changed = object["spec"].clone();
            json_patch::merge(&mut changed, &change);
            resources::validate(run.kind.into(), &changed, Some(&object["spec"]))
                .map_err(|invalid| VerbError::Usage(format!("{doing} {name}: {invalid}")))?;
            // UID and resourceVersion make the patch conditional on the state it was decided on.
            let patch = json!({
                "metadata": { "uid": run.uid(), "resourceVersion": run.metadata.resource_version },
                "spec": change,
            });
            let params = PatchParams {
                field_manager: Some(naming::MANAGER.into()),
                ..PatchParams::default()
            };
            let changed = self
                .api(run.kind)
                .patch(name, &params, &Patch::Merge(patch))
                .await;
            let conflict = matches!(&changed, Err(kube::Error::Api(status)) if status.code == 409);
            if !conflict {
                changed.map_err(VerbError::cluster(format!("{doing} {name}")))?;
                return Ok(run);
            }
            (run, object) = self.run_and_object(name).await?;
            let same =
                run.uid() == first.uid() && run.spec.context_version == first.spec.context_version;
            if !same {
                return Err(VerbError::Conflict(format!(
                    "run {name} was changed by someone else; check it and try again"
                )));
            }
        }
    }

    /// Fails if the run's files exceed the size limit of a ConfigMap, because the run could never start. Ignores other template
    /// errors: the controller may have other templates.
    pub fn check_files(&self, run: &Run) -> Result<(), VerbError> {
        match templates::render(run, &self.settings) {
            Err(error @ TemplateError::TooLarge { .. }) => Err(VerbError::Usage(error.to_string())),
            _ => Ok(()),
        }
    }

    /// Creates the custom resource of `run`.
    pub async fn create(&self, run: Run, dry_run: bool) -> Result<Run, VerbError> {
        let (kind, name) = (run.kind, run.name().to_owned());
        let object: DynamicObject = serde_json::from_value(run.into_resource())
            .map_err(|error| VerbError::Failed(format!("run {name}: {error}")))?;
        let params = PostParams {
            dry_run,
            field_manager: Some(naming::MANAGER.into()),
        };
        let created = self
            .api(kind)
            .create(&params, &object)
            .await
            .map_err(VerbError::cluster(format!("launching {name}")))?;
        parse_run(kind, &created).ok_or_else(|| {
            VerbError::Failed(format!(
                "run {}: the server returned a malformed object",
                created.name_any()
            ))
        })
    }
}

/// The access of a context that is already connected.
impl ClusterAccess for ClusterContext {
    fn kubeconfig_context(&self) -> Option<&str> {
        None
    }

    fn namespace(&self) -> Option<&str> {
        Some(&self.namespace)
    }

    fn connect(&self) -> BoxFuture<'_, Result<ClusterContext, VerbError>> {
        futures::future::ready(Ok(self.clone())).boxed()
    }

    fn facts_source(&self) -> BoxFuture<'_, ClusterSource> {
        let query = ClusterQuery {
            client: self.client.clone(),
            disk: None,
            context: None,
            namespace: self.namespace.clone(),
            secrets: Vec::new(),
            settings: Some(Arc::clone(&self.settings)),
        };
        futures::future::ready(ClusterSource::Live(query)).boxed()
    }

    fn notice(&self, message: &str) {
        tracing::info!("{message}");
    }

    fn embedded(&self) -> Option<&dyn EmbeddedServer> {
        None
    }
}
