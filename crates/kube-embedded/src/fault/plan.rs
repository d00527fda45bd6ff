//! The rules, as data: which requests, which of them, and what happens. Pure.

use std::{
    fs, io,
    num::NonZeroU64,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{Count, request_info::Asked};

/// Which faults there are to be.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Decides what [`Rule::chance`] strikes: the same seed, the same choice.
    #[serde(default)]
    pub seed: u64,
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
}

/// One rule. Of several that are due for a request the first strikes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What reports call it; its place in the plan when empty.
    #[serde(default)]
    pub name: String,
    /// Empty: all.
    #[serde(default)]
    pub verbs: Vec<Verb>,
    /// `jobs`, `docsruns/status`, `pods*`; for what is no resource its path. Empty: all.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Namespaces, with `*`. Empty: all.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Names of objects, with `*`; a create names its object only in the body, so has none here. Empty: all.
    #[serde(default)]
    pub objects: Vec<String>,
    /// So many requests the rule is about pass first.
    #[serde(default)]
    pub skip: u64,
    /// Of those after, each so many-th is due.
    #[serde(default = "one")]
    pub every: NonZeroU64,
    /// So many are injected at most. `None`: no limit.
    #[serde(default)]
    pub times: Option<u64>,
    /// Share of the due ones that is injected.
    #[serde(default)]
    pub chance: Chance,
    /// What happens.
    pub then: Fault,
}

/// What happens to a request that is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// It is refused with this code; nothing is done. 410 on a watch is said as Kubernetes does, by an event.
    Answer {
        code: Code,
        /// Seconds, in the `Retry-After` header and the Status.
        #[serde(default)]
        retry_after: Option<u32>,
    },
    /// It waits so many milliseconds before anything is done.
    DelayMs(u64),
    /// It is never answered; nothing is done.
    Hang,
    /// The connection breaks before anything is done.
    LoseRequest,
    /// It is done; then the connection breaks, and the asker does not learn of it.
    LoseResponse,
    /// A get or a list is answered as the same question was before; what was never asked is answered truthfully.
    Stale,
    /// The connection breaks after so many events of a watch, or lines of a log.
    CutAfterEvents(u64),
    /// The connection breaks after so many bytes of the answer.
    CutAfterBytes(u64),
    /// The answer ends after so many bytes, as if that were all.
    EndAfterBytes(u64),
    /// Every event of a watch comes twice.
    DuplicateEvents,
    /// Each event of a watch, or line of a log, takes so many milliseconds longer.
    SlowEventsMs(u64),
}

/// What a request does, as Kubernetes' own rules name it.
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
    /// Get, list or watch; only rules say this.
    Read,
    /// Any of the others; only rules say this.
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

/// A share, 0 to 1.
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

    fn try_from(share: f64) -> Result<Self, String> {
        if (0.0..=1.0).contains(&share) {
            Ok(Self(share))
        } else {
            Err(format!("{share} is no chance: give a number from 0 to 1"))
        }
    }
}

/// An HTTP status of an error, 400 to 599.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u16")]
pub struct Code(u16);

impl Code {
    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Code {
    type Error = String;

    fn try_from(code: u16) -> Result<Self, String> {
        if (400..600).contains(&code) {
            Ok(Self(code))
        } else {
            Err(format!("{code} is no error: give a status from 400 to 599"))
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("{path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    /// Says line and column, and shows the line.
    #[error("{path}: {source}")]
    Parse {
        path: PathBuf,
        source: Box<toml::de::Error>,
    },
    #[error("{0} holds no rule: give at least one [[rule]]")]
    Empty(PathBuf),
}

impl Plan {
    /// One rule alone.
    #[must_use]
    pub fn of(rule: Rule) -> Self {
        Self {
            seed: 0,
            rules: vec![rule],
        }
    }

    /// Reads a file like `config/faults.toml`.
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
    /// Strikes every request, until it is narrowed.
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

    /// Only requests with one of these verbs.
    #[must_use]
    pub fn verbs(self, verbs: &[Verb]) -> Self {
        Self {
            verbs: verbs.to_vec(),
            ..self
        }
    }

    /// Only requests for one of these resources; see [`Rule::resources`].
    #[must_use]
    pub fn resources(self, resources: &[&str]) -> Self {
        Self {
            resources: resources.iter().map(|&text| text.to_owned()).collect(),
            ..self
        }
    }

    /// Only the `n`-th request the rule is about, counted from 1. For "write number k of a run" give the verb
    /// [`Verb::Write`]; how many there are, [`Count::matched`] says.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self {
            skip: n.saturating_sub(1),
            times: Some(1),
            ..self
        }
    }

    /// Every request the rule is about from the `n`-th on, counted from 1.
    #[must_use]
    pub fn from_nth(self, n: u64) -> Self {
        Self {
            skip: n.saturating_sub(1),
            ..self
        }
    }

    /// Each `n`-th request the rule is about; 0 counts as 1.
    #[must_use]
    pub fn every(self, n: u64) -> Self {
        Self {
            every: NonZeroU64::new(n).unwrap_or_else(one),
            ..self
        }
    }

    /// At most so many requests.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    pub(super) fn title(&self, index: usize) -> String {
        if self.name.is_empty() {
            format!("rule {}", index + 1)
        } else {
            self.name.clone()
        }
    }

    pub(super) fn is_about(&self, asked: &Asked) -> bool {
        let any = |patterns: &[String], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, text))
        };
        (self.verbs.is_empty() || self.verbs.iter().any(|verb| verb.covers(asked.verb)))
            && any(&self.resources, &asked.resource)
            && any(&self.namespaces, &asked.namespace)
            && any(&self.objects, &asked.name)
    }

    /// Whether the request that was counted last is injected.
    pub(super) fn is_due(&self, count: &Count, seed: u64, index: u64) -> bool {
        let Some(after) = count.matched.checked_sub(self.skip).filter(|&n| n > 0) else {
            return false;
        };
        after.is_multiple_of(self.every.get())
            && self.times.is_none_or(|times| count.injected < times)
            && share(seed ^ (index << 48), count.matched) < self.chance.0
    }
}

const fn one() -> NonZeroU64 {
    NonZeroU64::MIN
}

/// Whether `text` is what `pattern` says, where `*` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(after) = text.strip_prefix(head) else {
        return false;
    };
    rest.is_empty()
        || (0..=after.len())
            .filter_map(|at| after.get(at..))
            .any(|tail| matches(rest, tail))
}

/// A number from 0 to below 1 that depends on nothing but its arguments: SplitMix64, whose output function spreads even
/// neighbouring inputs (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn share(seed: u64, n: u64) -> f64 {
    let mut z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests;
