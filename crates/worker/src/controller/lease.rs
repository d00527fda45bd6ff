//! Leader election: the controller that holds the Lease works.
//!
//! The Lease only avoids duplicate work. A deposed leader may still have a request in flight when the next one starts, so
//! correctness relies on names, uids and resource versions (see [`super::apply`]).

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use flightdeck_core::runs::naming;

/// The identity and timing of a candidate.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Unique among the controllers of a namespace. A candidate that finds its own identity as the holder continues at once.
    pub identity: String,
    /// Others take over after this time without a renewal.
    pub duration: Duration,
    /// The leader steps down after this time without a successful renewal; less than `duration`.
    pub renew_deadline: Duration,
    /// Interval between renewals, and between attempts to acquire.
    pub retry: Duration,
}

impl LeaseConfig {
    /// The defaults of Kubernetes' own controllers: 15 s, 10 s and 2 s.
    #[must_use]
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }

    /// For a controller that is the only one by other means: renews rarely, and a successor with the same identity takes over at
    /// once.
    #[must_use]
    pub fn exclusive(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            duration: Duration::from_secs(900),
            renew_deadline: Duration::from_secs(600),
            retry: Duration::from_secs(300),
        }
    }

    /// The timeout of one call, short enough that the next renewal is in time.
    fn call_timeout(&self) -> Duration {
        self.duration.saturating_sub(self.renew_deadline)
    }
}

/// Runs `work` while the Lease is held; when `work` ends, releases the Lease and returns. If the Lease is lost, drops `work` and
/// tries to acquire it again. `stop` ends the waiting before the Lease was held.
///
/// `leading` is set to whether the Lease is held.
pub(crate) async fn while_leading<F: Future<Output = ()>>(
    client: &Client,
    namespace: &str,
    config: &LeaseConfig,
    leading: &watch::Sender<bool>,
    stop: &CancellationToken,
    work: impl Fn() -> F,
) {
    let leases = Leases {
        api: Api::namespaced(client.clone(), namespace),
        config,
    };
    loop {
        let held = tokio::select! {
            held = leases.acquire() => held,
            () = stop.cancelled() => return,
        };
        tracing::info!(identity = config.identity, "leading");
        leading.send_replace(true);
        let held = tokio::sync::Mutex::new(held);
        let ended = tokio::select! {
            () = work() => true,
            () = leases.renew(&held) => false,
        };
        leading.send_replace(false);
        if ended {
            leases.release(held.into_inner()).await;
            return;
        }
        tracing::warn!(identity = config.identity, "lost the Lease");
    }
}

struct Leases<'a> {
    api: Api<Lease>,
    config: &'a LeaseConfig,
}

impl Leases<'_> {
    /// Waits until the Lease is free, or was not renewed for its duration by the local clock, and takes it.
    async fn acquire(&self) -> Lease {
        let mut last: Option<(String, Instant)> = None;
        loop {
            match self.read().await {
                Ok(None) => {
                    if let Some(held) = self.create().await {
                        return held;
                    }
                }
                Ok(Some(lease)) => {
                    let version = lease.metadata.resource_version.clone().unwrap_or_default();
                    let since = match &last {
                        Some((seen, since)) if *seen == version => *since,
                        _ => Instant::now(),
                    };
                    last = Some((version, since));
                    if self.is_free(&lease, since.elapsed())
                        && let Some(held) = self.write(lease, true).await
                    {
                        return held;
                    }
                }
                Err(error) => tracing::debug!(%error, "cannot read the Lease"),
            }
            tokio::time::sleep(self.config.retry).await;
        }
    }

    fn is_free(&self, lease: &Lease, silent: Duration) -> bool {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref());
        let holder = holder.unwrap_or_default();
        let promised = spec.and_then(|spec| spec.lease_duration_seconds);
        let promised = promised.and_then(|seconds| u64::try_from(seconds).ok());
        // Respect the duration in the holder's Lease, even if it differs from ours.
        let promised = promised.map_or(self.config.duration, Duration::from_secs);
        holder.is_empty() || holder == self.config.identity || silent >= promised
    }

    /// Renews the Lease; returns when no renewal succeeded in time, or another candidate holds it.
    async fn renew(&self, held: &tokio::sync::Mutex<Lease>) {
        let mut renewed = Instant::now();
        loop {
            let deadline = renewed + self.config.renew_deadline;
            tokio::time::sleep(self.config.retry).await;
            let sent = Instant::now();
            let trying = async {
                let mut held = held.lock().await;
                match self.write(held.clone(), false).await {
                    Some(newer) => *held = newer,
                    // Rejected, or the response was lost: read the current holder.
                    None => match self.read().await {
                        Ok(Some(newest)) if self.is_mine(&newest) => {
                            *held = newest;
                            return None;
                        }
                        Ok(_) => return Some(false),
                        Err(_) => return None,
                    },
                }
                Some(true)
            };
            match tokio::time::timeout_at(deadline, trying).await {
                Ok(Some(true)) => renewed = sent,
                Ok(Some(false)) => return,
                Ok(None) | Err(_) if Instant::now() >= deadline => return,
                Ok(None) | Err(_) => {}
            }
        }
    }

    /// Releases the Lease. If that fails, it expires.
    async fn release(&self, held: Lease) {
        let mut lease = held;
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        // The API server rejects zero.
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(now());
        if self.replace(&lease).await.is_none() {
            tracing::warn!("could not release the Lease; it will expire");
        }
    }

    fn is_mine(&self, lease: &Lease) -> bool {
        let holder = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_deref());
        holder == Some(self.config.identity.as_str())
    }

    async fn read(&self) -> Result<Option<Lease>, kube::Error> {
        self.with_timeout(self.api.get_opt(naming::LEASE)).await
    }

    async fn create(&self) -> Option<Lease> {
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(naming::LEASE.into()),
                labels: Some(
                    [(
                        naming::LABEL_MANAGED_BY.to_owned(),
                        naming::MANAGER.to_owned(),
                    )]
                    .into(),
                ),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                lease_transitions: Some(0),
                ..self.held_from_now(LeaseSpec::default())
            }),
        };
        let parameters = PostParams::default();
        let created = self.with_timeout(self.api.create(&parameters, &lease));
        created.await.map_err(log_error).ok()
    }

    /// Writes this controller as the holder if `lease` is the newest version. `taking`: it was free or another's.
    async fn write(&self, mut lease: Lease, taking: bool) -> Option<Lease> {
        let mut spec = lease.spec.take().unwrap_or_default();
        if taking && spec.holder_identity.as_deref() != Some(&self.config.identity) {
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        if taking {
            spec.acquire_time = None;
        }
        lease.spec = Some(self.held_from_now(spec));
        self.replace(&lease).await
    }

    fn held_from_now(&self, spec: LeaseSpec) -> LeaseSpec {
        let seconds = self.config.duration.as_secs().max(1);
        LeaseSpec {
            holder_identity: Some(self.config.identity.clone()),
            lease_duration_seconds: Some(i32::try_from(seconds).unwrap_or(i32::MAX)),
            acquire_time: spec.acquire_time.clone().or_else(|| Some(now())),
            renew_time: Some(now()),
            ..spec
        }
    }

    /// Updates with the resource version that was read: a patch would overwrite any other holder.
    async fn replace(&self, lease: &Lease) -> Option<Lease> {
        let parameters = PostParams::default();
        let replaced = self.api.replace(naming::LEASE, &parameters, lease);
        self.with_timeout(replaced).await.map_err(log_error).ok()
    }

    async fn with_timeout<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, kube::Error> {
        let timeout = self.config.call_timeout();
        match tokio::time::timeout(timeout, call).await {
            Ok(result) => result,
            Err(elapsed) => Err(kube::Error::Service(elapsed.into())),
        }
    }
}

fn log_error(error: kube::Error) -> kube::Error {
    tracing::debug!(%error, "could not write the Lease");
    error
}

fn now() -> MicroTime {
    MicroTime(jiff::Timestamp::now())
}
