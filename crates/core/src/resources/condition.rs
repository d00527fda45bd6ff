//! Conditions, as in `metav1.Condition`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `True`, `False` or `Unknown`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    True,
    False,
    #[default]
    Unknown,
}

impl From<bool> for ConditionStatus {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

/// A condition of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    pub r#type: String,
    pub status: ConditionStatus,
    /// CamelCase, never empty.
    pub reason: String,
    #[serde(default)]
    pub message: String,
    /// RFC 3339; changes only with `status`.
    #[serde(default)]
    pub last_transition_time: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Adds or replaces a condition. Keeps the transition time unless the status changed.
pub fn set_condition(conditions: &mut Vec<Condition>, mut new: Condition) {
    match conditions.iter_mut().find(|old| old.r#type == new.r#type) {
        Some(old) => {
            if old.status == new.status {
                new.last_transition_time
                    .clone_from(&old.last_transition_time);
            }
            *old = new;
        }
        None => conditions.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: bool, at: &str) -> Condition {
        Condition {
            r#type: "Ready".into(),
            status: status.into(),
            reason: "Test".into(),
            last_transition_time: at.into(),
            ..Condition::default()
        }
    }

    #[test]
    fn transition_time_changes_with_status() {
        let mut conditions = vec![];
        set_condition(&mut conditions, ready(false, "t1"));
        set_condition(&mut conditions, ready(false, "t2"));
        assert_eq!(conditions[0].last_transition_time, "t1");
        set_condition(&mut conditions, ready(true, "t3"));
        assert_eq!(conditions[0].last_transition_time, "t3");
        assert_eq!(conditions.len(), 1);
    }
}
