//! What the README says of keys is what the keymap says.

use std::{env, fs, path::PathBuf};

use flightdeck_console::{
    command::{COMMANDS, Context},
    keymap::Keymap,
};

const BEGIN: &str = "<!-- keys:begin (UPDATE=1 cargo test shipped writes this anew) -->\n";
const END: &str = "<!-- keys:end -->";

/// One table a context, in the order people meet them; a row a command.
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
                "\n**{}**\n\n| key | does |\n|---|---|\n{}",
                context.title(),
                rows.concat()
            ));
        }
    }
    out
}

#[test]
fn the_shipped_readme_lists_the_keys_there_are() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (before, rest) = readme
        .split_once(BEGIN)
        .expect("the README marks where its keys begin");
    let (_, after) = rest
        .split_once(END)
        .expect("the README marks where its keys end");
    let fresh = format!("{before}{BEGIN}{}\n{END}{after}", key_tables());
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, fresh).unwrap();
    } else {
        assert!(
            readme == fresh,
            "the README's keys are out of step: UPDATE=1 cargo test shipped"
        );
    }
}
