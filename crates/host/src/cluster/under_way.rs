//! Whether anything is to be done on a cluster, of all namespaces.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams},
};

use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::Phase,
};

/// Whether a run wants anything of the cluster; when that cannot be found out, it may.
pub async fn run_under_way(client: &Client) -> bool {
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
