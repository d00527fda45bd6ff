//! Fault injection: a `tower` layer that responses with errors, delays, hangs, cuts, duplicates and stale reads.
//!
//! The layer knows requests and bytes, not how they are served: it wraps the in-process API and the HTTPS server alike.
//! A rule selects requests, decides which of them fail, and how. Plans for manual testing are TOML files (see
//! [`Plan::read`]); tests build rules with [`Rule::new`].

mod body;
mod plan;
mod request_info;
mod service;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

#[cfg(feature = "serve")]
pub(crate) use body::whole;
pub use body::{ConnectionCut, FaultyBody};
pub use plan::{Chance, ErrorCode, Fault, Plan, PlanError, Rule, Verb};
pub use service::{FaultLayer, FaultService};

use request_info::RequestInfo;
use service::CachedResponse;

/// Maximum number of responses cached for [`Fault::Stale`]. Beyond it, reads are served normally.
const MAX_CACHED_RESPONSES: usize = 1024;

/// A plan and its counters. Clones share both.
#[derive(Clone)]
pub struct Faults(Arc<Shared>);

struct Shared {
    plan: Plan,
    counts: Mutex<Vec<Count>>,
    injected: watch::Sender<u64>,
    responses: Mutex<HashMap<String, CachedResponse>>,
}

/// Counters of one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The rule's name.
    pub rule: String,
    /// Requests the rule matched.
    pub matched: u64,
    /// Requests the rule injected a fault into.
    pub injected: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            matched,
            injected,
        } = self;
        write!(f, "{rule}: injected in {injected} of {matched} requests")
    }
}

impl Faults {
    /// Returns the faults of a plan.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let counts = plan.rules.iter().enumerate().map(|(index, rule)| Count {
            rule: rule.display_name(index),
            ..Count::default()
        });
        Self(Arc::new(Shared {
            counts: Mutex::new(counts.collect()),
            injected: watch::Sender::new(0),
            responses: Mutex::default(),
            plan,
        }))
    }

    /// Returns a plan without rules.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Plan::default())
    }

    /// Returns whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.plan.rules.is_empty()
    }

    /// Returns the layer that injects the faults into a service.
    #[must_use]
    pub fn layer(&self) -> FaultLayer {
        FaultLayer(self.clone())
    }

    /// Returns the counters of each rule, in the plan's order.
    #[must_use]
    pub fn counts(&self) -> Vec<Count> {
        lock(&self.0.counts).clone()
    }

    /// Waits until faults were injected into `times` requests, by any rule.
    pub async fn wait_for_injected(&self, times: u64) {
        let mut injected = self.0.injected.subscribe();
        // Cannot fail: the sender lives as long as `self`.
        drop(injected.wait_for(|&injected| injected >= times).await);
    }

    /// Returns the fault to inject into a request, with the name of its rule. Every matching rule counts the request;
    /// the first that is due injects its fault.
    fn inject(&self, request_info: &RequestInfo) -> Option<(String, Fault)> {
        let plan = &self.0.plan;
        let mut fault = None;
        let mut counts = lock(&self.0.counts);
        for (index, (rule, count)) in plan.rules.iter().zip(counts.iter_mut()).enumerate() {
            if !rule.matches(request_info) {
                continue;
            }
            count.matched += 1;
            if fault.is_none() && rule.should_inject(count, plan.seed, index as u64) {
                count.injected += 1;
                fault = Some((count.rule.clone(), rule.then));
            }
        }
        drop(counts);
        if fault.is_some() {
            self.0.injected.send_modify(|injected| *injected += 1);
        }
        fault
    }

    /// Returns whether a rule may replay the response to this request later.
    fn should_cache(&self, request_info: &RequestInfo) -> bool {
        let may_repeat = |rule: &Rule| rule.then == Fault::Stale && rule.matches(request_info);
        request_info.is_cacheable() && self.0.plan.rules.iter().any(may_repeat)
    }

    fn cache_response(&self, key: String, response: CachedResponse) {
        let mut responses = lock(&self.0.responses);
        if responses.len() < MAX_CACHED_RESPONSES || responses.contains_key(&key) {
            responses.insert(key, response);
        }
    }

    fn cached_response(&self, key: &str) -> Option<CachedResponse> {
        lock(&self.0.responses).get(key).cloned()
    }
}

/// Locks, ignoring poison: no invariant spans a panic under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
