//! Writes YAML as kubectl prints it.

use serde::Serialize;

/// Returns `value` as a YAML document: lists at the indentation of their key, text of several lines as a literal block,
/// quotes only around strings that a YAML 1.1 or 1.2 parser would read as something else.
///
/// # Errors
/// A value that YAML cannot represent, such as a map in a key.
pub fn to_string(value: &impl Serialize) -> Result<String, serde_saphyr::ser_error::Error> {
    let options = serde_saphyr::ser_options! {
        // Long lines stay whole: they are searched and copied.
        folded_wrap_chars: usize::MAX,
    };
    serde_saphyr::to_string_with_options(value, options)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    #[test]
    fn quotes_what_would_not_stay_a_string() {
        for (value, yaml) in [
            (json!("plain text"), "plain text"),
            (json!("yes"), r#""yes""#),
            (json!("no"), r#""no""#),
            (json!("on"), r#""on""#),
            (json!("y"), r#""y""#),
            (json!("true"), r#""true""#),
            (json!("null"), r#""null""#),
            (json!(""), r#""""#),
            (json!("12"), r#""12""#),
            (json!("0644"), r#""0644""#),
            (json!("1e3"), r#""1e3""#),
            (json!("0x1f"), r#""0x1f""#),
            (json!("1:30"), r#""1:30""#),
            (json!("2026-01-02"), r#""2026-01-02""#),
            (json!("2026-01-02T03:04:05Z"), r#""2026-01-02T03:04:05Z""#),
            // A float in YAML 1.1, although every known parser reads a string.
            (json!("1.2.3"), r#""1.2.3""#),
            (json!("100m"), "100m"),
            (json!("5Gi"), "5Gi"),
            (json!("a: b"), r#""a: b""#),
            (json!("a #b"), r#""a #b""#),
            (json!("- a"), r#""- a""#),
            (json!("*"), r#""*""#),
            (json!("it's"), "it's"),
            (json!(" a "), r#"" a ""#),
            (
                json!("https://example.com/a.git"),
                "https://example.com/a.git",
            ),
            (json!("image:1.0"), "image:1.0"),
            (json!("\u{1b}[0m"), r#""\e[0m""#),
            (json!("a\tb"), r#""a\tb""#),
            (json!("é字"), "é字"),
            (json!(true), "true"),
            (json!(null), "null"),
            (json!(1.5), "1.5"),
            (json!([]), "[]"),
            (json!({}), "{}"),
        ] {
            let text = super::to_string(&json!({ "key": value })).unwrap();
            assert_eq!(text, format!("key: {yaml}\n"));
            let read: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(read["key"], value);
        }
    }

    #[test]
    fn lays_out_as_kubectl_does() {
        let long = "word ".repeat(60) + "end";
        let object = json!({
            "zebra": [{ "name": "a", "args": ["-c", "echo"], "env": [] }, { "name": "b" }],
            "alpha": { "nested": [[1, 2], [3]] },
            "script": "#!/bin/sh\n  echo: a # b\n\nexit\n",
            "cut": "a\nb",
            "indented": "  a\nb\n",
            "ends": "a\n\n",
            "long": long,
            "flightdeck.io/key": "x",
            "12": 12,
        });
        let text = super::to_string(&object).unwrap();
        let wanted = "\
zebra:
- name: a
  args:
  - -c
  - echo
  env: []
- name: b
alpha:
  nested:
  - - 1
    - 2
  - - 3
script: |
  #!/bin/sh
    echo: a # b

  exit
cut: |-
  a
  b
indented: |2
    a
  b
ends: |+
  a

long: LONG
flightdeck.io/key: x
\"12\": 12
";
        assert_eq!(text, wanted.replace("LONG", &long));
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, object);
    }
}
