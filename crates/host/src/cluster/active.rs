//! Checks whether a cluster has active runs in any namespace.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
};

use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::Phase,
};

/// Returns whether any run is active. If the runs cannot be listed, assumes that one is.
pub async fn has_active_runs(client: &Client) -> bool {
    for resource in [
        ApiResource::erase::<DocsRun>(&()),
        ApiResource::erase::<CodeRun>(&()),
    ] {
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        let Ok(list) = api.list(&ListParams::default()).await else {
            return true;
        };
        let active = |object: &DynamicObject| {
            let suspended = object.data["spec"]["suspend"].as_bool().unwrap_or_default();
            !suspended && !Phase::parse(object.data["status"]["phase"].as_str()).finished()
        };
        if list.items.iter().any(active) {
            return true;
        }
    }
    false
}
