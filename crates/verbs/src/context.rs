//! What every verb is given: a cluster, a namespace, the settings, the ledger.

use std::sync::Arc;

use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::VerbError;
use flightdeck_core::{
    resources::{self, CodeRun, DocsRun},
    runs::{Run, RunKind, naming},
};
use flightdeck_host::{
    ledger::Ledger,
    settings::Settings,
    templates::{self, TemplateError},
};

/// What every verb is given. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    pub client: Client,
    pub namespace: String,
    pub settings: Arc<Settings>,
    /// What outlives a run; `None` keeps nothing.
    pub ledger: Option<Ledger>,
}

impl Context {
    /// The untyped API of a kind: patches through it keep fields that this version does not know.
    #[must_use]
    pub fn api(&self, kind: RunKind) -> Api<DynamicObject> {
        let resource = match kind {
            RunKind::Docs => ApiResource::erase::<DocsRun>(&()),
            RunKind::Code => ApiResource::erase::<CodeRun>(&()),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// Every run of the namespace; with `repository` (a value of [`naming::repository_label`]) only that repository's.
    pub async fn runs(&self, repository: Option<&str>) -> Result<Vec<Run>, VerbError> {
        let mut params = ListParams::default().limit(500);
        if let Some(label) = repository {
            params = params.labels(&format!("{}={label}", naming::LABEL_REPOSITORY));
        }
        let mut runs = Vec::new();
        for kind in RunKind::ALL {
            let mut page = params.clone();
            loop {
                let list = self
                    .api(kind)
                    .list(&page)
                    .await
                    .map_err(VerbError::cluster(format!("listing {kind} runs")))?;
                let token = list
                    .metadata
                    .continue_
                    .clone()
                    .filter(|token| !token.is_empty());
                runs.extend(list.items.iter().filter_map(|object| parse(kind, object)));
                match token {
                    Some(token) => page = page.continue_token(&token),
                    None => break,
                }
            }
        }
        Ok(runs)
    }

    /// The run of that name, of either kind.
    pub async fn run(&self, name: &str) -> Result<Run, VerbError> {
        Ok(self.run_and_object(name).await?.0)
    }

    /// The run of that name, and the object as the server has it.
    pub async fn run_and_object(&self, name: &str) -> Result<(Run, Value), VerbError> {
        for kind in RunKind::ALL {
            let found = self
                .api(kind)
                .get_opt(name)
                .await
                .map_err(VerbError::cluster(format!("reading {kind} run {name}")))?;
            if let Some(object) = found {
                let run = parse(kind, &object).ok_or_else(|| {
                    VerbError::Failed(format!(
                        "{} {name} is not of the shape this version knows",
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

    /// Changes the spec of the run of that name by what `decide` says of the run and of its spec as the server has it: a list is
    /// replaced whole, so that one that is added to must be that one, not what this version understood of it. The change is bound to the very state it was
    /// decided on; when the controller wrote a status in between it is decided anew. A run that was made again under the
    /// same name, or that somebody else has given another attempt, is a conflict. Returns the run as it was.
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
                    "run {name} was changed by somebody else; look at it again"
                )));
            }
        }
    }

    /// Refuses a run whose files would not fit into a ConfigMap: it would wait for ever. Only the controller knows the templates
    /// it was given; what else may be wrong with them is its to say.
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
        parse(kind, &created).ok_or_else(|| {
            VerbError::Failed(format!(
                "run {}: the server's answer is no run",
                created.name_any()
            ))
        })
    }
}

/// The run in an object; `None` when it is malformed, which never blinds a list.
fn parse(kind: RunKind, object: &DynamicObject) -> Option<Run> {
    match kind {
        RunKind::Docs => object.clone().try_parse::<DocsRun>().ok().map(Run::from),
        RunKind::Code => object.clone().try_parse::<CodeRun>().ok().map(Run::from),
    }
}
