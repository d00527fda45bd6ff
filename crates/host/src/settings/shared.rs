//! What a cluster's controller may be told by its settings ConfigMap, and what is said of a text that is refused.
//!
//! Must not know: where the text comes from, or what is done with it.

use std::fmt;

use toml::de::DeTable;

use super::Settings;

/// Name of the ConfigMap that a controller takes its settings from, in its own namespace.
pub const SETTINGS_MAP: &str = "flightdeck-settings";
/// Key of that ConfigMap: a text in the form of `config/console.toml`.
pub const SETTINGS_KEY: &str = "config.toml";

/// Tables that a controller obeys. All others are a person's own: they steer a console and are refused here.
const OF_A_CONTROLLER: &[&str] = &[
    "agents",
    "allow",
    "forge",
    "git",
    "images",
    "pods",
    "publish",
    "secrets",
    "workspace",
];

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// From 1, where it is known.
    pub line: Option<usize>,
    /// Dotted, as in `workspace.size`; empty where the text is no TOML.
    pub field: String,
    pub message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl Settings {
    /// The shipped defaults with a controller's text over them.
    pub fn of_controller(text: &str) -> Result<Self, Refused> {
        let refused = |field: &str, message: String| Refused {
            line: line_of(text, field),
            field: field.to_owned(),
            message,
        };
        let table: toml::Table = text.parse().map_err(|error| in_text(text, &error))?;
        let known = super::defaults().unwrap_or_default();
        for key in table.keys() {
            if !OF_A_CONTROLLER.contains(&key.as_str()) {
                let message = if known.contains_key(key) {
                    "this is a person's own setting; a controller has no use for it"
                } else {
                    "no such setting; config/console.toml has them all"
                };
                return Err(refused(key, message.to_owned()));
            }
        }
        let settings = Self::merged(table).map_err(|error| {
            let (field, message) = blamed(&error);
            refused(&field, message)
        })?;
        settings
            .check()
            .map_err(|(field, message)| refused(&field, message))?;
        Ok(settings)
    }
}

/// What a parser says of a text that is no TOML, with its line.
pub(super) fn in_text(text: &str, error: &toml::de::Error) -> Refused {
    Refused {
        line: error.span().map(|span| line_at(text, span.start)),
        field: String::new(),
        message: error.message().to_owned(),
    }
}

/// The field that a refusal is about, dotted, and the sentence alone.
pub(super) fn blamed(error: &toml::de::Error) -> (String, String) {
    let message = error.message().to_owned();
    let whole = error.to_string();
    let path = whole
        .lines()
        .find_map(|line| line.strip_prefix("in `")?.strip_suffix('`'))
        .unwrap_or_default();
    let unknown = message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split('`').next());
    let field = match (path, unknown) {
        ("", Some(name)) => name.to_owned(),
        (path, Some(name)) => format!("{path}.{name}"),
        (path, None) => path.to_owned(),
    };
    (field, message)
}

/// The line a field is on, or the last part of its path that the text has.
pub(super) fn line_of(text: &str, field: &str) -> Option<usize> {
    let parsed = DeTable::parse(text).ok()?;
    let mut table = parsed.get_ref();
    let mut place = None;
    for part in field.split('.') {
        let found = table.iter().find(|(key, _)| key.get_ref() == part);
        let Some((key, value)) = found else { break };
        place = Some(key.span().start);
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => break,
        }
    }
    place.map(|at| line_at(text, at))
}

fn line_at(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    before.filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables that steer what one person sees, on one machine.
    const OF_A_PERSON: &[&str] = &["defaults", "embedded", "health", "ledger", "ui"];

    #[test]
    fn every_table_is_the_controllers_or_a_persons() {
        let known = super::super::defaults().unwrap();
        for table in known.keys() {
            let of = [OF_A_CONTROLLER, OF_A_PERSON].map(|tables| tables.contains(&table.as_str()));
            assert_eq!(
                of.iter().filter(|of| **of).count(),
                1,
                "[{table}]: say in settings/shared.rs whose it is"
            );
        }
    }

    #[test]
    fn a_good_text_changes_what_it_names() {
        let text =
            "[workspace]\nsize = \"1Gi\"\n[images]\nrunner = \"registry.example/flightdeck:1\"\n";
        let settings = Settings::of_controller(text).unwrap();
        assert_eq!(settings.workspace.size, "1Gi");
        assert_eq!(settings.images.runner, "registry.example/flightdeck:1");
        assert_eq!(settings.secrets, Settings::shipped().secrets);
        assert_eq!(Settings::of_controller("").unwrap(), Settings::shipped());
    }

    #[test]
    fn a_bad_text_is_refused_with_line_and_field() {
        for (text, expected) in [
            (
                "[images]\nrunner = 3\n",
                "line 2: images.runner: invalid type: integer `3`, expected a string",
            ),
            (
                "# mine\n[workspace]\n\nsise = \"1Gi\"\n",
                "line 4: workspace.sise: unknown field `sise`",
            ),
            (
                "[workspace]\nsize = \"plenty\"\n",
                "line 2: workspace.size: \"plenty\" is no quantity",
            ),
            (
                "\n[ui]\ntheme = \"dark\"\n",
                "line 2: ui: this is a person's own setting",
            ),
            ("[colour]\n", "line 1: colour: no such setting"),
            ("[images\n", "line 1: "),
            (
                "[agents.mine]\nimage = \"x\"\n",
                "line 1: agents.mine: missing field `program`",
            ),
            (
                "[allow]\ngithub_token_hosts = [\"https://github.com/\"]\n",
                "line 2: allow.github_token_hosts: \"https://github.com/\" is no host",
            ),
            (
                "[allow]\nsubmodules = [\"acme/lib\", \"acme*\"]\n",
                "line 2: allow.submodules: \"acme*\" is no repository; write one like acme/lib",
            ),
            (
                "[allow]\nsubmodules = [\"tools/*\", \"*\"]\n",
                "line 2: allow.submodules: \"*\" is no repository",
            ),
            (
                "[allow]\nsubmodules = [\"https://github.com/acme/lib\"]\n",
                "line 2: allow.submodules: \"https://github.com/acme/lib\" is no repository",
            ),
            (
                "[secrets]\ngithub_token = { name = \"Git Token\", key = \"token\" }\n",
                "line 2: secrets.github_token.name: \"Git Token\" is no name of a Secret",
            ),
            (
                "[publish.docs]\nlabels = \"a\"\ndraft = \"maybe\"\n",
                "line 3: publish.docs.draft: \"maybe\" is neither \"true\" nor \"false\"",
            ),
            (
                "[forge]\nhosts = [{ match = \"git.example\", api_url = \"git.example\" }]\n",
                "line 2: forge.hosts: \"git.example\" is no web address",
            ),
        ] {
            let refused = Settings::of_controller(text).unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{text}\n{refused}");
        }
    }
}
