//! Conversion of Events between core/v1, the stored form, and events.k8s.io/v1. Pure.

use serde_json::Value;

/// Field names in core/v1 and in events.k8s.io/v1.
const NAMES: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// Converts a stored Event to events.k8s.io/v1.
pub(crate) fn to_v1(stored: &Value) -> Value {
    rename(stored, "events.k8s.io/v1", |name| {
        NAMES.iter().find(|pair| pair.0 == name).map(|pair| pair.1)
    })
}

/// Converts an events.k8s.io/v1 Event to its stored form.
pub(crate) fn to_stored(event: &Value) -> Value {
    rename(event, "v1", |name| {
        NAMES.iter().find(|pair| pair.1 == name).map(|pair| pair.0)
    })
}

fn rename(event: &Value, api_version: &str, other: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(map) = event else {
        return event.clone();
    };
    map.iter()
        .map(|(name, value)| {
            if name == "apiVersion" {
                return (name.clone(), Value::from(api_version));
            }
            let name = other(name).map_or_else(|| name.clone(), str::to_owned);
            (name, value.clone())
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn round_trip_keeps_all_fields() {
        let event = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "regarding": {"name": "r"}, "note": "n", "reason": "R",
            "type": "Normal", "action": "a", "eventTime": "t", "series": {"count": 2}, "reportingController": "c"
        });
        let stored = to_stored(&event);
        assert_eq!(stored["involvedObject"]["name"], "r");
        assert_eq!(stored["message"], "n");
        assert_eq!(stored["apiVersion"], "v1");
        assert_eq!(to_v1(&stored), event);
    }
}
