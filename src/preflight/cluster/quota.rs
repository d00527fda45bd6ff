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

/// A Kubernetes quantity as a number: `500m` is 0.5, `1Gi` is 1073741824. `None` when it is none.
#[must_use]
pub fn quantity(text: &str) -> Option<f64> {
    const SUFFIXES: [(&str, f64); 14] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
    ];
    let text = text.trim();
    let (digits, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    let number: f64 = digits.parse().ok()?;
    number.is_finite().then_some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_numbers() {
        for (text, number) in [
            ("10", Some(10.0)),
            ("500m", Some(0.5)),
            ("1Gi", Some(1_073_741_824.0)),
            ("1.5k", Some(1500.0)),
            ("1e3", Some(1000.0)),
            ("", None),
            ("many", None),
            ("inf", None),
        ] {
            assert_eq!(quantity(text), number, "{text}");
        }
    }
}
