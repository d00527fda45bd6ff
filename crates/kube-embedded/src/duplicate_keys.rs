//! Finds duplicate keys in a JSON body. The last one counts, which is seldom what was meant. Pure.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Returns the paths of duplicate keys, in order; none if the body is not JSON.
pub(crate) fn duplicates(body: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let scanner = Scanner {
        at: "",
        found: &mut found,
    };
    let mut json = serde_json::Deserializer::from_slice(body);
    // A syntax error is reported by the parser of the body.
    drop(scanner.deserialize(&mut json));
    found
}

struct Scanner<'a> {
    at: &'a str,
    found: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Scanner<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scanner<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let at = if self.at.is_empty() {
                key.clone()
            } else {
                format!("{}.{key}", self.at)
            };
            if !seen.insert(key) {
                self.found.push(at.clone());
            }
            map.next_value_seed(Scanner {
                at: &at,
                found: self.found,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut index = 0;
        loop {
            let at = format!("{}[{index}]", self.at);
            let scanner = Scanner {
                at: &at,
                found: self.found,
            };
            if items.next_element_seed(scanner)?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_paths_of_duplicate_keys() {
        for (body, expected) in [
            (
                r#"{"a":1,"b":{"a":1.5},"c":[{"a":null},{"a":true}]}"#,
                vec![],
            ),
            (r#"{"a":1,"b":{"x":"","x":2},"a":-1}"#, vec!["b.x", "a"]),
            (r#"{"c":[0,{"x":[],"x":{}}]}"#, vec!["c[1].x"]),
            ("nonsense", vec![]),
        ] {
            assert_eq!(duplicates(body.as_bytes()), expected, "{body}");
        }
    }
}
