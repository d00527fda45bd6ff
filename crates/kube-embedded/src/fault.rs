//! Faults on demand: a layer around the API that, by rules, answers errors, waits, hangs, cuts, repeats and forgets.
//!
//! It knows requests and bytes, and nothing of how they are served: the same layer stands around the API in this process
//! and behind HTTPS. A rule says which requests it is about, which of those are injected, and what then happens; the rules of
//! a rehearsal are a file like `config/faults.toml`, those of a test are made with [`Rule::new`].

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

pub use body::{ConnectionCut, FaultyBody, whole};
pub use plan::{Chance, Code, Fault, Plan, PlanError, Rule, Verb};
pub use service::{FaultLayer, Faulty};

use request_info::Asked;
use service::Answer;

/// Earlier answers that are kept for [`Fault::Stale`]; beyond them reads are answered truthfully.
const MOST_ANSWERS: usize = 1024;

/// The faults of a plan and what they have done so far; clones share both.
#[derive(Clone)]
pub struct Faults(Arc<Shared>);

struct Shared {
    plan: Plan,
    counts: Mutex<Vec<Count>>,
    injected: watch::Sender<u64>,
    answers: Mutex<HashMap<String, Answer>>,
}

/// What a rule has met and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The rule's name.
    pub rule: String,
    /// Requests it is about.
    pub matched: u64,
    /// Requests it injected.
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
    /// The faults of a plan.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let counts = plan.rules.iter().enumerate().map(|(index, rule)| Count {
            rule: rule.title(index),
            ..Count::default()
        });
        Self(Arc::new(Shared {
            counts: Mutex::new(counts.collect()),
            injected: watch::Sender::new(0),
            answers: Mutex::default(),
            plan,
        }))
    }

    /// No fault at all.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Plan::default())
    }

    /// Whether there is any rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.plan.rules.is_empty()
    }

    /// The layer to put around a service.
    #[must_use]
    pub fn layer(&self) -> FaultLayer {
        FaultLayer(self.clone())
    }

    /// What each rule has met and done so far, in the plan's order.
    #[must_use]
    pub fn counts(&self) -> Vec<Count> {
        lock(&self.0.counts).clone()
    }

    /// Resolves once `times` requests were injected, by any rule.
    pub async fn wait_for_injected(&self, times: u64) {
        let mut injected = self.0.injected.subscribe();
        // The sender lives as long as this.
        drop(injected.wait_for(|&injected| injected >= times).await);
    }

    /// What is to happen to a request, and the rule that says so. Every rule about it counts it; the first that is due strikes.
    fn strike(&self, asked: &Asked) -> Option<(String, Fault)> {
        let plan = &self.0.plan;
        let mut striking = None;
        let mut counts = lock(&self.0.counts);
        for (index, (rule, count)) in plan.rules.iter().zip(counts.iter_mut()).enumerate() {
            if !rule.is_about(asked) {
                continue;
            }
            count.matched += 1;
            if striking.is_none() && rule.is_due(count, plan.seed, index as u64) {
                count.injected += 1;
                striking = Some((count.rule.clone(), rule.then));
            }
        }
        drop(counts);
        if striking.is_some() {
            self.0.injected.send_modify(|injected| *injected += 1);
        }
        striking
    }

    /// Whether some rule may want the answer of this request again later.
    fn remembers(&self, asked: &Asked) -> bool {
        let may_repeat = |rule: &Rule| rule.then == Fault::Stale && rule.is_about(asked);
        asked.is_one_answer() && self.0.plan.rules.iter().any(may_repeat)
    }

    fn remember(&self, question: String, answer: Answer) {
        let mut answers = lock(&self.0.answers);
        if answers.len() < MOST_ANSWERS || answers.contains_key(&question) {
            answers.insert(question, answer);
        }
    }

    fn earlier(&self, question: &str) -> Option<Answer> {
        lock(&self.0.answers).get(question).cloned()
    }
}

/// Nothing is left half done under these locks: what a panic elsewhere left is good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
