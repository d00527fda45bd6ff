//! The generated sections of the README: keys and exit codes.

use std::{env, fs, path::PathBuf};

use flightdeck_console::{
    command::{COMMANDS, Context},
    keymap::Keymap,
};
use flightdeck_verbs::EXIT_CODES;

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

/// Returns the table of exit codes.
fn exit_code_table() -> String {
    let rows = EXIT_CODES
        .iter()
        .map(|(code, meaning)| format!("| {code} | {meaning} |\n"));
    format!(
        "\n| exit code | meaning |\n|---|---|\n{}",
        rows.collect::<String>()
    )
}

/// Compares a generated section of the README, or writes it with `UPDATE=1`.
fn check_section(name: &str, content: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let begin =
        format!("<!-- {name}:begin (generated: UPDATE=1 cargo test --test it readme) -->\n");
    let end = format!("<!-- {name}:end -->");
    let (before, rest) = readme.split_once(&begin).expect("begin marker");
    let (_, after) = rest.split_once(&end).expect("end marker");
    let fresh = format!("{before}{begin}{content}\n{end}{after}");
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, fresh).unwrap();
    } else {
        assert!(
            readme == fresh,
            "the {name} of the README are outdated: UPDATE=1 cargo test --test it readme"
        );
    }
}

// One test: both sections are in one file.
#[test]
fn generated_sections_are_current() {
    check_section("keys", &key_tables());
    check_section("exit-codes", &exit_code_table());
}
