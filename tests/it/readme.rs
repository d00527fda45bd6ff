//! The key tables of the README derive from the keymap.

use std::{env, fs, path::PathBuf};

use flightdeck_console::{
    command::{COMMANDS, Context},
    keymap::Keymap,
};

const BEGIN: &str = "<!-- keys:begin (generated: UPDATE=1 cargo test --test it readme) -->\n";
const END: &str = "<!-- keys:end -->";

/// Returns a table per context, with a row per command.
fn key_tables() -> String {
    let keymap = Keymap::shipped();
    let mut out = String::new();
    for context in Context::ALL {
        let rows: Vec<String> = COMMANDS
            .iter()
            .filter(|row| row.context == context)
            .filter_map(|row| {
                let keys = keymap.keys(context, row.command);
                let keys: Vec<String> = keys
                    .iter()
                    .map(|key| format!("`{}`", key.replace('|', "\\|")))
                    .collect();
                (!keys.is_empty()).then(|| format!("| {} | {} |\n", keys.join(" "), row.doc))
            })
            .collect();
        if !rows.is_empty() {
            out.push_str(&format!(
                "\n**{}**\n\n| key | action |\n|---|---|\n{}",
                context.title(),
                rows.concat()
            ));
        }
    }
    out
}

#[test]
fn readme_lists_all_keys() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme
        .split_once(BEGIN)
        .expect("the README has the begin marker");
    let (_, after) = rest.split_once(END).expect("the README has the end marker");
    let fresh = format!("{before}{BEGIN}{}\n{END}{after}", key_tables());
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, fresh).unwrap();
    } else {
        assert!(
            readme == fresh,
            "the README's keys are outdated: UPDATE=1 cargo test --test it readme"
        );
    }
}
