//! Validation of objects by their schema.

use serde_json::{Map, Value};

use super::{ListType, Schema, format, join};
use crate::status::Cause;

impl Schema {
    /// Validates `value`, and adds the violations to `causes`.
    pub fn validate(&self, value: &Value, at: &str, causes: &mut Vec<Cause>) {
        if value.is_null() && (self.nullable || self.preserve && self.kind.is_empty()) {
            return;
        }
        if !self.has_type(value) {
            let expected = if self.int_or_string {
                "integer,string"
            } else {
                &self.kind
            };
            causes.push(Cause {
                reason: "FieldValueTypeInvalid",
                field: path(at),
                message: format!(
                    "Invalid value: {:?}: {} in body must be of type {expected}: {:?}",
                    type_of(value),
                    path(at),
                    type_of(value)
                ),
            });
            return;
        }
        self.validate_value(value, at, causes);
        match value {
            Value::Object(map) => self.validate_map(map, at, causes),
            Value::Array(items) => self.validate_list(items, at, causes),
            _ => {}
        }
        for schema in &self.all_of {
            schema.validate(value, at, causes);
        }
        let matches = |schemas: &[Self]| {
            schemas
                .iter()
                .filter(|schema| schema.accepts(value))
                .count()
        };
        if !self.any_of.is_empty() && matches(&self.any_of) == 0 {
            causes.push(Cause::invalid(
                path(at),
                value,
                format!(
                    "{} in body must validate at least one schema (anyOf)",
                    path(at)
                ),
            ));
        }
        if !self.one_of.is_empty() && matches(&self.one_of) != 1 {
            causes.push(Cause::invalid(
                path(at),
                value,
                format!(
                    "{} in body must validate one and only one schema (oneOf)",
                    path(at)
                ),
            ));
        }
        if self
            .not
            .as_ref()
            .is_some_and(|schema| schema.accepts(value))
        {
            causes.push(Cause::invalid(
                path(at),
                value,
                format!("{} in body must not validate the schema (not)", path(at)),
            ));
        }
    }

    fn accepts(&self, value: &Value) -> bool {
        let mut causes = Vec::new();
        self.validate(value, "", &mut causes);
        causes.is_empty()
    }

    fn has_type(&self, value: &Value) -> bool {
        if self.int_or_string {
            return value.is_i64() || value.is_u64() || value.is_string();
        }
        match self.kind.as_str() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => {
                value.is_i64()
                    || value.is_u64()
                    || value.as_f64().is_some_and(|number| number.fract() == 0.0)
            }
            "number" => value.is_number(),
            _ => true,
        }
    }

    fn validate_value(&self, value: &Value, at: &str, causes: &mut Vec<Cause>) {
        let mut invalid = |message: String| {
            causes.push(Cause::invalid(
                path(at),
                value,
                format!("{} in body {message}", path(at)),
            ));
        };
        if let Some(text) = value.as_str() {
            let length = text.chars().count() as u64;
            if let Some(min) = self.length.0.filter(|min| length < *min) {
                invalid(format!("should be at least {min} chars long"));
            }
            if let Some((pattern, Some(regex))) = &self.pattern
                && !regex.is_match(text)
            {
                invalid(format!("should match '{pattern}'"));
            }
            if !format::fits(&self.format, text) {
                invalid(format!("must be of type {}: {text:?}", self.format));
            }
        }
        if let Some(number) = value.as_f64() {
            if let Some(min) = self.minimum
                && (number < min || self.exclusive.0 && number <= min)
            {
                let or_equal = if self.exclusive.0 { "" } else { " or equal to" };
                invalid(format!("should be greater than{or_equal} {min}"));
            }
            if let Some(max) = self.maximum
                && (number > max || self.exclusive.1 && number >= max)
            {
                let or_equal = if self.exclusive.1 { "" } else { " or equal to" };
                invalid(format!("should be less than{or_equal} {max}"));
            }
            if let Some(factor) = self.multiple_of.filter(|factor| number % factor != 0.0) {
                invalid(format!("should be a multiple of {factor}"));
            }
            if self.format == "int32"
                && (number > f64::from(i32::MAX) || number < f64::from(i32::MIN))
            {
                invalid("must be of type int32".to_owned());
            }
        }
        if let (Some(text), Some(max)) = (value.as_str(), self.length.1)
            && text.chars().count() as u64 > max
        {
            causes.push(Cause::too_long(path(at), max));
        }
        if let Some(enum_values) = &self.enum_values
            && !enum_values.contains(value)
        {
            let list: Vec<String> = enum_values.iter().map(Value::to_string).collect();
            causes.push(Cause {
                reason: "FieldValueNotSupported",
                field: path(at),
                message: format!(
                    "Unsupported value: {value}: supported values: {}",
                    list.join(", ")
                ),
            });
        }
    }

    fn validate_map(&self, map: &Map<String, Value>, at: &str, causes: &mut Vec<Cause>) {
        for name in &self.required {
            if !map.contains_key(name) {
                causes.push(Cause::required(join(at, name)));
            }
        }
        if let Some(max) = self.count.1.filter(|max| map.len() as u64 > *max) {
            causes.push(Cause {
                reason: "FieldValueTooMany",
                field: path(at),
                message: format!("Too many: {}: must have at most {max} items", map.len()),
            });
        }
        if let Some(min) = self.count.0.filter(|min| (map.len() as u64) < *min) {
            let message = format!("{} in body should have at least {min} properties", path(at));
            causes.push(Cause::invalid(
                path(at),
                &Value::Object(map.clone()),
                message,
            ));
        }
        for (name, child) in map {
            if let Some(schema) = self.field(name) {
                schema.validate(child, &join(at, name), causes);
            }
        }
    }

    fn validate_list(&self, items: &[Value], at: &str, causes: &mut Vec<Cause>) {
        let count = items.len() as u64;
        if let Some(max) = self.count.1.filter(|max| count > *max) {
            causes.push(Cause {
                reason: "FieldValueTooMany",
                field: path(at),
                message: format!("Too many: {count}: must have at most {max} items"),
            });
        }
        if let Some(min) = self.count.0.filter(|min| count < *min) {
            let message = format!("{} in body should have at least {min} items", path(at));
            causes.push(Cause::invalid(path(at), &Value::from(count), message));
        }
        let identity = |item: &Value| match &self.list_type {
            ListType::Atomic => None,
            ListType::Set => Some(item.to_string()),
            ListType::Map(keys) => {
                let keys = keys
                    .iter()
                    .map(|key| (key.clone(), item[key.as_str()].clone()));
                Some(Value::Object(keys.collect()).to_string())
            }
        };
        let mut seen = std::collections::HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let at = format!("{at}[{index}]");
            if let Some(id) = identity(item)
                && !seen.insert(id.clone())
            {
                causes.push(Cause {
                    reason: "FieldValueDuplicate",
                    field: at.clone(),
                    message: format!("Duplicate value: {id}"),
                });
            }
            if let Some(schema) = &self.items {
                schema.validate(item, &at, causes);
            }
        }
    }
}

fn path(at: &str) -> String {
    if at.is_empty() { "<nil>" } else { at }.to_owned()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
