//! CustomResourceDefinitions: the kinds they serve, their validation and their status. Pure.

use std::sync::Arc;

use kube_rules::{Problem, ProblemKind, Rules};
use serde_json::{Value, json};

use super::{
    kinds::{Kind, View, api_version},
    object::{child_mut, list, map_mut, text},
    schema::{self, Schema},
    status::Cause,
    table,
};

/// Finalizer that keeps a definition until its objects are gone.
pub(crate) const CLEANUP_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Condition of a definition with rules that are not evaluated.
const RULES_IGNORED: &str = "RulesIgnored";
/// Conditions written by this module.
const MANAGED_CONDITIONS: [&str; 3] = ["NamesAccepted", "Established", RULES_IGNORED];

/// Returns the kinds a definition serves, one per served version.
pub(crate) fn kinds(definition: &Value) -> Vec<Kind> {
    let names = &definition["spec"]["names"];
    let group = text(definition, "/spec/group");
    let kind = text(names, "/kind");
    let plural = text(names, "/plural");
    let strings = |pointer: &str| -> Vec<String> {
        list(names, pointer)
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let or = |pointer: &str, default: String| match text(names, pointer) {
        "" => default,
        name => name.to_owned(),
    };
    list(definition, "/spec/versions")
        .iter()
        .filter(|version| version["served"] == true)
        .map(|version| Kind {
            group: group.to_owned(),
            version: text(version, "/name").to_owned(),
            api_version: api_version(group, text(version, "/name")),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            singular: or("/singular", kind.to_lowercase()),
            list_kind: or("/listKind", format!("{kind}List")),
            short_names: strings("/shortNames"),
            categories: strings("/categories"),
            namespaced: text(definition, "/spec/scope") == "Namespaced",
            status: version.pointer("/subresources/status").is_some(),
            generation: true,
            resource: format!("{plural}.{group}").into(),
            view: View::Stored,
            schema: Some(Arc::new(Schema::read(
                &version["schema"]["openAPIV3Schema"],
            ))),
            rules: Some(Rules::compile(&version["schema"]["openAPIV3Schema"]).0)
                .filter(|rules| !rules.is_empty())
                .map(Arc::new),
            columns: table::custom_columns(version),
            selectable: list(version, "/selectableFields")
                .iter()
                .map(|field| text(field, "/jsonPath").trim_start_matches('.').to_owned())
                .collect(),
        })
        .collect()
}

/// Validates a definition.
pub(crate) fn validate(definition: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in ["group", "scope"] {
        if text(definition, &format!("/spec/{field}")).is_empty() {
            causes.push(Cause::required(format!("spec.{field}")));
        }
    }
    for field in ["kind", "plural"] {
        if text(definition, &format!("/spec/names/{field}")).is_empty() {
            causes.push(Cause::required(format!("spec.names.{field}")));
        }
    }
    let expected = format!(
        "{}.{}",
        text(definition, "/spec/names/plural"),
        text(definition, "/spec/group")
    );
    if text(definition, "/metadata/name") != expected {
        causes.push(Cause::invalid(
            "metadata.name",
            &definition["metadata"]["name"],
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    let versions = list(definition, "/spec/versions");
    let stored = versions.iter().filter(|version| version["storage"] == true);
    if stored.count() != 1 {
        causes.push(Cause::invalid(
            "spec.versions",
            &definition["spec"]["versions"],
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions.iter().enumerate() {
        let at = format!("spec.versions[{index}].schema.openAPIV3Schema");
        let Some(schema) = version.pointer("/schema/openAPIV3Schema") else {
            causes.push(Cause::required(at));
            continue;
        };
        causes.extend(schema::validate_schema(schema, &at));
        let (_, problems) = Rules::compile(schema);
        causes.extend(problems.iter().filter_map(|problem| cause(problem, &at)));
    }
    causes
}

/// Returns the violation of a rule that an API server refuses.
fn cause(problem: &Problem, at: &str) -> Option<Cause> {
    let field = format!("{at}.{}", problem.field);
    match problem.kind {
        ProblemKind::Required => Some(Cause {
            message: format!("Required value: {}", problem.message),
            ..Cause::required(field)
        }),
        ProblemKind::Invalid => {
            let value = Value::from(problem.value.as_str());
            Some(Cause::invalid(field, &value, &problem.message))
        }
        ProblemKind::Unsupported => None,
    }
}

/// Returns the rules that are not evaluated, each with the reason.
fn ignored_rules(definition: &Value) -> Vec<String> {
    let mut ignored = Vec::new();
    for version in list(definition, "/spec/versions") {
        let (_, problems) = Rules::compile(&version["schema"]["openAPIV3Schema"]);
        let unsupported = |problem: &&Problem| problem.kind == ProblemKind::Unsupported;
        for problem in problems.iter().filter(unsupported) {
            ignored.push(format!(
                "spec.versions[{}].{}: {:?} uses {}",
                text(version, "/name"),
                problem.field,
                problem.value,
                problem.message
            ));
        }
    }
    ignored
}

/// Returns the warnings for the client that writes a definition.
pub(crate) fn warnings(definition: &Value) -> Vec<String> {
    let rules = ignored_rules(definition).into_iter().map(|rule| {
        format!(
            "{rule}, which the embedded cluster does not evaluate: it accepts objects that violate the rule"
        )
    });
    let webhook = text(definition, "/spec/conversion/strategy") == "Webhook";
    let conversion = webhook.then(|| {
        "spec.conversion: the embedded cluster calls no conversion webhook; every version returns an object as it is stored".to_owned()
    });
    rules.chain(conversion).collect()
}

/// Sets the defaults and the status of a definition.
pub(crate) fn prepare(definition: &mut Value, now: &str) {
    let kind = text(definition, "/spec/names/kind").to_owned();
    let names = child_mut(
        map_mut(definition).entry("spec").or_insert(Value::Null),
        "names",
    );
    names
        .entry("singular")
        .or_insert_with(|| kind.to_lowercase().into());
    names
        .entry("listKind")
        .or_insert_with(|| format!("{kind}List").into());
    child_mut(definition, "spec")
        .entry("conversion")
        .or_insert_with(|| json!({"strategy": "None"}));
    let stored: Vec<Value> = list(definition, "/spec/versions")
        .iter()
        .filter(|version| version["storage"] == true)
        .map(|version| version["name"].clone())
        .collect();
    let since = |condition: &str| {
        list(definition, "/status/conditions")
            .iter()
            .find(|known| known["type"] == condition && known["status"] == "True")
            .map_or_else(
                || now.to_owned(),
                |known| text(known, "/lastTransitionTime").to_owned(),
            )
    };
    let condition = |kind: &str, reason: &str, message: &str| json!({"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since(kind)});
    let rules = ignored_rules(definition).join("; ");
    let mut conditions = vec![
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition(
            "Established",
            "InitialNamesAccepted",
            "the initial names have been accepted",
        ),
    ];
    if !rules.is_empty() {
        let message = format!("the embedded cluster does not evaluate {rules}");
        conditions.push(condition(RULES_IGNORED, "NotSupported", &message));
    }
    conditions.extend(
        list(definition, "/status/conditions")
            .iter()
            .filter(|known| !MANAGED_CONDITIONS.contains(&text(known, "/type")))
            .cloned(),
    );
    definition["status"] = json!({
        "acceptedNames": definition["spec"]["names"],
        "conditions": conditions,
        "storedVersions": stored,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_of_conversion_webhook() {
        let with = |strategy: &str| json!({"spec": {"conversion": {"strategy": strategy}}});
        assert_eq!(warnings(&with("None")), [""; 0]);
        assert!(
            warnings(&with("Webhook"))[0]
                .starts_with("spec.conversion: the embedded cluster calls no conversion webhook")
        );
    }
}
