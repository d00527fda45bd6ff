//! Content negotiation: the representation of objects that the `Accept` header asks for. Pure.

use super::status::StatusError;

/// Media types served, for the error message.
const SUPPORTED: [&str; 1] = ["application/json"];

/// Representation of objects in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Representation {
    Full,
    /// `PartialObjectMetadata` of this apiVersion.
    Metadata(&'static str),
    /// `Table` of this apiVersion.
    Table(&'static str, IncludeObject),
}

/// Object in each row of a table (`includeObject`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    None,
    #[default]
    Metadata,
    Object,
}

impl IncludeObject {
    /// Parses the parameter `includeObject`.
    pub(crate) fn parse(text: &str) -> Result<Self, StatusError> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "None" => Ok(Self::None),
            "Object" => Ok(Self::Object),
            other => Err(StatusError::bad_request(format!(
                "includeObject: Unsupported value: {other:?}: supported values: \"Metadata\", \"None\", \"Object\""
            ))),
        }
    }
}

impl Representation {
    /// Returns the first representation in `accept` that is supported, or 406.
    pub(crate) fn negotiate(accept: &str, include: IncludeObject) -> Result<Self, StatusError> {
        if accept.trim().is_empty() {
            return Ok(Self::Full);
        }
        accept
            .split(',')
            .find_map(|clause| Self::parse_clause(clause, include))
            .ok_or_else(|| StatusError::not_acceptable(&SUPPORTED))
    }

    fn parse_clause(clause: &str, include: IncludeObject) -> Option<Self> {
        let mut parts = clause.split(';').map(str::trim);
        if !matches!(parts.next()?, "application/json" | "application/*" | "*/*") {
            return None;
        }
        let (mut shape, mut group, mut version) = ("", "", "");
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "as" => shape = value,
                "g" => group = value,
                "v" => version = value,
                _ => {}
            }
        }
        if shape.is_empty() {
            return Some(Self::Full);
        }
        let api_version = match (group, version) {
            ("meta.k8s.io", "v1") => "meta.k8s.io/v1",
            ("meta.k8s.io", "v1beta1") => "meta.k8s.io/v1beta1",
            _ => return None,
        };
        match shape {
            "Table" => Some(Self::Table(api_version, include)),
            "PartialObjectMetadata" | "PartialObjectMetadataList" => {
                Some(Self::Metadata(api_version))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negotiates_first_supported_type() {
        let table = |version| Ok(Representation::Table(version, IncludeObject::Metadata));
        for (accept, expected) in [
            ("", Ok(Representation::Full)),
            ("application/json, */*", Ok(Representation::Full)),
            ("*/*", Ok(Representation::Full)),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Ok(Representation::Full),
            ),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                table("meta.k8s.io/v1"),
            ),
            (
                "application/json;as=Table;v=v2;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io",
                table("meta.k8s.io/v1beta1"),
            ),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Ok(Representation::Metadata("meta.k8s.io/v1")),
            ),
            (
                "application/json;as=Other;g=meta.k8s.io;v=v1,application/json",
                Ok(Representation::Full),
            ),
            ("application/json;as=Other;g=meta.k8s.io;v=v1", Err(406)),
            ("application/vnd.kubernetes.protobuf", Err(406)),
            ("text/html", Err(406)),
        ] {
            let found = Representation::negotiate(accept, IncludeObject::Metadata)
                .map_err(|failure| failure.code);
            assert_eq!(found, expected, "{accept}");
        }
    }
}
