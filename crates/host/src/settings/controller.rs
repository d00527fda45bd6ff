//! Parses the controller's settings ConfigMap, with line and field in errors.

use std::fmt;

use toml::de::DeTable;

use super::Settings;

/// Name of the ConfigMap with the controller's settings, in its own namespace.
pub const SETTINGS_MAP: &str = "flightdeck-settings";
/// Key of that ConfigMap; its value has the format of `config/console.toml`.
pub const SETTINGS_KEY: &str = "config.toml";

/// Tables that apply to a controller. All others configure a user's console and are rejected.
const CONTROLLER_TABLES: &[&str] = &[
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

/// Why settings are rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    /// Starts at 1; `None` if unknown.
    pub line: Option<usize>,
    /// Dotted, as in `workspace.size`; empty if the text is not valid TOML.
    pub field: String,
    pub message: String,
}

impl fmt::Display for InvalidSetting {
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
    /// Parses a controller's settings and merges them over the defaults.
    pub fn for_controller(text: &str) -> Result<Self, InvalidSetting> {
        let refused = |field: &str, message: String| InvalidSetting {
            line: line_of(text, field),
            field: field.to_owned(),
            message,
        };
        let table: toml::Table = text.parse().map_err(|error| syntax_error(text, &error))?;
        let known = super::defaults().unwrap_or_default();
        for key in table.keys() {
            if !CONTROLLER_TABLES.contains(&key.as_str()) {
                let message = if known.contains_key(key) {
                    "this setting applies to the console only, not to the controller"
                } else {
                    "unknown setting; see config/console.toml"
                };
                return Err(refused(key, message.to_owned()));
            }
        }
        let settings = Self::merged(table).map_err(|error| {
            let (field, message) = field_and_message(&error);
            refused(&field, message)
        })?;
        settings
            .validate()
            .map_err(|(field, message)| refused(&field, message))?;
        Ok(settings)
    }
}

/// Converts a TOML syntax error, with its line.
pub(super) fn syntax_error(text: &str, error: &toml::de::Error) -> InvalidSetting {
    InvalidSetting {
        line: error.span().map(|span| line_at(text, span.start)),
        field: String::new(),
        message: error.message().to_owned(),
    }
}

/// Returns the dotted name of the field that an error is about, and its message.
pub(super) fn field_and_message(error: &toml::de::Error) -> (String, String) {
    let message = error.message().to_owned();
    let full_text = error.to_string();
    let path = full_text
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

/// Returns the line of a field, or of the innermost table on its path that exists.
pub(super) fn line_of(text: &str, field: &str) -> Option<usize> {
    let parsed = DeTable::parse(text).ok()?;
    let mut table = parsed.get_ref();
    let mut position = None;
    for part in field.split('.') {
        let found = table.iter().find(|(key, _)| key.get_ref() == part);
        let Some((key, value)) = found else { break };
        position = Some(key.span().start);
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => break,
        }
    }
    position.map(|at| line_at(text, at))
}

fn line_at(text: &str, at: usize) -> usize {
    let before = text.as_bytes().iter().take(at);
    before.filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tables that configure a user's console.
    const CONSOLE_TABLES: &[&str] = &["defaults", "embedded", "health", "ledger", "ui"];

    #[test]
    fn every_table_belongs_to_controller_or_console() {
        let known = super::super::defaults().unwrap();
        for table in known.keys() {
            let of =
                [CONTROLLER_TABLES, CONSOLE_TABLES].map(|tables| tables.contains(&table.as_str()));
            assert_eq!(
                of.iter().filter(|of| **of).count(),
                1,
                "[{table}]: add it to a list in settings/controller.rs"
            );
        }
    }

    #[test]
    fn merges_controller_settings_over_defaults() {
        let text =
            "[workspace]\nsize = \"1Gi\"\n[images]\nrunner = \"registry.example/flightdeck:1\"\n";
        let settings = Settings::for_controller(text).unwrap();
        assert_eq!(settings.workspace.size, "1Gi");
        assert_eq!(settings.images.runner, "registry.example/flightdeck:1");
        assert_eq!(settings.secrets, Settings::shipped().secrets);
        assert_eq!(Settings::for_controller("").unwrap(), Settings::shipped());
    }

    #[test]
    fn rejects_invalid_settings_with_line_and_field() {
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
                "line 2: workspace.size: \"plenty\" is not a quantity",
            ),
            (
                "\n[ui]\ntheme = \"dark\"\n",
                "line 2: ui: this setting applies to the console only",
            ),
            ("[colour]\n", "line 1: colour: unknown setting"),
            ("[images\n", "line 1: "),
            (
                "[agents.mine]\nimage = \"x\"\n",
                "line 1: agents.mine: missing field `program`",
            ),
            (
                "[allow]\ngithub_token_hosts = [\"https://github.com/\"]\n",
                "line 2: allow.github_token_hosts: \"https://github.com/\" is not a host",
            ),
            (
                "[allow]\nsubmodules = [\"acme/lib\", \"acme*\"]\n",
                "line 2: allow.submodules: \"acme*\" is not a repository; use for example acme/lib",
            ),
            (
                "[allow]\nsubmodules = [\"tools/*\", \"*\"]\n",
                "line 2: allow.submodules: \"*\" is not a repository",
            ),
            (
                "[allow]\nsubmodules = [\"https://github.com/acme/lib\"]\n",
                "line 2: allow.submodules: \"https://github.com/acme/lib\" is not a repository",
            ),
            (
                "[secrets]\ngithub_token = { name = \"Git Token\", key = \"token\" }\n",
                "line 2: secrets.github_token.name: \"Git Token\" is not a Secret name",
            ),
            (
                "[publish.docs]\nlabels = \"a\"\ndraft = \"maybe\"\n",
                "line 3: publish.docs.draft: \"maybe\" must be \"true\" or \"false\"",
            ),
            (
                "[forge]\nhosts = [{ match = \"git.example\", api_url = \"git.example\" }]\n",
                "line 2: forge.hosts: \"git.example\" is not a URL",
            ),
        ] {
            let refused = Settings::for_controller(text).unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{text}\n{refused}");
        }
    }
}
