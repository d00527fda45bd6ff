//! Limits on the work of an evaluation.
//!
//! The interpreter has no limits of its own, so an expression is rewritten before it runs: each iteration first asks
//! whether to go on, and each value that can accumulate (an element of a list, a sum of texts) is charged by its size.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use cel::{
    ExecutionError, IdedExpr,
    common::{
        ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, ListExpr, LiteralValue, operators},
        types::{CelBool, CelBytes, CelList, CelMap, CelOptional, CelString, Type},
        value::{CowVal, StaticVal, Val},
    },
};

use crate::functions::{self, Overload, Pattern};

/// Name of the variable that holds the meter. Expressions cannot contain an `@`.
pub(crate) const VARIABLE: &str = "@meter";
/// Functions that rewritten expressions call.
pub(crate) const OVERLOADS: &[Overload] = &[("@alive", 1, alive), ("@keep", 2, keep)];

/// Iterations, bytes and elements that the rules of one object may take.
const MAX_WORK: usize = 2_000_000;
/// Time that the rules of one object may take.
const MAX_TIME: Duration = Duration::from_secs(2);

/// The work left to an evaluation.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    left: Arc<AtomicUsize>,
    deadline: Instant,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(MAX_WORK)),
            deadline: Instant::now() + MAX_TIME,
        }
    }

    /// Takes `amount` of the work that is left. Fails from the first time that not enough is left, or time is up.
    pub(crate) fn charge(&self, amount: usize) -> Result<(), ExecutionError> {
        // Only the thread that evaluates writes.
        let left = self.left.load(Ordering::Relaxed).saturating_sub(amount);
        let left = if Instant::now() < self.deadline {
            left
        } else {
            0
        };
        self.left.store(left, Ordering::Relaxed);
        if left == 0 {
            let why = "operation cancelled: actual cost limit exceeded";
            return Err(ExecutionError::function_error("@meter", why));
        }
        Ok(())
    }

    /// Returns whether the limit was exceeded.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

static METER: Type = Type::new_unspecified_type("@meter");

impl Val for Meter {
    fn get_type(&self) -> &Type {
        &METER
    }

    fn cel_type() -> &'static Type {
        &METER
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Meter {}

/// Returns the meter, which is the first argument of every function of ours.
pub(crate) fn of<'x>(args: &'x [CowVal<'_, '_>]) -> Result<&'x Meter, ExecutionError> {
    let meter = args.first().and_then(|first| first.downcast_ref::<Meter>());
    meter.ok_or_else(|| ExecutionError::InternalError("no meter".to_owned()))
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature of a function of the interpreter"
)]
fn alive<'b, 'v>(args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    of(&args)?.charge(1)?;
    Ok(CowVal::owned(CelBool::from(true)))
}

fn keep<'b, 'v>(mut args: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let value = args.pop().ok_or(ExecutionError::MissingArgumentOrTarget)?;
    of(&args)?.charge(size(value.as_ref()))?;
    Ok(value)
}

/// Returns the number of bytes and elements of a value.
fn size(value: &dyn Val) -> usize {
    if let Some(text) = value.downcast_ref::<CelString<'_>>() {
        1 + text.inner().len()
    } else if let Some(bytes) = value.downcast_ref::<CelBytes<'_>>() {
        1 + bytes.inner().len()
    } else if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        1 + list.inner().iter().map(|item| size(&**item)).sum::<usize>()
    } else if let Some(map) = value.downcast_ref::<CelMap<'_>>() {
        1 + map
            .inner()
            .values()
            .map(|item| 1 + size(&**item))
            .sum::<usize>()
    } else if let Some(optional) = value.downcast_ref::<CelOptional<'_>>() {
        1 + optional.option().map_or(0, size)
    } else {
        1
    }
}

/// An expression that respects its meter.
pub(crate) struct Instrumented {
    pub(crate) code: IdedExpr,
    pub(crate) patterns: Vec<Pattern>,
}

/// Rewrites an expression. Fails on a regular expression that is invalid.
pub(crate) fn instrument(source: IdedExpr) -> Result<Instrumented, String> {
    let mut patterns = Vec::new();
    let code = rewrite(source, &mut patterns)?;
    Ok(Instrumented { code, patterns })
}

fn rewrite(expr: IdedExpr, patterns: &mut Vec<Pattern>) -> Result<IdedExpr, String> {
    let IdedExpr { id, expr } = expr;
    let mut kept = false;
    let expr = match expr {
        Expr::Call(call) => {
            let CallExpr {
                func_name,
                target,
                args,
            } = call;
            // The accumulator of a comprehension keeps its form, which the interpreter recognizes.
            let accumulates = args.first().is_some_and(is_accumulator);
            kept = func_name == operators::ADD && !accumulates;
            let target = match target {
                Some(target) => Some(rewrite(*target, patterns)?),
                None => None,
            };
            let args = args
                .into_iter()
                .map(|arg| rewrite(arg, patterns))
                .collect::<Result<Vec<_>, _>>()?;
            rewrite_call(func_name, target, args, patterns)?
        }
        Expr::Comprehension(each) => Expr::Comprehension(Box::new(ComprehensionExpr {
            iter_range: rewrite(each.iter_range, patterns)?,
            accu_init: rewrite(each.accu_init, patterns)?,
            loop_step: guard_step(rewrite(each.loop_step, patterns)?),
            result: rewrite(each.result, patterns)?,
            ..*each
        })),
        Expr::List(ListExpr {
            elements,
            optional_indices,
        }) => {
            let elements = elements.into_iter();
            let elements = elements.map(|element| Ok(charged(rewrite(element, patterns)?)));
            let elements = elements.collect::<Result<Vec<_>, String>>()?;
            Expr::List(ListExpr::new_with_optionals(elements, optional_indices))
        }
        Expr::Map(mut map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    entry.key = charged(rewrite(std::mem::take(&mut entry.key), patterns)?);
                    entry.value = charged(rewrite(std::mem::take(&mut entry.value), patterns)?);
                }
            }
            Expr::Map(map)
        }
        Expr::Select(mut select) => {
            *select.operand = rewrite(*select.operand, patterns)?;
            Expr::Select(select)
        }
        other @ (Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_)) => other,
    };
    let expr = IdedExpr { id, expr };
    Ok(if kept { charged(expr) } else { expr })
}

/// Calls our own function instead, if there is one of that name.
fn rewrite_call(
    name: String,
    target: Option<IdedExpr>,
    mut args: Vec<IdedExpr>,
    patterns: &mut Vec<Pattern>,
) -> Result<Expr, String> {
    let arguments = args.len() + usize::from(target.is_some());
    if !functions::exists(&name, arguments) {
        let target = target.map(Box::new);
        return Ok(Expr::Call(CallExpr {
            func_name: name,
            target,
            args,
        }));
    }
    if functions::takes_pattern(&name)
        && let Some(argument) = args.get_mut(usize::from(target.is_none()))
        && let Expr::Literal(LiteralValue::String(text)) = &argument.expr
    {
        let pattern = Pattern::new(text.inner())?;
        argument.expr = Expr::Ident(functions::pattern(patterns.len()));
        patterns.push(pattern);
    }
    let args = target.into_iter().chain(args);
    Ok(call(&functions::internal(&name), args))
}

/// Inserts the meter before the part of a loop step that the user wrote, which then does not run without work left.
fn guard_step(mut step: IdedExpr) -> IdedExpr {
    if let Expr::Call(call) = &mut step.expr {
        let first_accumulates = call.args.first().is_some_and(is_accumulator);
        match call.func_name.as_str() {
            operators::LOGICAL_AND | operators::LOGICAL_OR if first_accumulates => {
                guard(call.args.get_mut(1));
            }
            operators::CONDITIONAL => guard(call.args.first_mut()),
            operators::ADD if first_accumulates => {
                if let Some(IdedExpr {
                    expr: Expr::List(list),
                    ..
                }) = call.args.get_mut(1)
                {
                    guard(list.elements.first_mut());
                }
            }
            _ => {}
        }
    }
    step
}

fn guard(expr: Option<&mut IdedExpr>) {
    let Some(expr) = expr else { return };
    let guarded = std::mem::take(expr);
    let never = IdedExpr {
        id: 0,
        expr: Expr::Literal(LiteralValue::Boolean(CelBool::from(false))),
    };
    let alive = IdedExpr {
        id: 0,
        expr: call("@alive", []),
    };
    expr.expr = Expr::Call(CallExpr {
        func_name: operators::CONDITIONAL.to_owned(),
        target: None,
        args: vec![alive, guarded, never],
    });
}

/// Charges the size of a value.
fn charged(expr: IdedExpr) -> IdedExpr {
    if matches!(expr.expr, Expr::Literal(_)) {
        return expr;
    }
    IdedExpr {
        id: 0,
        expr: call("@keep", [expr]),
    }
}

/// Returns a call of a function of ours.
fn call(name: &str, args: impl IntoIterator<Item = IdedExpr>) -> Expr {
    let meter = IdedExpr {
        id: 0,
        expr: Expr::Ident(VARIABLE.to_owned()),
    };
    Expr::Call(CallExpr {
        func_name: name.to_owned(),
        target: None,
        args: std::iter::once(meter).chain(args).collect(),
    })
}

/// Whether an expression is the accumulator that a macro introduces.
fn is_accumulator(expr: &IdedExpr) -> bool {
    matches!(&expr.expr, Expr::Ident(name) if name.starts_with('@'))
}
