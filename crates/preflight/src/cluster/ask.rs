//! Queries a cluster. Read-only, apart from SelfSubjectAccessReviews.

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::future::join_all;
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        authorization::v1::{
            ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
        },
        coordination::v1::Lease,
        core::v1::{ConfigMap, ResourceQuota, Secret},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    api::{ListParams, PostParams},
    core::Request,
};

use super::{
    ClusterFacts, ClusterState, Controller, Disk, LEASE, Permission, Quota, Reachability,
    SecretFact, SecretRequirement, SecretState, Served, required_secrets,
};
use crate::{cause::cause, request::ClusterSource};
use flightdeck_core::{
    resources::{CodeRun, DocsRun},
    runs::RunKind,
};
use flightdeck_host::{
    settings::{PULL_REQUEST_MAP, SETTINGS_KEY, SETTINGS_MAP, Settings},
    templates,
};

/// Time limit of the whole query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Default of `leaseDurationSeconds`.
const LEASE_SECONDS: i32 = 15;
/// Maximum size of an answer with a Lease, in bytes.
const MAX_LEASE_SIZE: usize = 1 << 20;
/// How long to wait before reading a stale Lease again. Clocks may differ, but a renewal is proof.
const RENEWAL: Duration = Duration::from_secs(5);

/// Permissions to check.
const NEEDED: &[Permission] = &[
    launch(RunKind::Docs, "create"),
    launch(RunKind::Docs, "list"),
    launch(RunKind::Code, "create"),
    launch(RunKind::Code, "list"),
    observe("orchestrator.io", "watch", RunKind::Docs.plural()),
    observe("orchestrator.io", "watch", RunKind::Code.plural()),
    observe("", "list", "pods"),
    observe("", "get", "pods/log"),
];

const fn launch(kind: RunKind, verb: &'static str) -> Permission {
    Permission {
        verb,
        group: "orchestrator.io",
        resource: kind.plural(),
        launches: Some(kind),
    }
}

const fn observe(group: &'static str, verb: &'static str, resource: &'static str) -> Permission {
    Permission {
        verb,
        group,
        resource,
        launches: None,
    }
}

/// Which cluster to query, and for what.
#[derive(Clone)]
pub struct ClusterQuery {
    pub client: Client,
    /// `None` for the embedded cluster.
    pub context: Option<String>,
    pub namespace: String,
    /// Secrets to look up; none on the embedded cluster.
    pub secrets: Vec<SecretRequirement>,
    /// Settings of this machine. The embedded controller uses them; a real one reads its own from a ConfigMap.
    pub settings: Option<Arc<Settings>>,
    /// State directory of the embedded node.
    pub disk: Option<PathBuf>,
}

/// Returns the facts of `source`, for a run with this agent and GitHub account.
pub async fn facts(
    source: &ClusterSource,
    agent: Option<&str>,
    github_user: Option<&str>,
) -> Option<ClusterFacts> {
    match source {
        ClusterSource::None => None,
        ClusterSource::Known(facts) => Some(facts.clone()),
        ClusterSource::Live(cluster) => {
            let mut cluster = cluster.clone();
            if let (Some(_), Some(settings)) = (&cluster.context, &cluster.settings) {
                cluster.secrets =
                    required_secrets(settings, agent.unwrap_or_default(), github_user);
            }
            Some(query(cluster).await)
        }
    }
}

/// Queries the cluster. Never fails: being unreachable is a fact as well.
pub async fn query(request: ClusterQuery) -> ClusterFacts {
    let asked = async { tokio::join!(answers(&request), settings(&request)) };
    let (answered, settings) = match tokio::time::timeout(QUERY_TIMEOUT, asked).await {
        Ok((Ok(answers), settings)) => (Reachability::Reachable(Box::new(answers)), settings),
        Ok((Err(why), _)) => (Reachability::Unreachable(why), None),
        Err(_) => {
            let why = format!("no answer within {} s", QUERY_TIMEOUT.as_secs());
            (Reachability::Unreachable(why), None)
        }
    };
    ClusterFacts {
        reached: answered,
        settings,
        disk: request.disk.as_deref().and_then(Disk::of),
        context: request.context,
        namespace: request.namespace,
    }
}

async fn answers(request: &ClusterQuery) -> Result<ClusterState, String> {
    // Find out first whether the cluster is reachable; then send everything else concurrently.
    let docs = served::<DocsRun>(&request.client).await?;
    let (code, denied, controller, secrets, quotas) = tokio::join!(
        served::<CodeRun>(&request.client),
        denied(request),
        controller(request, RENEWAL),
        join_all(request.secrets.iter().map(|wanted| secret(request, wanted))),
        quotas(request),
    );
    Ok(ClusterState {
        served: vec![(RunKind::Docs, docs), (RunKind::Code, code?)],
        denied,
        controller,
        secrets,
        quotas,
    })
}

/// Returns the controller's settings, if readable. Without a ConfigMap the defaults apply. An invalid ConfigMap leaves the
/// previous settings in force, which are unknown.
async fn settings(request: &ClusterQuery) -> Option<Arc<Settings>> {
    let maps: Api<ConfigMap> = Api::namespaced(request.client.clone(), &request.namespace);
    let own = async {
        if request.context.is_none() {
            return request.settings.as_deref().cloned();
        }
        match maps.get_opt(SETTINGS_MAP).await.ok()? {
            Some(map) => Settings::for_controller(map.data?.get(SETTINGS_KEY)?).ok(),
            None => Some(Settings::shipped()),
        }
    };
    let pull_requests = async {
        let map = maps.get_opt(PULL_REQUEST_MAP).await.ok()?;
        let options = map.and_then(|map| map.data).unwrap_or_default();
        templates::validate_pull_request_options(RunKind::Docs, options).ok()
    };
    let (own, pull_requests) = tokio::join!(own, pull_requests);
    Some(Arc::new(own?.with_pull_request_options(pull_requests?)))
}

/// Returns why a request failed.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 401 => "it rejects your credentials".into(),
        error => cause(error),
    }
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    }
}

async fn served<K: Resource<DynamicType = ()>>(client: &Client) -> Result<Served, String> {
    let (group, version) = (K::group(&()), K::version(&()));
    let listed = client
        .list_api_group_resources(&format!("{group}/{version}"))
        .await;
    match listed {
        Ok(list) => {
            let plural = K::plural(&());
            if list.resources.iter().any(|kind| kind.name == plural) {
                return Ok(Served::Yes);
            }
        }
        Err(error) if code(&error) == 404 => {}
        Err(error) => return Err(words(&error)),
    }
    let groups = client
        .list_api_groups()
        .await
        .map_err(|error| words(&error))?;
    let others: Vec<String> = groups
        .groups
        .into_iter()
        .filter(|known| known.name == group)
        .flat_map(|known| known.versions)
        .map(|known| known.version)
        .filter(|known| *known != version)
        .collect();
    Ok(if others.is_empty() {
        Served::No
    } else {
        Served::Other(others)
    })
}

/// Returns the permissions that are denied. A review that fails counts as allowed.
async fn denied(request: &ClusterQuery) -> Vec<Permission> {
    let api: Api<SelfSubjectAccessReview> = Api::all(request.client.clone());
    let parameters = PostParams::default();
    let asked = NEEDED.iter().map(|permission| {
        let (resource, subresource) = match permission.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (permission.resource, None),
        };
        let review = SelfSubjectAccessReview {
            metadata: ObjectMeta::default(),
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(request.namespace.clone()),
                    verb: Some(permission.verb.into()),
                    group: Some(permission.group.into()),
                    resource: Some(resource.into()),
                    subresource,
                    ..ResourceAttributes::default()
                }),
                non_resource_attributes: None,
            },
            status: None,
        };
        let (api, parameters) = (&api, &parameters);
        async move {
            let answer = api.create(parameters, &review).await.ok()?.status?;
            (!answer.allowed).then_some(*permission)
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Returns whether a controller renews its Lease. `renewTime` is compared with the server's clock; if it looks stale, the Lease
/// is read again after `renewal`.
async fn controller(request: &ClusterQuery, renewal: Duration) -> Controller {
    if request.context.is_none() {
        return Controller::Embedded;
    }
    let first = match lease(request).await {
        Ok(Some(first)) => first,
        Ok(None) => return Controller::Absent,
        Err(_) => return Controller::Unknown,
    };
    let (lease, now) = first;
    let spec = lease.spec.unwrap_or_default();
    let holder = spec.holder_identity.unwrap_or_default();
    if holder.is_empty() {
        return Controller::Released;
    }
    let held = i64::from(spec.lease_duration_seconds.unwrap_or(LEASE_SECONDS));
    let renewed = spec.renew_time.map(|time| time.0);
    let age = renewed.map_or(i64::MAX, |renewed| now.as_second() - renewed.as_second());
    if (-held..=held).contains(&age) {
        return Controller::Alive { holder };
    }
    tokio::time::sleep(renewal).await;
    match self::lease(request).await {
        Ok(Some((later, _)))
            if later
                .spec
                .as_ref()
                .and_then(|spec| spec.renew_time.as_ref())
                .map(|time| time.0)
                != renewed =>
        {
            Controller::Alive { holder }
        }
        _ => Controller::Stale {
            holder,
            seconds: age,
        },
    }
}

/// Returns the Lease and the server's time.
async fn lease(request: &ClusterQuery) -> Result<Option<(Lease, Timestamp)>, kube::Error> {
    let url = Lease::url_path(&(), Some(&request.namespace));
    let get = Request::new(url)
        .get(LEASE, &kube::api::GetParams::default())
        .map_err(kube::Error::BuildRequest)?;
    let answer = request.client.send(get.map(Into::into)).await?;
    let date = answer.headers().get(http::header::DATE);
    let now = date
        .and_then(|date| date.to_str().ok())
        .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
        .map_or_else(Timestamp::now, |date| date.timestamp());
    if answer.status() == http::StatusCode::NOT_FOUND {
        return Ok(None);
    }
    let body = Limited::new(answer.into_body(), MAX_LEASE_SIZE)
        .collect()
        .await
        .map_err(kube::Error::Service)?
        .to_bytes();
    serde_json::from_slice(&body)
        .map(|lease| Some((lease, now)))
        .map_err(kube::Error::SerdeError)
}

/// Looks up a Secret and its key. Requests metadata only, so no value leaves the server: the key names are in `managedFields`.
async fn secret(request: &ClusterQuery, wanted: &SecretRequirement) -> SecretFact {
    let api: Api<Secret> = Api::namespaced(request.client.clone(), &request.namespace);
    let state = match api.get_metadata_opt(&wanted.name).await {
        Ok(None) => SecretState::Absent,
        Ok(Some(secret)) => match keys(&secret.metadata) {
            None => SecretState::KeyUnknown,
            Some(keys) if keys.contains(&wanted.key) => SecretState::Present,
            Some(_) => SecretState::NoKey,
        },
        Err(_) => SecretState::NotAllowed,
    };
    SecretFact {
        wanted: wanted.clone(),
        state,
    }
}

/// Returns the names of the data keys; `None` if `managedFields` has none.
fn keys(metadata: &ObjectMeta) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    for entry in metadata.managed_fields.iter().flatten() {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        for data in ["f:data", "f:stringData"] {
            let set = fields.and_then(|fields| fields.get(data)?.as_object());
            keys.extend(
                set.into_iter()
                    .flatten()
                    .filter_map(|(field, _)| field.strip_prefix("f:"))
                    .map(str::to_owned),
            );
        }
    }
    (!keys.is_empty()).then_some(keys)
}

async fn quotas(request: &ClusterQuery) -> Option<Vec<Quota>> {
    if request.context.is_none() {
        return Some(Vec::new());
    }
    let api: Api<ResourceQuota> = Api::namespaced(request.client.clone(), &request.namespace);
    let listed = api.list(&ListParams::default()).await.ok()?;
    Some(listed.items.into_iter().flat_map(Quota::of).collect())
}

#[cfg(test)]
mod tests;
