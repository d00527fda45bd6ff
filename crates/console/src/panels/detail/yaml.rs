//! The YAML tab: the run as the cluster stores it.

use super::{
    page::{PageContent, PageFormat},
    tab::{Tab, run_content},
};
use crate::{ids::TabId, model::Model, widgets::syntax::Syntax};
use flightdeck_core::{runs::Run, yaml};

pub(super) struct YamlTab;

impl Tab for YamlTab {
    fn id(&self) -> TabId {
        TabId::Yaml
    }

    fn title(&self) -> &'static str {
        "YAML"
    }

    fn content(&self, model: &Model) -> Option<PageContent> {
        run_content(model, |entry| content(&entry.run))
    }
}

fn content(run: &Run) -> PageContent {
    let mut shown = run.clone();
    shown.metadata.managed_fields = None;
    let status = serde_json::to_value(&shown.status).unwrap_or_default();
    let mut object = shown.into_resource();
    if let Some(fields) = object.as_object_mut() {
        fields.insert("status".into(), status);
    }
    match yaml::to_string(&object) {
        Ok(text) => PageContent::Text(PageFormat::Source(Syntax::Yaml), Syntax::Yaml.lines(&text)),
        Err(error) => PageContent::sentence(format!("Cannot format the run as YAML: {error}")),
    }
}
