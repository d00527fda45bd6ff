//! The environment of a container: declared variables, and those inherited from this process. Pure.

use std::{collections::BTreeMap, path::Path};

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};
use kube::ResourceExt;

use super::{
    NODE_NAME,
    paths::{Paths, expand},
    sources::{Missing, Source, Sources},
};

/// Variables that every container inherits, besides those that begin with `LC_`. Nothing else is inherited unless
/// requested.
const INHERITED: [&str; 8] = [
    "HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER",
];

/// PATH if the node has none.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Inputs for resolving declared variables.
pub(super) struct EnvContext<'a> {
    pub pod: &'a Pod,
    pub sources: &'a Sources,
    /// The node's environment.
    pub node: &'a BTreeMap<String, String>,
    /// Directory to prepend to the PATH.
    pub programs: &'a Path,
    /// Annotation that lists variables to inherit; see [`crate::Identity`].
    pub inherit_annotation: &'a str,
}

/// Resolves the variables of `container` in Kubernetes' order. Paths are not translated yet.
pub(super) fn declared(
    container: &Container,
    context: &EnvContext<'_>,
) -> Result<BTreeMap<String, String>, Missing> {
    let mut variables = BTreeMap::new();
    for from in container.env_from.iter().flatten() {
        let (source, name, optional) = match (&from.config_map_ref, &from.secret_ref) {
            (Some(map), _) => (Source::ConfigMap, &map.name, map.optional),
            (None, Some(secret)) => (Source::Secret, &secret.name, secret.optional),
            (None, None) => continue,
        };
        let prefix = from.prefix.as_deref().unwrap_or_default();
        match context.sources.get(source, name) {
            Some(data) => variables.extend(
                data.entries
                    .iter()
                    .map(|(key, value)| (format!("{prefix}{key}"), text(value))),
            ),
            None if optional == Some(true) => {}
            None => return Err(Missing::Object(source, name.clone(), String::new())),
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(expand(
                variable.value.as_deref().unwrap_or_default(),
                &variables,
            )),
            Some(from) => resolve(&variable.name, from, context)?,
        };
        if let Some(value) = value {
            variables.insert(variable.name.clone(), value);
        }
    }
    Ok(variables)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the value of a variable with `valueFrom`; `None` if it is optional and missing.
fn resolve(
    variable: &str,
    from: &EnvVarSource,
    context: &EnvContext<'_>,
) -> Result<Option<String>, Missing> {
    if let Some(field) = &from.field_ref {
        return self::field(&field.field_path, context.pod).map(Some);
    }
    let (source, name, key, optional) = match (&from.config_map_key_ref, &from.secret_key_ref) {
        (Some(map), _) => (Source::ConfigMap, &map.name, &map.key, map.optional),
        (None, Some(secret)) => (Source::Secret, &secret.name, &secret.key, secret.optional),
        (None, None) => {
            return Err(Missing::Unsupported(format!(
                "the embedded node cannot resolve {variable}: only values, ConfigMaps, Secrets and fields are supported"
            )));
        }
    };
    let data = context.sources.get(source, name);
    match data.and_then(|data| data.entries.get(key)) {
        Some(value) => Ok(Some(text(value))),
        None if optional == Some(true) => Ok(None),
        None if data.is_none() => Err(Missing::Object(
            source,
            name.clone(),
            format!(": {variable} is its key {key:?}"),
        )),
        None => Err(Missing::Key(
            source,
            name.clone(),
            key.clone(),
            format!(" for {variable}"),
        )),
    }
}

fn field(path: &str, pod: &Pod) -> Result<String, Missing> {
    let entry = |name: &str| {
        let key = path.strip_prefix(name)?.strip_prefix("['")?;
        key.strip_suffix("']")
    };
    if let Some(key) = entry("metadata.labels") {
        return Ok(pod.labels().get(key).cloned().unwrap_or_default());
    }
    if let Some(key) = entry("metadata.annotations") {
        return Ok(pod.annotations().get(key).cloned().unwrap_or_default());
    }
    let spec = pod.spec.as_ref();
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "spec.nodeName" => NODE_NAME.to_owned(),
        "spec.serviceAccountName" => spec
            .and_then(|spec| spec.service_account_name.clone())
            .unwrap_or_default(),
        "status.hostIP" | "status.podIP" | "status.hostIPs" | "status.podIPs" => {
            "127.0.0.1".to_owned()
        }
        _ => {
            return Err(Missing::Unsupported(format!(
                "the embedded node does not support the field {path:?}"
            )));
        }
    })
}

/// Returns the complete environment of a container's process: inherited variables, overridden by declared ones with
/// paths translated, and the program's directory first in the PATH.
#[must_use]
pub(super) fn complete(
    container: &str,
    declared: &BTreeMap<String, String>,
    context: &EnvContext<'_>,
    paths: &Paths,
) -> BTreeMap<String, String> {
    let requested = requested(container, context);
    let mut all: BTreeMap<String, String> = context
        .node
        .iter()
        .filter(|(name, _)| {
            INHERITED.contains(&name.as_str())
                || name.starts_with("LC_")
                || requested.contains(&name.as_str())
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, value) in declared {
        all.insert(name.clone(), paths.translate(value));
    }
    let path = all.get("PATH").map_or(DEFAULT_PATH, String::as_str);
    let path = format!("{}:{path}", context.programs.display());
    all.insert("PATH".to_owned(), path);
    all
}

/// Returns the variables that the pod's annotation requests for `container`.
fn requested<'a>(container: &str, context: &EnvContext<'a>) -> Vec<&'a str> {
    let annotation = context
        .pod
        .annotations()
        .get(context.inherit_annotation)
        .map_or("", String::as_str);
    annotation
        .split(';')
        .filter_map(|part| part.split_once('='))
        .filter(|(name, _)| name.trim() == container)
        .flat_map(|(_, names)| names.split(','))
        .map(str::trim)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::{super::sources::Data, *};

    const INHERIT: &str = "test/inherit-env";

    fn pod() -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "labels": {"a/b": "c"},
                "annotations": {INHERIT: "main=TOKEN, AGENT ;other=SECRET"}},
        }))
        .unwrap()
    }

    fn sources() -> Sources {
        let data = |entries: &[(&str, &str)]| Data {
            version: "1".to_owned(),
            entries: entries
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
                .collect(),
        };
        Sources::new([
            (
                (Source::ConfigMap, "map".to_owned()),
                data(&[("one", "1"), ("two", "2")]),
            ),
            ((Source::Secret, "secret".to_owned()), data(&[("key", "s")])),
        ])
    }

    fn declared_of(container: serde_json::Value) -> Result<BTreeMap<String, String>, Missing> {
        let container: Container = serde_json::from_value(container).unwrap();
        let (pod, sources, node) = (pod(), sources(), BTreeMap::new());
        let context = EnvContext {
            pod: &pod,
            sources: &sources,
            node: &node,
            programs: Path::new("/bin"),
            inherit_annotation: INHERIT,
        };
        declared(&container, &context)
    }

    #[test]
    fn resolves_variables_of_all_sources() {
        let found = declared_of(json!({"name": "main",
            "envFrom": [{"prefix": "M_", "configMapRef": {"name": "map"}}, {"secretRef": {"name": "none", "optional": true}}],
            "env": [
                {"name": "A", "value": "x"},
                {"name": "B", "value": "$(A)-$(M_one)"},
                {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "map", "key": "two"}}},
                {"name": "D", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "key"}}},
                {"name": "E", "valueFrom": {"secretKeyRef": {"name": "none", "key": "key", "optional": true}}},
                {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a/b']"}}},
                {"name": "G", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            ]}))
        .unwrap();
        let expected = [
            ("A", "x"),
            ("B", "x-1"),
            ("C", "2"),
            ("D", "s"),
            ("F", "c"),
            ("G", "n"),
            ("M_one", "1"),
            ("M_two", "2"),
        ];
        assert_eq!(
            found
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn error_names_missing_key() {
        for (env, sentence) in [
            (
                json!({"name": "T", "valueFrom": {"secretKeyRef": {"name": "pat", "key": "token"}}}),
                r#"secret "pat" not found: T is its key "token""#,
            ),
            (
                json!({"name": "T", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "token"}}}),
                r#"couldn't find key "token" in secret "secret" for T"#,
            ),
        ] {
            let missing = declared_of(json!({"name": "main", "env": [env]})).unwrap_err();
            assert_eq!(missing.to_string(), sentence);
        }
    }

    #[test]
    fn inherits_only_allowed_or_requested_variables() {
        let node: BTreeMap<String, String> = [
            ("PATH", "/usr/bin"),
            ("HOME", "/home/me"),
            ("LC_ALL", "C"),
            ("TOKEN", "t"),
            ("AGENT", "a"),
            ("SECRET", "s"),
            ("GITHUB_TOKEN", "g"),
            ("SSH_AUTH_SOCK", "k"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let (pod, sources) = (pod(), sources());
        let context = EnvContext {
            pod: &pod,
            sources: &sources,
            node: &node,
            programs: Path::new("/state/bin"),
            inherit_annotation: INHERIT,
        };
        let paths = Paths::new([("/workspace".to_owned(), PathBuf::from("/state/claim"))]);
        let declared = BTreeMap::from([("HOME".to_owned(), "/workspace/home".to_owned())]);
        let all = complete("main", &declared, &context, &paths);
        let expected = [
            ("AGENT", "a"),
            ("HOME", "/state/claim/home"),
            ("LC_ALL", "C"),
            ("PATH", "/state/bin:/usr/bin"),
            ("TOKEN", "t"),
        ];
        assert_eq!(
            all.iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect::<Vec<_>>(),
            expected
        );
    }
}
