//! Which of several controllers works: the one that holds the Lease.
//!
//! A Lease only saves work. A controller that was cut off may still have a request under way when the next one begins, so
//! that nothing is made twice rests on names, uids and resource versions (see [`super::apply`]).

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use kube::{Api, Client, api::PostParams};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use flightdeck_core::runs::naming;

/// Who a controller is among several, and how long it may be silent.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// Unlike that of every other controller of the namespace. One that finds its own name as the holder goes on at once.
    pub identity: String,
    /// After so long without a sign of life others take over.
    pub duration: Duration,
    /// After so long without having given one it stops by itself; less than `duration`.
    pub renew_deadline: Duration,
    /// Between two signs of life, and between two looks of one who waits.
    pub retry: Duration,
}

impl LeaseConfig {
    /// 15 s, 10 s and 2 s: what controllers of Kubernetes itself use.
    #[must_use]
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }

    /// Of a controller that something else keeps alone: it seldom gives a sign of life, and a successor of the same name goes
    /// on at once.
    #[must_use]
    pub fn alone(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            duration: Duration::from_secs(900),
            renew_deadline: Duration::from_secs(600),
            retry: Duration::from_secs(300),
        }
    }

    /// One answer may take so long that the next sign of life still comes in time.
    fn patience(&self) -> Duration {
        self.duration.saturating_sub(self.renew_deadline)
    }
}

/// Does `work` whenever the Lease is held, until `work` ends by itself; then the Lease is given back. `work` is dropped where it
/// is when the Lease is lost. Before the Lease was ever held, `stop` ends the waiting.
///
/// `leading` says whether the Lease is held.
pub async fn while_leading<F: Future<Output = ()>>(
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
        tracing::warn!(identity = config.identity, "the Lease is lost");
    }
}

struct Leases<'a> {
    api: Api<Lease>,
    config: &'a LeaseConfig,
}

impl Leases<'_> {
    /// Waits until the Lease is free or its holder was silent for too long by this machine's own clock, and takes it.
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
                Err(error) => tracing::debug!(%error, "the Lease cannot be read"),
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
        // A holder that promises less or more than this one would is taken at its word.
        let promised = promised.map_or(self.config.duration, Duration::from_secs);
        holder.is_empty() || holder == self.config.identity || silent >= promised
    }

    /// Gives signs of life; returns when none came through in time, or somebody else holds the Lease.
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
                    // Refused, or its answer lost: what stands there now decides.
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

    /// Gives the Lease back. If that does not succeed, it expires.
    async fn release(&self, held: Lease) {
        let mut lease = held;
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        // Zero would be refused.
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(now());
        if self.put(&lease).await.is_none() {
            tracing::warn!("the Lease could not be given back; it expires by itself");
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
        self.in_time(self.api.get_opt(naming::LEASE)).await
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
        let created = self.in_time(self.api.create(&parameters, &lease));
        created.await.map_err(told).ok()
    }

    /// Writes this controller into the Lease that was read, if that is still the newest. `taking`: it was another's, or free.
    async fn write(&self, mut lease: Lease, taking: bool) -> Option<Lease> {
        let mut spec = lease.spec.take().unwrap_or_default();
        if taking && spec.holder_identity.as_deref() != Some(&self.config.identity) {
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        if taking {
            spec.acquire_time = None;
        }
        lease.spec = Some(self.held_from_now(spec));
        self.put(&lease).await
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

    /// Always a whole update with the version that was read: a patch would take the Lease from anybody.
    async fn put(&self, lease: &Lease) -> Option<Lease> {
        let parameters = PostParams::default();
        let put = self.api.replace(naming::LEASE, &parameters, lease);
        self.in_time(put).await.map_err(told).ok()
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, kube::Error> {
        let patience = self.config.patience();
        match tokio::time::timeout(patience, call).await {
            Ok(answer) => answer,
            Err(late) => Err(kube::Error::Service(late.into())),
        }
    }
}

fn told(error: kube::Error) -> kube::Error {
    tracing::debug!(%error, "the Lease was not written");
    error
}

fn now() -> MicroTime {
    MicroTime(jiff::Timestamp::now())
}
