//! Lists runs.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
};

use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::{Run, RunKind, naming},
};

/// Objects per page of a list.
const PAGE: u32 = 500;

/// Lists the runs of one kind, optionally of one repository (a value of [`naming::repository_label`]). Skips malformed objects.
pub async fn list_runs(
    client: &Client,
    namespace: &str,
    kind: RunKind,
    repository: Option<&str>,
) -> Result<Vec<Run>, kube::Error> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), namespace, &api_resource(kind));
    let mut page = ListParams::default().limit(PAGE);
    if let Some(label) = repository {
        page = page.labels(&format!("{}={label}", naming::LABEL_REPOSITORY));
    }
    let mut runs = Vec::new();
    loop {
        let list = api.list(&page).await?;
        runs.extend(
            list.items
                .iter()
                .filter_map(|object| parse_run(kind, object)),
        );
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(runs),
        }
    }
}

/// Returns the API resource of a kind, for untyped access.
#[must_use]
pub fn api_resource(kind: RunKind) -> ApiResource {
    match kind {
        RunKind::Docs => ApiResource::erase::<DocsRun>(&()),
        RunKind::Code => ApiResource::erase::<CodeRun>(&()),
    }
}

/// Parses an object as a run; `None` if it is malformed.
#[must_use]
pub fn parse_run(kind: RunKind, object: &DynamicObject) -> Option<Run> {
    match kind {
        RunKind::Docs => object.clone().try_parse::<DocsRun>().ok().map(Run::from),
        RunKind::Code => object.clone().try_parse::<CodeRun>().ok().map(Run::from),
    }
}
