//! Compiled CEL expressions.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    thread,
};

use cel::{
    Context, Env, ExecutionError, IdedExpr, Value as CelValue,
    common::{
        ast::{EntryExpr, Expr},
        types::{CelBool, CelOptional, CelString, DYN_TYPE},
        value::CowVal,
    },
};
use serde_json::Value;

use crate::{
    check::{self, Check, Refusal},
    functions::{self, Pattern},
    meter::{self, Instrumented, Meter},
    schema::Schema,
    values,
};

/// Maximum length of an expression, in bytes.
const MAX_TEXT: usize = 8 << 10;
/// Maximum nesting of an expression: evaluating it recurses as deeply.
const MAX_DEPTH: usize = 96;
/// Stack of the thread that parses. Parsing recurses as deeply as the longest text allows, before the nesting is known.
const PARSER_STACK: usize = 256 << 20;
/// Number of parsed expressions that are kept.
const MAX_PARSED: usize = 1024;

/// The functions of CEL and Kubernetes that expressions can call.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::stdlib();
    for (name, arguments, function) in functions::OVERLOADS.iter().chain(meter::OVERLOADS) {
        let types = (0..*arguments).map(|_| DYN_TYPE).collect();
        let id = format!("{name}/{arguments}");
        // Fails only for a duplicate in these tables, which a test excludes.
        drop(environment.add_overload(name, &id, types, *function));
    }
    Arc::new(environment)
});

/// Parsed expressions by their text: a definition is compiled at each of its writes.
static PARSED: LazyLock<Mutex<HashMap<String, Arc<Parsed>>>> = LazyLock::new(Mutex::default);

/// An expression as parsed, for checks, and as evaluated.
#[derive(Debug)]
struct Parsed {
    source: IdedExpr,
    code: IdedExpr,
    /// Regular expressions that `code` refers to by their index.
    patterns: Vec<Pattern>,
    uses_old_self: bool,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub(crate) struct Program(Arc<Parsed>);

/// What an expression is evaluated on.
pub(crate) struct Scope<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) new: &'a Value,
    pub(crate) old: Option<&'a Value>,
    pub(crate) optional_old_self: bool,
    pub(crate) meter: &'a Meter,
}

/// Why an evaluation has no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It took too long, or too much memory.
    Exhausted,
    /// Operands of a wrong type.
    NoOverload,
    /// Any other error.
    Error(String),
}

/// Compiles an expression and checks it against the schema of `self`.
pub(crate) fn compile(text: &str, check: &Check<'_>) -> Result<Program, Refusal> {
    if text.len() > MAX_TEXT {
        let why = format!("the expression is longer than {MAX_TEXT} bytes");
        return Err(Refusal::Invalid(why));
    }
    let known = cache(|parsed| parsed.get(text).cloned());
    let parsed = if let Some(parsed) = known {
        parsed
    } else {
        let parsed = Arc::new(parse(text).map_err(Refusal::Invalid)?);
        cache(|known| {
            if known.len() >= MAX_PARSED {
                known.clear();
            }
            known.insert(text.to_owned(), Arc::clone(&parsed));
        });
        parsed
    };
    check::check(&parsed.source, check)?;
    Ok(Program(parsed))
}

fn cache<T>(access: impl FnOnce(&mut HashMap<String, Arc<Parsed>>) -> T) -> T {
    access(&mut PARSED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Parses on a thread with a stack of its own, so that no text can overflow that of the caller. A panic of the parser
/// ends there, too.
fn parse(text: &str) -> Result<Parsed, String> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().stack_size(PARSER_STACK);
        builder
            .spawn_scoped(scope, || parse_here(text))
            .map_err(|error| format!("cannot start the parser: {error}"))?
            .join()
            .unwrap_or_else(|_| Err("the parser failed".to_owned()))
    })
}

fn parse_here(text: &str) -> Result<Parsed, String> {
    let source = ENVIRONMENT.parser().parse(text).map_err(|errors| {
        let first = errors.errors.first().map(ToString::to_string);
        let line = first.as_deref().and_then(|text| text.lines().next());
        shorten(line.unwrap_or("Syntax error"))
    })?;
    if depth(&source) > MAX_DEPTH {
        return Err(format!("the expression nests more than {MAX_DEPTH} levels"));
    }
    let Instrumented { code, patterns } = meter::instrument(source.clone())?;
    Ok(Parsed {
        uses_old_self: source.references().has_variable("oldSelf"),
        source,
        code,
        patterns,
    })
}

/// Returns the nesting of an expression.
fn depth(expr: &IdedExpr) -> usize {
    let deepest = |all: &mut dyn Iterator<Item = &IdedExpr>| all.map(depth).max().unwrap_or(0);
    1 + match &expr.expr {
        Expr::Call(call) => deepest(&mut call.target.as_deref().into_iter().chain(&call.args)),
        Expr::Comprehension(each) => deepest(
            &mut [
                &each.iter_range,
                &each.accu_init,
                &each.loop_cond,
                &each.loop_step,
                &each.result,
            ]
            .into_iter(),
        ),
        Expr::List(list) => deepest(&mut list.elements.iter()),
        Expr::Map(map) => deepest(&mut map.entries.iter().flat_map(|entry| parts(&entry.expr))),
        Expr::Select(select) => depth(&select.operand),
        Expr::Struct(made) => {
            deepest(&mut made.entries.iter().flat_map(|entry| parts(&entry.expr)))
        }
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => 0,
    }
}

/// Returns the expressions of an entry.
pub(crate) fn parts(entry: &EntryExpr) -> impl Iterator<Item = &IdedExpr> {
    let (key, value) = match entry {
        EntryExpr::StructField(field) => (None, &field.value),
        EntryExpr::MapEntry(entry) => (Some(&entry.key), &entry.value),
    };
    key.into_iter().chain([value])
}

impl Program {
    /// Returns whether the expression needs an old value.
    pub(crate) fn uses_old_self(&self) -> bool {
        self.0.uses_old_self
    }

    /// Returns whether a rule holds.
    pub(crate) fn holds(&self, scope: &Scope<'_>) -> Result<bool, Failure> {
        self.evaluate(scope, |value| {
            value.downcast_ref::<CelBool>().map(|bool| *bool.inner())
        })
    }

    /// Returns the text of a message.
    pub(crate) fn text(&self, scope: &Scope<'_>) -> Result<String, Failure> {
        self.evaluate(scope, |value| {
            value
                .downcast_ref::<CelString<'_>>()
                .map(|text| text.inner().to_owned())
        })
    }

    fn evaluate<T>(
        &self,
        scope: &Scope<'_>,
        read: impl FnOnce(&CowVal<'_, '_>) -> Option<T>,
    ) -> Result<T, Failure> {
        let Scope { schema, meter, .. } = scope;
        if meter.charge(1).is_err() {
            return Err(Failure::Exhausted);
        }
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        context.add_variable_as_val("self", values::of(Some(schema), scope.new));
        if self.0.uses_old_self {
            let old = scope.old.map(|old| values::of(Some(schema), old));
            if scope.optional_old_self {
                context.add_variable_as_val("oldSelf", Box::new(CelOptional::from(old)));
            } else if let Some(old) = old {
                context.add_variable_as_val("oldSelf", old);
            }
        }
        context.add_variable_as_val(meter::VARIABLE, Box::new((*meter).clone()));
        for (index, pattern) in self.0.patterns.iter().enumerate() {
            context.add_variable_as_val(functions::pattern(index), Box::new(pattern.clone()));
        }
        let result = CelValue::resolve_val(&self.0.code, &context);
        // Checked first: an error may have been absorbed by `||` or `&&`.
        if meter.is_exhausted() {
            return Err(Failure::Exhausted);
        }
        let value = result.map_err(|error| failure(&error))?;
        read(&value).ok_or(Failure::NoOverload)
    }
}

/// Returns an error in the words of an API server.
fn failure(error: &ExecutionError) -> Failure {
    Failure::Error(match error {
        ExecutionError::NoSuchOverload(_)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::UnsupportedIndex(..)
        | ExecutionError::UnsupportedKeyType(_)
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::ValuesNotComparable(..) => return Failure::NoOverload,
        ExecutionError::NoSuchKey(key) => format!("no such key: {}", shorten(key)),
        ExecutionError::IndexOutOfBounds(CelValue::Int(index)) => {
            format!("index out of bounds: {index}")
        }
        ExecutionError::IndexOutOfBounds(_) => "index out of bounds".to_owned(),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::FunctionError { message, .. } => shorten(message),
        other => shorten(&other.to_string()),
    })
}

/// Limits a text that may repeat values of the object.
fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}
