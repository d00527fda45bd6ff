//! Resource quotas: what is allowed and used, in numbers.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceQuota;

/// One limit of one ResourceQuota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Name of the ResourceQuota.
    pub name: String,
    /// `pods`, `requests.memory`
    pub resource: String,
    /// As it is written: `10`, `8Gi`.
    pub hard: String,
    pub used: String,
}

impl Quota {
    /// The limits of a ResourceQuota, in the order of their names.
    pub(super) fn of(quota: ResourceQuota) -> Vec<Self> {
        let name = quota.metadata.name.unwrap_or_default();
        let status = quota.status.unwrap_or_default();
        let written = |map: Option<BTreeMap<_, _>>| -> BTreeMap<String, String> {
            map.unwrap_or_default()
                .into_iter()
                .map(
                    |(resource, quantity): (
                        String,
                        k8s_openapi::apimachinery::pkg::api::resource::Quantity,
                    )| (resource, quantity.0),
                )
                .collect()
        };
        let mut used = written(status.used);
        let limits = written(status.hard).into_iter();
        limits
            .map(|(resource, hard)| Self {
                name: name.clone(),
                used: used.remove(&resource).unwrap_or_else(|| "0".into()),
                resource,
                hard,
            })
            .collect()
    }
}
