//! `info`: prints the version, the selected cluster and all paths.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{Context, Render, Table, Verb, VerbError, View};
use flightdeck_core::text;
use flightdeck_host::settings::Paths;

/// Shows paths and versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize, JsonSchema)]
pub struct Info {}

/// Names and values, in order.
#[derive(Clone, Debug, JsonSchema)]
pub struct InfoValues(
    #[schemars(with = "std::collections::BTreeMap<String, String>")] Vec<(&'static str, String)>,
);

impl Serialize for InfoValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Verb for Info {
    const NAME: &'static str = "info";
    const ABOUT: &'static str = "Print the version and all paths in use";
    type Output = InfoValues;

    async fn run(self, context: &Context) -> Result<InfoValues, VerbError> {
        let paths = context.paths()?;
        let target = context.access().kubeconfig_context();
        Ok(InfoValues(vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("target", target.unwrap_or("embedded").to_owned()),
            ("config", paths.config.display().to_string()),
            ("keymap", paths.keymap.display().to_string()),
            ("templates", paths.templates.display().to_string()),
            ("themes", paths.themes.display().to_string()),
            ("state", paths.state.display().to_string()),
            ("embedded", paths.embedded.display().to_string()),
            ("ledger", paths.ledger.display().to_string()),
            ("ledger size", text::bytes(ledger_bytes(context, paths))),
            ("log", paths.log.display().to_string()),
        ]))
    }
}

/// Returns the size of the ledger; 0 if it does not exist or a newer version wrote it.
fn ledger_bytes(context: &Context, paths: &Paths) -> u64 {
    if !paths.ledger.is_dir() {
        return 0;
    }
    let size = context.ledger().map(|ledger| ledger.size());
    size.map_or(0, Result::unwrap_or_default)
}

impl Render for InfoValues {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn view(&self) -> View {
        let rows = self.0.iter();
        let rows = rows.map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
        View::Table(Table::new(&["NAME", "VALUE"], rows.collect()))
    }
}
