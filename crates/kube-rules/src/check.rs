//! Checks of an expression before it is evaluated: its variables, functions and fields exist.

use cel::{
    IdedExpr,
    common::ast::{CallExpr, ComprehensionExpr, Expr, SelectExpr, operators},
};

use crate::{functions, program::parts, schema::Schema, values::escape};

/// What an expression is checked against.
pub(crate) struct Check<'a> {
    /// Schema of `self`.
    pub(crate) schema: &'a Schema,
    /// Whether `oldSelf` is an optional value.
    pub(crate) optional_old_self: bool,
}

/// Why an expression is not compiled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// An API server refuses it, too.
    Invalid(String),
    /// An API server accepts it.
    Unsupported(String),
}

/// Functions of CEL.
const FUNCTIONS: &[&str] = &[
    "size", "type", "string", "int", "uint", "double", "bool", "bytes", "dyn",
];
/// Methods of CEL.
const METHODS: &[&str] = &[
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "value",
    "hasValue",
    "or",
    "orValue",
];
/// Functions with a qualified name.
const QUALIFIED: &[&str] = &["optional.of", "optional.none", "optional.ofNonZeroValue"];
/// Names of types.
const TYPES: &[&str] = &[
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "optional_type",
];
/// Functions and methods of Kubernetes that are not supported.
const UNSUPPORTED: &[&str] = &[
    // Times and durations.
    "timestamp",
    "duration",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    // URLs.
    "url",
    "isURL",
    "getScheme",
    "getHost",
    "getHostname",
    "getPort",
    "getEscapedPath",
    "getQuery",
    // Quantities and semantic versions.
    "quantity",
    "isQuantity",
    "isInteger",
    "asInteger",
    "asApproximateFloat",
    "sign",
    "add",
    "sub",
    "isGreaterThan",
    "isLessThan",
    "compareTo",
    "semver",
    "isSemver",
    "major",
    "minor",
    "patch",
    // IP addresses.
    "ip",
    "isIP",
    "cidr",
    "isCIDR",
    "family",
    "isCanonical",
    "isUnspecified",
    "isLoopback",
    "isLinkLocalMulticast",
    "isLinkLocalUnicast",
    "isGlobalUnicast",
    "containsIP",
    "containsCIDR",
    "masked",
    "prefixLength",
    // Text, lists, and comprehensions with two variables.
    "format",
    "validate",
    "reverse",
    "distinct",
    "flatten",
    "slice",
    "sort",
    "sortBy",
    "all",
    "exists",
    "existsOne",
    "transformList",
    "transformMap",
    "transformMapEntry",
];
/// First parts of the names of unsupported functions.
const UNSUPPORTED_NAMESPACES: &[&str] = &["sets", "strings", "math", "lists", "format", "base64"];
/// Formats whose values are not strings in CEL.
const UNSUPPORTED_FORMATS: &[&str] = &["date", "date-time", "duration", "byte"];

/// Checks an expression.
pub(crate) fn check(expr: &IdedExpr, check: &Check<'_>) -> Result<(), Refusal> {
    let old = (!check.optional_old_self).then_some(check.schema);
    let mut checker = Checker {
        variables: vec![("self", Some(check.schema)), ("oldSelf", old)],
        unsupported: None,
    };
    checker.infer(expr)?;
    match checker.unsupported {
        Some(what) => Err(Refusal::Unsupported(what)),
        None => Ok(()),
    }
}

/// Type of an expression: its schema, if known.
type Type<'a> = Option<&'a Schema>;

struct Checker<'a> {
    variables: Vec<(&'a str, Type<'a>)>,
    /// The first unsupported function or type. An error further on is more important.
    unsupported: Option<String>,
}

impl<'a> Checker<'a> {
    /// Checks an expression and returns its type.
    fn infer(&mut self, expr: &'a IdedExpr) -> Result<Type<'a>, Refusal> {
        match &expr.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(None),
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => self.all(&list.elements),
            Expr::Map(map) => self.all(map.entries.iter().flat_map(|entry| parts(&entry.expr))),
            Expr::Struct(made) => Err(undeclared(&made.type_name)),
        }
    }

    fn all(&mut self, exprs: impl IntoIterator<Item = &'a IdedExpr>) -> Result<Type<'a>, Refusal> {
        for expr in exprs {
            self.infer(expr)?;
        }
        Ok(None)
    }

    fn lookup(&self, name: &str) -> Option<Type<'a>> {
        let name = name.trim_start_matches('.');
        let mut variables = self.variables.iter().rev();
        let (_, found) = variables.find(|(known, _)| *known == name)?;
        Some(*found)
    }

    fn variable(&mut self, name: &str) -> Result<Type<'a>, Refusal> {
        match self.lookup(name) {
            Some(found) => {
                self.check_format(found);
                Ok(found)
            }
            None if TYPES.contains(&name) => Ok(None),
            None => Err(undeclared(name)),
        }
    }

    fn check_format(&mut self, found: Type<'_>) {
        if let Some(schema) = found
            && schema.kind == "string"
            && UNSUPPORTED_FORMATS.contains(&schema.format.as_str())
        {
            let what = format!("values of format {}", schema.format);
            self.unsupported.get_or_insert(what);
        }
    }

    fn select(&mut self, select: &'a SelectExpr) -> Result<Type<'a>, Refusal> {
        let Some(schema) = self.infer(&select.operand)? else {
            return Ok(None);
        };
        let field = select.field.as_str();
        let mut properties = schema.properties.iter();
        let found = properties.find(|(name, _)| escape(name).as_deref() == Some(field));
        let found = match (found, &schema.additional) {
            // A property of unknown type is not accessible.
            (Some((_, property)), _) if property.is_known() => Some(property),
            (None, Some(values)) => Some(&**values),
            (None, None) if !schema.is_known() || schema.int_or_string => None,
            _ if schema.kind != "object" => {
                let why = format!("type '{}' does not support field selection", schema.kind);
                return Err(Refusal::Invalid(why));
            }
            _ => return Err(Refusal::Invalid(format!("undefined field '{field}'"))),
        };
        let found = found.filter(|schema| schema.is_known());
        if !select.test {
            self.check_format(found);
        }
        Ok(found)
    }

    fn call(&mut self, call: &'a CallExpr) -> Result<Type<'a>, Refusal> {
        let name = call.func_name.as_str();
        if let Some(target) = &call.target {
            if let Expr::Ident(namespace) = &target.expr
                && self.lookup(namespace).is_none()
            {
                let qualified = format!("{namespace}.{name}");
                if UNSUPPORTED_NAMESPACES.contains(&namespace.as_str()) {
                    self.unsupported.get_or_insert(function(&qualified));
                } else if !QUALIFIED.contains(&qualified.as_str()) {
                    return Err(undeclared(namespace));
                }
                return self.all(&call.args);
            }
            self.infer(target)?;
            self.all(&call.args)?;
            let exists = METHODS.contains(&name) || functions::exists(name, call.args.len() + 1);
            self.function(name, exists)?;
            return Ok(None);
        }
        match name {
            operators::INDEX => {
                let container = self.infer(&call.args[0])?;
                self.all(&call.args[1..])?;
                let found = container.and_then(|schema| {
                    let found = schema.items.as_deref().or(schema.additional.as_deref());
                    found.filter(|schema| schema.is_known())
                });
                self.check_format(found);
                Ok(found)
            }
            _ if name.starts_with(['_', '@', '!', '-']) => self.all(&call.args),
            _ => {
                self.all(&call.args)?;
                let matches = name == "matches" && call.args.len() == 2;
                self.function(name, matches || FUNCTIONS.contains(&name))?;
                Ok(None)
            }
        }
    }

    /// Refuses a function that does not exist, unless it is one of Kubernetes that is not supported.
    fn function(&mut self, name: &str, exists: bool) -> Result<(), Refusal> {
        if exists {
            return Ok(());
        }
        if UNSUPPORTED.contains(&name) {
            self.unsupported.get_or_insert(function(name));
            return Ok(());
        }
        if functions::is_known(name) {
            let why = format!("found no matching overload for '{name}'");
            return Err(Refusal::Invalid(why));
        }
        Err(undeclared(name))
    }

    fn comprehension(&mut self, each: &'a ComprehensionExpr) -> Result<Type<'a>, Refusal> {
        let range = self.infer(&each.iter_range)?;
        self.infer(&each.accu_init)?;
        // A map yields its keys.
        let item = range.and_then(|schema| schema.items.as_deref());
        let item = item.filter(|schema| schema.is_known());
        self.variables.push((&each.accu_var, None));
        self.variables.push((&each.iter_var, item));
        self.infer(&each.loop_cond)?;
        self.infer(&each.loop_step)?;
        self.variables.pop();
        self.infer(&each.result)?;
        self.variables.pop();
        Ok(None)
    }
}

impl Schema {
    /// Returns whether the type of values is known.
    fn is_known(&self) -> bool {
        self.int_or_string || !self.kind.is_empty()
    }
}

fn function(name: &str) -> String {
    format!("the function {name}")
}

fn undeclared(name: &str) -> Refusal {
    let name = name.trim_start_matches('.');
    Refusal::Invalid(format!(
        "undeclared reference to '{name}' (in container '')"
    ))
}
