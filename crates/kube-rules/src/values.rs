//! JSON values as CEL values, typed by their schema.
//!
//! Lists and maps are shared: the interpreter clones what it iterates over. Lists with the types `set` and `map` compare
//! and add as in Kubernetes.

use std::{collections::HashMap, sync::Arc};

use cel::{
    ExecutionError,
    common::{
        traits::{Adder, Container, Indexer, Iterable, Sizer, Zeroer},
        types::{
            CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
            Type,
        },
        value::{Builtin, BuiltinRef, CowVal, Val},
    },
};
use serde_json::{Number, Value};

use crate::schema::{ListType, Schema};

/// Words that are not identifiers in CEL.
const KEYWORDS: &[&str] = &[
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// Converts a value. Without a schema its JSON type decides.
pub(crate) fn of<'a>(schema: Option<&'a Schema>, value: &'a Value) -> Box<dyn Val + 'a> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(bool) => Box::new(CelBool::from(*bool)),
        Value::Number(number) => of_number(schema, number),
        Value::String(text) => Box::new(CelString::from(text.as_str())),
        Value::Array(items) => {
            let item = schema.and_then(|schema| schema.items.as_deref());
            let values = items.iter().map(|value| of(item, value));
            Box::new(SharedList {
                items: Arc::new(CelList::from(values.collect::<Vec<_>>())),
                list_type: schema.map_or(&ListType::Atomic, |schema| &schema.list_type),
            })
        }
        Value::Object(map) => {
            let mut entries = HashMap::with_capacity(map.len());
            for (name, value) in map {
                let property = schema.and_then(|schema| schema.properties.get(name));
                let (key, schema) = match property {
                    Some(property) => match escape(name) {
                        Some(escaped) if escaped == *name => {
                            (CelMapKey::from(name.as_str()), Some(property))
                        }
                        Some(escaped) => (CelMapKey::from(escaped), Some(property)),
                        None => (CelMapKey::from(name.as_str()), Some(property)),
                    },
                    None => (
                        CelMapKey::from(name.as_str()),
                        schema.and_then(|schema| schema.additional.as_deref()),
                    ),
                };
                entries.insert(key, of(schema, value));
            }
            Box::new(SharedMap(Arc::new(CelMap::from(entries))))
        }
    }
}

fn of_number<'a>(schema: Option<&Schema>, number: &Number) -> Box<dyn Val + 'a> {
    let kind = schema.map_or("", |schema| schema.kind.as_str());
    let float = number.as_f64().unwrap_or_default();
    if kind == "number" {
        return Box::new(CelDouble::from(float));
    }
    match (number.as_i64(), number.as_u64()) {
        (Some(int), _) => Box::new(CelInt::from(int)),
        (None, Some(uint)) => Box::new(CelUInt::from(uint)),
        // A whole number may be written with a fraction of zero.
        (None, None) if kind == "integer" => Box::new(CelInt::from(float as i64)),
        (None, None) => Box::new(CelDouble::from(float)),
    }
}

/// Returns the name of a property in expressions; `None` if it is not accessible.
pub(crate) fn escape(name: &str) -> Option<String> {
    if KEYWORDS.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let mut bytes = name.bytes();
    let starts = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'-' | b'/');
    let accessible =
        bytes.next().is_some_and(starts) && bytes.all(|byte| starts(byte) || byte.is_ascii_digit());
    accessible.then(|| {
        name.replace("__", "__underscores__")
            .replace('.', "__dot__")
            .replace('-', "__dash__")
            .replace('/', "__slash__")
    })
}

/// A list, cheap to clone.
#[derive(Clone, Debug)]
struct SharedList<'v> {
    items: Arc<CelList<'v>>,
    list_type: &'v ListType,
}

/// A map, cheap to clone.
#[derive(Clone, Debug)]
struct SharedMap<'v>(Arc<CelMap<'v>>);

impl SharedList<'_> {
    /// Returns whether two items are the same item of the list.
    fn is_same(&self, a: &dyn Val, b: &dyn Val) -> bool {
        let ListType::Map(keys) = self.list_type else {
            return a.equals(b);
        };
        let key = |item: &dyn Val, key: &str| -> Option<Box<dyn Val>> {
            let item = item.downcast_ref::<CelMap<'_>>()?;
            let value = item.inner().get(&CelMapKey::from(key))?;
            // Keys are scalars.
            Some(if let Some(text) = value.downcast_ref::<CelString<'_>>() {
                Box::new(text.clone().into_static())
            } else if let Some(int) = value.downcast_ref::<CelInt>() {
                Box::new(*int)
            } else {
                Box::new(*value.downcast_ref::<CelBool>()?)
            })
        };
        keys.iter().all(|name| match (key(a, name), key(b, name)) {
            (Some(a), Some(b)) => a.equals(&*b),
            (None, None) => true,
            _ => false,
        })
    }
}

impl Val for SharedList<'_> {
    fn get_type(&self) -> &Type {
        <CelList<'_> as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        <CelList<'_> as Val>::cel_type()
    }

    fn as_adder<'b, 'w>(&'b self) -> Option<&'b (dyn Adder + 'w)>
    where
        Self: 'w,
    {
        Some(self)
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.items.as_container()
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        self.items.as_indexer()
    }

    fn into_indexer<'w>(self: Box<Self>) -> Option<Box<dyn Indexer + 'w>>
    where
        Self: 'w,
    {
        Some(Box::new(Arc::unwrap_or_clone(self.items)))
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        self.items.as_iterable()
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        self.items.as_sizer()
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        self.items.as_zeroer()
    }

    fn equals(&self, other: &dyn Val) -> bool {
        if *self.list_type == ListType::Atomic {
            return self.items.equals(other);
        }
        let Some(other) = other.downcast_ref::<CelList<'_>>() else {
            return false;
        };
        let has = |item: &dyn Val| {
            let mut items = self.items.inner().iter();
            items.any(|own| own.equals(item))
        };
        self.items.inner().len() == other.inner().len()
            && other.inner().iter().all(|item| has(&**item))
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(self.clone())
    }

    fn as_builtin<'b, 'w>(&'b self) -> BuiltinRef<'b, 'w>
    where
        Self: 'w,
    {
        BuiltinRef::List(&self.items)
    }

    fn into_builtin<'w>(self: Box<Self>) -> Option<Builtin<'w>>
    where
        Self: 'w,
    {
        Some(Builtin::List(Arc::unwrap_or_clone(self.items)))
    }
}

impl Adder for SharedList<'_> {
    /// A set keeps its items and takes those it lacks; a map list takes new items in place of its own.
    fn add<'b, 'w>(&'b self, rhs: &(dyn Val + 'w)) -> Result<CowVal<'b, 'w>, ExecutionError>
    where
        Self: 'w,
    {
        let (false, Some(other)) = (
            *self.list_type == ListType::Atomic,
            rhs.downcast_ref::<CelList<'_>>(),
        ) else {
            return self.items.add(rhs);
        };
        let own = self.items.inner().iter();
        let mut items: Vec<Box<dyn Val + 'w>> = own.map(|item| item.clone_as_boxed()).collect();
        for item in other.inner() {
            match items.iter_mut().find(|own| self.is_same(&***own, &**item)) {
                Some(own) => *own = item.clone_as_boxed(),
                None => items.push(item.clone_as_boxed()),
            }
        }
        Ok(CowVal::owned(CelList::from(items)))
    }
}

impl Val for SharedMap<'_> {
    fn get_type(&self) -> &Type {
        <CelMap<'_> as Val>::cel_type()
    }

    fn cel_type() -> &'static Type {
        <CelMap<'_> as Val>::cel_type()
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.0.as_container()
    }

    fn as_indexer<'b, 'w>(&'b self) -> Option<&'b (dyn Indexer + 'w)>
    where
        Self: 'w,
    {
        self.0.as_indexer()
    }

    fn into_indexer<'w>(self: Box<Self>) -> Option<Box<dyn Indexer + 'w>>
    where
        Self: 'w,
    {
        Some(Box::new(Arc::unwrap_or_clone(self.0)))
    }

    fn as_iterable<'b, 'w>(&'b self) -> Option<&'b (dyn Iterable + 'w)>
    where
        Self: 'w,
    {
        self.0.as_iterable()
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        self.0.as_sizer()
    }

    fn as_zeroer(&self) -> Option<&dyn Zeroer> {
        self.0.as_zeroer()
    }

    fn equals(&self, other: &dyn Val) -> bool {
        self.0.equals(other)
    }

    fn clone_as_boxed<'w>(&self) -> Box<dyn Val + 'w>
    where
        Self: 'w,
    {
        Box::new(self.clone())
    }

    fn as_builtin<'b, 'w>(&'b self) -> BuiltinRef<'b, 'w>
    where
        Self: 'w,
    {
        BuiltinRef::Map(&self.0)
    }

    fn into_builtin<'w>(self: Box<Self>) -> Option<Builtin<'w>>
    where
        Self: 'w,
    {
        Some(Builtin::Map(Arc::unwrap_or_clone(self.0)))
    }
}
