//! The rows of `tests/conformance/*.yaml`.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

/// One behaviour.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    /// Short, unique within its file.
    pub id: String,
    /// One sentence: what Kubernetes does.
    pub demands: String,
    /// Whether the row also runs with kubectl. Not all rows do, because each call is a process.
    #[serde(default)]
    pub kubectl: bool,
    /// Drivers that cannot run the row, with the reason.
    #[serde(default)]
    pub except: BTreeMap<DriverName, String>,
    /// What the cluster must support.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// The first minor version of Kubernetes 1 with this behaviour, if later than 30.
    #[serde(default)]
    pub since: u32,
    pub steps: Vec<Step>,
    /// The file name without extension.
    #[serde(skip)]
    pub area: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DriverName {
    InProcess,
    Https,
    Kubectl,
    Python,
    Cluster,
}

/// What a row needs besides a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Need {
    /// Permission to create CustomResourceDefinitions: the shared `Widget`, or those of the row.
    Definitions,
    /// A node that can run `busybox`.
    Node,
    /// Further namespaces.
    Namespaces,
}

/// A call and its expected result.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Step {
    // The call: exactly one of these.
    pub create: Option<Value>,
    pub update: Option<Value>,
    pub apply: Option<Value>,
    /// `plural/name`, `plural.version.group/name`.
    pub get: Option<String>,
    pub patch: Option<String>,
    pub delete: Option<String>,
    pub log: Option<String>,
    /// `plural`, `plural.version.group`.
    pub list: Option<String>,
    pub watch: Option<String>,
    pub deletecollection: Option<String>,
    /// `GET /path`.
    pub raw: Option<String>,
    /// Arguments of kubectl, separated by spaces outside of single quotes.
    pub kubectl: Option<String>,

    // Parameters of the call.
    pub json: Option<Value>,
    pub merge: Option<Value>,
    pub strategic: Option<Value>,
    /// Body of a delete or a raw request.
    pub body: Option<Value>,
    pub headers: BTreeMap<String, String>,
    pub params: BTreeMap<String, Value>,
    pub subresource: Option<String>,
    /// Namespace instead of the row's; `*` for all, `""` for none (cluster-scoped custom kinds).
    pub namespace: Option<String>,
    pub stdin: Option<Value>,
    /// Steps that run while a watch is open.
    pub during: Vec<Step>,

    // The expected result.
    pub expect: Option<Value>,
    pub refused: Option<Refused>,
    /// Part of a warning.
    pub warning: Option<String>,
    /// The first events of a watch; with `ends`, all events.
    pub events: Option<Vec<Value>>,
    pub ends: bool,
    /// Repeats the step until the result is as expected.
    pub eventually: bool,
    /// Variables to set, each with a path in the response (`metadata.uid`, `items.0.spec`).
    pub save: BTreeMap<String, String>,
    pub stdout: Vec<String>,
    pub not_stdout: Vec<String>,
    pub stderr: Vec<String>,
    pub exit: Option<i32>,
}

/// An expected error.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Refused {
    pub code: Option<u16>,
    pub reason: Option<String>,
    /// Part of the message.
    pub message: Option<String>,
    /// Shape of the whole `Status`.
    pub status: Option<Value>,
}

impl Row {
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.area, self.id)
    }

    /// Returns why a driver does not run the row, or `None` if it does.
    pub(super) fn skip_reason(&self, driver: DriverName) -> Option<&str> {
        if let Some(why) = self.except.get(&driver) {
            return Some(why);
        }
        let runs_kubectl = self.steps.iter().any(|step| step.kubectl.is_some());
        match driver {
            DriverName::Kubectl if !self.kubectl => Some("not marked for kubectl"),
            DriverName::Kubectl => None,
            _ if runs_kubectl => Some("about the output of kubectl"),
            _ => None,
        }
    }
}

/// Returns the rows of a directory, in the order of files and rows.
pub(super) fn load(directory: &Path) -> Vec<Row> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    paths.sort();
    let mut rows = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        // `y` and `on` are words here, as in YAML 1.2.
        let read: Vec<Row> = serde_saphyr::from_str_with_options(
            &text,
            serde_saphyr::options! { strict_booleans: true },
        )
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let area = path.file_stem().unwrap().to_string_lossy().into_owned();
        rows.extend(read.into_iter().map(|row| Row {
            area: area.clone(),
            ..row
        }));
    }
    rows
}
