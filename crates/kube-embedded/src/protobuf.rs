//! Decodes request bodies in the Kubernetes protobuf envelope, which kubectl's typed commands send (`create configmap`,
//! `auth can-i`), to JSON. Pure.
//!
//! Known messages are a table. Unknown fields are rejected, never dropped.

mod messages;

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::status::StatusError;

/// Prefix of the envelope.
const MAGIC: &[u8] = b"k8s\0";

/// A protobuf message: its fields by number.
struct Message {
    name: &'static str,
    fields: &'static [(u64, &'static str, FieldType)],
}

/// Type of a field, which determines its JSON form.
#[derive(Clone, Copy)]
enum FieldType {
    /// A string, omitted if empty.
    Text,
    Texts,
    /// A bool, omitted if false.
    Flag,
    /// An optional bool, kept if false.
    Choice,
    Number,
    Time,
    TextMap,
    /// A map of bytes, which become base64.
    BytesMap,
    Message(&'static Message),
    Messages(&'static Message),
}

/// A value on the wire.
#[derive(Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl Wire<'_> {
    fn is_empty(self) -> bool {
        match self {
            Self::Number(number) => number == 0,
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }
}

/// Decodes a body. Returns 400 if it is malformed, and 415 if its kind or a field is not supported.
pub(crate) fn decode(body: &[u8]) -> Result<Value, StatusError> {
    let envelope = body.strip_prefix(MAGIC).ok_or_else(malformed)?;
    let (mut types, mut raw) = (&[][..], &[][..]);
    for field in Fields(envelope) {
        match field? {
            (1, Wire::Bytes(bytes)) => types = bytes,
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (mut api_version, mut kind) = (String::new(), String::new());
    for field in Fields(types) {
        match field? {
            (1, Wire::Bytes(bytes)) => api_version = text(bytes)?,
            (2, Wire::Bytes(bytes)) => kind = text(bytes)?,
            _ => {}
        }
    }
    let message = messages::of(&api_version, &kind)
        .ok_or_else(|| StatusError::unsupported_protobuf(&format!("a {kind} of {api_version}")))?;
    let mut object = Map::new();
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    read(message, raw, &mut object)?;
    Ok(Value::Object(object))
}

fn malformed() -> StatusError {
    StatusError::bad_request("the body is not a Kubernetes protobuf object")
}

fn text(bytes: &[u8]) -> Result<String, StatusError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| malformed())
}

fn read(message: &Message, bytes: &[u8], into: &mut Map<String, Value>) -> Result<(), StatusError> {
    for field in Fields(bytes) {
        let (number, wire) = field?;
        let known = message.fields.iter().find(|(own, ..)| *own == number);
        let Some((_, name, holds)) = known else {
            if wire.is_empty() {
                continue;
            }
            let what = format!("field {number} of a {}", message.name);
            return Err(StatusError::unsupported_protobuf(&what));
        };
        let slot = |into: &mut Map<String, Value>, empty: Value| {
            into.entry(*name).or_insert(empty);
        };
        match (holds, wire) {
            (FieldType::Text, Wire::Bytes(bytes)) => {
                if !bytes.is_empty() {
                    into.insert((*name).into(), text(bytes)?.into());
                }
            }
            (FieldType::Texts, Wire::Bytes(bytes)) => {
                slot(into, Value::Array(Vec::new()));
                push(into, name, text(bytes)?.into());
            }
            (FieldType::Flag, Wire::Number(0)) => {}
            (FieldType::Flag | FieldType::Choice, Wire::Number(number)) => {
                into.insert((*name).into(), (number != 0).into());
            }
            (FieldType::Number, Wire::Number(number)) => {
                into.insert((*name).into(), number.cast_signed().into());
            }
            (FieldType::Time, Wire::Bytes(bytes)) => {
                if let Some(time) = time(bytes)? {
                    into.insert((*name).into(), time.into());
                }
            }
            (FieldType::TextMap | FieldType::BytesMap, Wire::Bytes(bytes)) => {
                slot(into, Value::Object(Map::new()));
                let (key, value) = entry(bytes)?;
                let value = match holds {
                    FieldType::TextMap => text(value)?,
                    _ => BASE64_STANDARD.encode(value),
                };
                if let Some(Value::Object(map)) = into.get_mut(*name) {
                    map.insert(key, value.into());
                }
            }
            (FieldType::Message(inner), Wire::Bytes(bytes)) => {
                let mut object = Map::new();
                read(inner, bytes, &mut object)?;
                into.insert((*name).into(), object.into());
            }
            (FieldType::Messages(inner), Wire::Bytes(bytes)) => {
                let mut object = Map::new();
                read(inner, bytes, &mut object)?;
                slot(into, Value::Array(Vec::new()));
                push(into, name, object.into());
            }
            _ => return Err(malformed()),
        }
    }
    Ok(())
}

fn push(into: &mut Map<String, Value>, name: &str, value: Value) {
    if let Some(Value::Array(items)) = into.get_mut(name) {
        items.push(value);
    }
}

/// Decodes a map entry.
fn entry(bytes: &[u8]) -> Result<(String, &[u8]), StatusError> {
    let (mut key, mut value) = (String::new(), &[][..]);
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => key = text(bytes)?,
            (2, Wire::Bytes(bytes)) => value = bytes,
            _ => return Err(malformed()),
        }
    }
    Ok((key, value))
}

/// Decodes a `Time`; `None` if it is unset.
fn time(bytes: &[u8]) -> Result<Option<String>, StatusError> {
    let mut seconds = None;
    for field in Fields(bytes) {
        if let (1, Wire::Number(number)) = field? {
            seconds = Some(number.cast_signed());
        }
    }
    seconds
        .map(|seconds| {
            Timestamp::from_second(seconds)
                .map(|time| time.to_string())
                .map_err(|_| malformed())
        })
        .transpose()
}

/// Iterator over the fields of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Result<u64, StatusError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or_else(malformed)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(malformed())
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], StatusError> {
        let length = usize::try_from(length).map_err(|_| malformed())?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Wire<'a>), StatusError> {
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Bytes(self.take(8)?),
            2 => {
                let length = self.varint()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Bytes(self.take(4)?),
            _ => return Err(malformed()),
        };
        Ok((tag >> 3, wire))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), StatusError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2, content.len() as u8];
        field.extend_from_slice(content);
        field
    }

    fn envelope(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [MAGIC, &bytes(1, &types), &bytes(2, raw), &bytes(3, b"")].concat()
    }

    #[test]
    fn decodes_to_json() {
        let metadata = [
            bytes(1, b"m"),
            bytes(2, b""),
            bytes(8, b""),
            bytes(11, &[bytes(1, b"k"), bytes(2, b"v")].concat()),
            bytes(14, b"example.org/f"),
        ]
        .concat();
        let map = [
            bytes(1, &metadata),
            bytes(2, &[bytes(1, b"a"), bytes(2, b"")].concat()),
            bytes(2, &[bytes(1, b"b"), bytes(2, b"2")].concat()),
            bytes(3, &[bytes(1, b"c"), bytes(2, &[0, 255])].concat()),
            vec![4 << 3, 0],
        ]
        .concat();
        assert_eq!(
            decode(&envelope("v1", "ConfigMap", &map)),
            Ok(json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "m", "labels": {"k": "v"}, "finalizers": ["example.org/f"]},
                "data": {"a": "", "b": "2"}, "binaryData": {"c": "AP8="}, "immutable": false,
            }))
        );
    }

    #[test]
    fn rejects_unknown_messages_and_fields() {
        let code = |body: &[u8]| decode(body).map_err(|failure| failure.code);
        assert_eq!(code(&envelope("v1", "Service", b"")), Err(415));
        let unknown = bytes(9, b"x");
        assert_eq!(code(&envelope("v1", "ConfigMap", &unknown)), Err(415));
        assert_eq!(code(b"{}"), Err(400));
        assert_eq!(code(&envelope("v1", "ConfigMap", &[10, 200])), Err(400));
        let wrong_type = [1 << 3, 1];
        assert_eq!(code(&envelope("v1", "ConfigMap", &wrong_type)), Err(400));
    }

    proptest! {
        #[test]
        fn any_input_is_an_object_or_an_error(raw in proptest::collection::vec(any::<u8>(), 0..100)) {
            for (api_version, kind) in [("v1", "Namespace"), ("batch/v1", "Job")] {
                if let Err(failure) = decode(&envelope(api_version, kind, &raw)) {
                    prop_assert!(matches!(failure.code, 400 | 415));
                }
            }
            let _ = decode(&raw);
        }
    }
}
