//! Fault plans: which requests fail, and how. Pure.

use std::{
    fs, io,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Count, request_info::RequestInfo};

/// A list of fault rules.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Seed of [`Rule::chance`]. The same seed makes the same choices.
    #[serde(default)]
    pub seed: u64,
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
}

/// A rule. If several are due for a request, the first one wins.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name in reports; its position in the plan if empty.
    #[serde(default)]
    pub name: String,
    /// Empty: all verbs.
    #[serde(default)]
    pub verbs: Vec<Verb>,
    /// `jobs`, `widgets/status`, `pods*`; the path if it names no resource. Empty: all.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Namespaces, with `*`. Empty: all.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Names of objects, with `*`. Empty: all. A create has no name here, because only its body names the object.
    #[serde(default)]
    pub objects: Vec<String>,
    /// Number of matching requests to let pass first.
    #[serde(default)]
    pub skip: u64,
    /// Injects into every n-th matching request after that.
    #[serde(default = "one")]
    pub every: NonZeroU64,
    /// Maximum number of injections. `None`: no limit.
    #[serde(default)]
    pub times: Option<u64>,
    /// Probability of an injection into a request that is due.
    #[serde(default)]
    pub chance: Chance,
    /// The fault to inject.
    pub then: Fault,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Answers with this code without calling the service. 410 on a watch is sent as an event, as Kubernetes does.
    Answer {
        code: ErrorCode,
        /// Seconds, in the `Retry-After` header and the Status.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// Waits this many milliseconds before calling the service.
    DelayMs(u64),
    /// Never answers, without calling the service.
    Hang,
    /// Cuts the connection without calling the service.
    LoseRequest,
    /// Calls the service, then cuts the connection, so that the client does not learn the result.
    LoseResponse,
    /// Replays the first response to the same get or list. Requests without an earlier response are served normally.
    Stale,
    /// Cuts the connection after this many watch events or log lines.
    CutAfterEvents(u64),
    /// Cuts the connection after this many bytes of the body.
    CutAfterBytes(u64),
    /// Ends the body after this many bytes, as if it were complete.
    EndAfterBytes(u64),
    /// Sends every watch event twice.
    DuplicateEvents,
    /// Delays each watch event or log line by this many milliseconds.
    SlowEventsMs(u64),
}

/// Verb of a request, as in RBAC rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
    /// Get, list or watch; only used in rules.
    Read,
    /// Any other verb; only used in rules.
    Write,
}

impl Verb {
    fn covers(self, actual: Self) -> bool {
        let reads = matches!(actual, Self::Get | Self::List | Self::Watch);
        match self {
            Self::Read => reads,
            Self::Write => !reads,
            verb => verb == actual,
        }
    }
}

/// A probability, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Chance(f64);

impl Default for Chance {
    fn default() -> Self {
        Self(1.0)
    }
}

impl TryFrom<f64> for Chance {
    type Error = String;

    fn try_from(value: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(format!(
                "{value} is not a probability: expected a number from 0 to 1"
            ))
        }
    }
}

/// An HTTP error status, 400 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u16")]
pub struct ErrorCode(u16);

impl ErrorCode {
    /// Returns the status as a number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for ErrorCode {
    type Error = String;

    fn try_from(code: u16) -> Result<Self, String> {
        if (400..600).contains(&code) {
            Ok(Self(code))
        } else {
            Err(format!(
                "{code} is not an error status: expected 400 to 599"
            ))
        }
    }
}

/// Reasons why a plan cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// The source names line and column.
    #[error("{path}: {source}")]
    Parse {
        path: PathBuf,
        source: Box<toml::de::Error>,
    },
    #[error("{0} has no rules: expected at least one [[rule]]")]
    Empty(PathBuf),
}

impl Plan {
    /// Returns a plan with one rule.
    #[must_use]
    pub fn of(rule: Rule) -> Self {
        Self {
            seed: 0,
            rules: vec![rule],
        }
    }

    /// Reads a TOML file with `[[rule]]` tables and an optional `seed`.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let text = fs::read_to_string(path).map_err(|source| PlanError::Read {
            path: path.to_owned(),
            source,
        })?;
        let plan: Self = toml::from_str(&text).map_err(|source| PlanError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        if plan.rules.is_empty() {
            return Err(PlanError::Empty(path.to_owned()));
        }
        Ok(plan)
    }
}

impl Rule {
    /// Returns a rule that matches every request.
    #[must_use]
    pub fn new(then: Fault) -> Self {
        Self {
            name: String::new(),
            verbs: Vec::new(),
            resources: Vec::new(),
            namespaces: Vec::new(),
            objects: Vec::new(),
            skip: 0,
            every: one(),
            times: None,
            chance: Chance::default(),
            then,
        }
    }

    /// Limits the rule to these verbs.
    #[must_use]
    pub fn verbs(self, verbs: &[Verb]) -> Self {
        Self {
            verbs: verbs.to_vec(),
            ..self
        }
    }

    /// Limits the rule to these resources; see [`Rule::resources`].
    #[must_use]
    pub fn resources(self, resources: &[&str]) -> Self {
        Self {
            resources: resources.iter().map(|&text| text.to_owned()).collect(),
            ..self
        }
    }

    /// Injects into the `n`-th matching request only, counted from 1. [`Verb::Write`] selects the n-th write of a test;
    /// [`Count::matched`] says how many there are.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self {
            skip: n.saturating_sub(1),
            times: Some(1),
            ..self
        }
    }

    /// Injects into every matching request from the `n`-th on, counted from 1.
    #[must_use]
    pub fn from_nth(self, n: u64) -> Self {
        Self {
            skip: n.saturating_sub(1),
            ..self
        }
    }

    /// Injects into every `n`-th matching request; 0 counts as 1.
    #[must_use]
    pub fn every(self, n: u64) -> Self {
        Self {
            every: NonZeroU64::new(n).unwrap_or_else(one),
            ..self
        }
    }

    /// Limits the number of injections.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    pub(super) fn display_name(&self, index: usize) -> String {
        if self.name.is_empty() {
            format!("rule {}", index + 1)
        } else {
            self.name.clone()
        }
    }

    pub(super) fn matches(&self, request: &RequestInfo) -> bool {
        let any = |patterns: &[String], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| glob(pattern, text))
        };
        (self.verbs.is_empty() || self.verbs.iter().any(|verb| verb.covers(request.verb)))
            && any(&self.resources, &request.resource)
            && any(&self.namespaces, &request.namespace)
            && any(&self.objects, &request.name)
    }

    /// Returns whether the rule injects its fault into the request counted last.
    pub(super) fn should_inject(&self, count: &Count, seed: u64, index: u64) -> bool {
        let Some(after) = count.matched.checked_sub(self.skip).filter(|&n| n > 0) else {
            return false;
        };
        after.is_multiple_of(self.every.get())
            && self.times.is_none_or(|times| count.injected < times)
            && random(seed ^ (index << 48), count.matched) < self.chance.0
    }
}

const fn one() -> NonZeroU64 {
    NonZeroU64::MIN
}

/// Returns whether `text` matches `pattern`, in which `*` is any text.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(after) = text.strip_prefix(head) else {
        return false;
    };
    rest.is_empty()
        || (0..=after.len())
            .filter_map(|at| after.get(at..))
            .any(|tail| glob(rest, tail))
}

/// Returns a pseudorandom number in 0..1 that depends only on its arguments: SplitMix64, which spreads even neighboring
/// inputs (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn random(seed: u64, n: u64) -> f64 {
    let mut z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests;
