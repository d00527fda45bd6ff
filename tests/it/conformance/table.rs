//! The rows: what Kubernetes does, as data. Read from `tests/conformance/*.yaml`; knows nothing of how a row is played.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

/// One behaviour.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Short, unique within its file.
    pub id: String,
    /// One sentence: what Kubernetes does.
    pub demands: String,
    /// Whether kubectl plays it too: each of its calls is a process, so not every row can be afforded.
    #[serde(default)]
    pub kubectl: bool,
    /// Drivers that cannot play it, each with the reason.
    #[serde(default)]
    pub except: BTreeMap<DriverName, String>,
    /// What a cluster must allow.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// The first minor version of Kubernetes 1 that does it, where 1.30 does not yet.
    #[serde(default)]
    pub since: u32,
    pub steps: Vec<Step>,
    /// The file's name, without its ending.
    #[serde(skip)]
    pub area: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriverName {
    InProcess,
    Https,
    Kubectl,
    Python,
    Cluster,
}

/// What a row asks of a cluster beyond a namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// CustomResourceDefinitions may be made: the shared `Widget`, or the row's own.
    Definitions,
    /// A node that runs containers of `busybox`.
    Node,
    /// More namespaces may be made.
    Namespaces,
}

/// One thing done, and what must come of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    // What is done: exactly one of these.
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
    /// Arguments of kubectl, parted by blanks; quotes hold together.
    pub kubectl: Option<String>,

    // With what.
    pub json: Option<Value>,
    pub merge: Option<Value>,
    pub strategic: Option<Value>,
    /// Of a delete or a raw request.
    pub body: Option<Value>,
    pub headers: BTreeMap<String, String>,
    pub params: BTreeMap<String, Value>,
    pub subresource: Option<String>,
    /// Another namespace than the row's; `*` is all of them, `""` is none (cluster-scoped custom kinds).
    pub namespace: Option<String>,
    pub stdin: Option<Value>,
    /// Steps done while a watch is open.
    pub during: Vec<Step>,

    // What comes of it.
    pub expect: Option<Value>,
    pub refused: Option<Refused>,
    /// Part of a warning.
    pub warning: Option<String>,
    /// The first events of a watch; with `ends`, all there are.
    pub events: Option<Vec<Value>>,
    pub ends: bool,
    /// The step is tried again until it is so.
    pub eventually: bool,
    /// Name of a variable -> path in the answer (`metadata.uid`, `items.0.spec`).
    pub save: BTreeMap<String, String>,
    pub stdout: Vec<String>,
    pub not_stdout: Vec<String>,
    pub stderr: Vec<String>,
    pub exit: Option<i32>,
}

/// How a refusal reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Refused {
    pub code: Option<u16>,
    pub reason: Option<String>,
    /// Part of the message.
    pub message: Option<String>,
    /// Shape of the whole `Status`.
    pub status: Option<Value>,
}

impl Row {
    pub fn name(&self) -> String {
        format!("{}/{}", self.area, self.id)
    }

    /// Why a driver does not play it; `None` when it does.
    pub fn left_out(&self, driver: DriverName) -> Option<&str> {
        if let Some(why) = self.except.get(&driver) {
            return Some(why);
        }
        let text_is_the_behaviour = self.steps.iter().any(|step| step.kubectl.is_some());
        match driver {
            DriverName::Kubectl if !self.kubectl => Some("not one of kubectl's rows"),
            DriverName::Kubectl => None,
            _ if text_is_the_behaviour => Some("about kubectl's own words"),
            _ => None,
        }
    }
}

/// Every row of the directory, in the order of files and rows.
pub fn load(directory: &Path) -> Vec<Row> {
    let mut paths: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
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
