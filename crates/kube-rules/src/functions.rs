//! Functions that Kubernetes adds to CEL, for texts, lists and regular expressions.
//!
//! The interpreter has those for texts, too, but theirs are not bounded: one call could take all memory, or minutes.

#![expect(
    clippy::needless_pass_by_value,
    reason = "the signature of a function of the interpreter"
)]

use std::{any::Any, cmp::Ordering};

use cel::{
    ExecutionError,
    common::{
        functions::Function,
        types::{CelBool, CelDouble, CelInt, CelList, CelString, CelUInt, Type},
        value::{CowVal, StaticVal, Val},
    },
};
use regex::{Regex, RegexBuilder};

use crate::meter::{self, Meter};

/// A function: its name, the number of its arguments with the meter, and its code.
pub(crate) type Overload = (&'static str, usize, Function);

/// Our functions. An `@` precedes the name by which expressions call them.
pub(crate) const OVERLOADS: &[Overload] = &[
    ("@charAt", 3, char_at),
    ("@find", 3, find),
    ("@findAll", 3, find_all),
    ("@findAll", 4, find_all),
    ("@indexOf", 3, index_of),
    ("@indexOf", 4, index_of),
    ("@isSorted", 2, is_sorted),
    ("@join", 2, join),
    ("@join", 3, join),
    ("@lastIndexOf", 3, last_index_of),
    ("@lastIndexOf", 4, last_index_of),
    ("@lowerAscii", 2, lower_ascii),
    ("@matches", 3, matches),
    ("@max", 2, max),
    ("@min", 2, min),
    ("@replace", 4, replace),
    ("@replace", 5, replace),
    ("@split", 3, split),
    ("@split", 4, split),
    ("@substring", 3, substring),
    ("@substring", 4, substring),
    ("@sum", 2, sum),
    ("@trim", 2, trim),
    ("@upperAscii", 2, upper_ascii),
];

/// Maximum size of a compiled regular expression, in bytes.
const MAX_PATTERN: usize = 1 << 20;
/// Work of compiling a regular expression, besides its length.
const PATTERN_WORK: usize = 2_000;

type Args<'b, 'v> = Vec<CowVal<'b, 'v>>;
type Result<T> = std::result::Result<T, ExecutionError>;

/// Returns the name by which the interpreter knows a function of ours.
pub(crate) fn internal(name: &str) -> String {
    format!("@{name}")
}

/// Returns whether a function of ours takes that many arguments, the target included.
pub(crate) fn exists(name: &str, arguments: usize) -> bool {
    let mut all = OVERLOADS.iter();
    all.any(|(known, count, _)| known[1..] == *name && *count == arguments + 1)
}

/// Returns whether there is a function of ours with that name.
pub(crate) fn is_known(name: &str) -> bool {
    OVERLOADS.iter().any(|(known, ..)| known[1..] == *name)
}

/// Returns whether the first argument of a function is a regular expression.
pub(crate) fn takes_pattern(name: &str) -> bool {
    matches!(name, "matches" | "find" | "findAll")
}

/// Returns the name of the variable with a compiled regular expression.
pub(crate) fn pattern(index: usize) -> String {
    format!("@pattern{index}")
}

/// A compiled regular expression.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    pub(crate) fn new(text: &str) -> std::result::Result<Self, String> {
        let regex = RegexBuilder::new(text).size_limit(MAX_PATTERN).build();
        regex.map(Self).map_err(|_| {
            format!("error parsing regexp: {text:?} is not a valid regular expression")
        })
    }
}

static PATTERN: Type = Type::new_unspecified_type("@pattern");

impl Val for Pattern {
    fn get_type(&self) -> &Type {
        &PATTERN
    }

    fn cel_type() -> &'static Type {
        &PATTERN
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v> {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Pattern {}

/// Returns the regular expression in an argument.
fn regex(args: &Args<'_, '_>, at: usize, meter: &Meter) -> Result<Regex> {
    if let Some(Pattern(regex)) = args.get(at).and_then(|value| value.downcast_ref()) {
        return Ok(regex.clone());
    }
    let text = text(args, at)?;
    meter.charge(PATTERN_WORK + text.len())?;
    let pattern =
        Pattern::new(text).map_err(|why| ExecutionError::function_error("matches", why))?;
    Ok(pattern.0)
}

fn mismatch(args: &Args<'_, '_>) -> ExecutionError {
    let types = args
        .iter()
        .skip(1)
        .map(|value| value.get_type().name().to_owned());
    ExecutionError::no_such_overload("call", types.collect())
}

fn text<'x>(args: &'x Args<'_, '_>, at: usize) -> Result<&'x str> {
    let value = args
        .get(at)
        .and_then(|value| value.downcast_ref::<CelString<'_>>());
    value.map(CelString::inner).ok_or_else(|| mismatch(args))
}

fn int(args: &Args<'_, '_>, at: usize) -> Result<i64> {
    let value = args
        .get(at)
        .and_then(|value| value.downcast_ref::<CelInt>());
    value.map(|int| *int.inner()).ok_or_else(|| mismatch(args))
}

fn list<'x>(args: &'x Args<'_, '_>) -> Result<&'x [Box<dyn Val + 'x>]> {
    let value = args
        .get(1)
        .and_then(|value| value.downcast_ref::<CelList<'_>>());
    value.map(CelList::inner).ok_or_else(|| mismatch(args))
}

/// Returns a text that was computed, and charges it.
fn made<'b, 'v>(meter: &Meter, text: String) -> Result<CowVal<'b, 'v>> {
    meter.charge(text.len())?;
    Ok(CowVal::owned(CelString::from(text)))
}

fn texts<'b, 'v, 'x>(
    meter: &Meter,
    parts: impl Iterator<Item = &'x str>,
) -> Result<CowVal<'b, 'v>> {
    let mut items: Vec<Box<dyn Val + 'v>> = Vec::new();
    for part in parts {
        meter.charge(1 + part.len())?;
        items.push(Box::new(CelString::from(part.to_owned())));
    }
    Ok(CowVal::owned(CelList::from(items)))
}

fn out_of_range(index: i64) -> ExecutionError {
    ExecutionError::function_error("index", format!("index out of range: {index}"))
}

/// Returns the byte offset of a character; its length is one past the last.
fn offset(text: &str, index: i64) -> Result<usize> {
    let index_error = || out_of_range(index);
    let index = usize::try_from(index).map_err(|_| index_error())?;
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter().nth(index).ok_or_else(index_error)
}

fn characters(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

fn char_at<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let text = text(&args, 1)?;
    let rest = &text[offset(text, int(&args, 2)?)?..];
    made(meter::of(&args)?, rest.chars().take(1).collect())
}

fn index_of<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let index = if let (Ok(items), 3) = (list(&args), args.len()) {
        let found = items.iter().position(|item| item.equals(&*args[2]));
        found.map_or(-1, |index| index as i64)
    } else {
        let (text, part) = (text(&args, 1)?, text(&args, 2)?);
        let from = if args.len() > 3 { int(&args, 3)? } else { 0 };
        if part.is_empty() {
            from
        } else if from < 0 {
            return Err(out_of_range(from));
        } else if let Ok(start) = offset(text, from) {
            let found = text[start..].find(part);
            found.map_or(-1, |at| characters(&text[..start + at]))
        } else {
            -1
        }
    };
    Ok(CowVal::owned(CelInt::from(index)))
}

fn last_index_of<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let index = if let (Ok(items), 3) = (list(&args), args.len()) {
        let found = items.iter().rposition(|item| item.equals(&*args[2]));
        found.map_or(-1, |index| index as i64)
    } else {
        let (text, part) = (text(&args, 1)?, text(&args, 2)?);
        let length = characters(text);
        let from = if args.len() > 3 {
            int(&args, 3)?
        } else {
            length
        };
        if part.is_empty() {
            from
        } else if from < 0 {
            return Err(out_of_range(from));
        } else if args.len() > 3 && from >= length {
            -1
        } else {
            // The last match starts at `from` or before.
            let end = offset(text, from)?
                .saturating_add(part.len())
                .min(text.len());
            let end = (0..=end).rev().find(|at| text.is_char_boundary(*at));
            let found = end.and_then(|end| text[..end].rfind(part));
            found.map_or(-1, |at| characters(&text[..at]))
        }
    };
    Ok(CowVal::owned(CelInt::from(index)))
}

fn lower_ascii<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    made(meter::of(&args)?, text(&args, 1)?.to_ascii_lowercase())
}

fn upper_ascii<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    made(meter::of(&args)?, text(&args, 1)?.to_ascii_uppercase())
}

fn trim<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    made(meter::of(&args)?, text(&args, 1)?.trim().to_owned())
}

fn substring<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let text = text(&args, 1)?;
    let start = int(&args, 2)?;
    let end = if args.len() > 3 {
        int(&args, 3)?
    } else {
        characters(text)
    };
    if start > end {
        let why = format!("invalid substring range. start: {start}, end: {end}");
        return Err(ExecutionError::function_error("substring", why));
    }
    let part = &text[offset(text, start)?..offset(text, end)?];
    made(meter::of(&args)?, part.to_owned())
}

fn join<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let meter = meter::of(&args)?;
    let separator = if args.len() > 2 { text(&args, 2)? } else { "" };
    let mut joined = String::new();
    for (index, item) in list(&args)?.iter().enumerate() {
        let item = item.downcast_ref::<CelString<'_>>();
        let item = item.ok_or_else(|| mismatch(&args))?;
        let separator = if index == 0 { "" } else { separator };
        // Charged first: a separator may be as long as the object, and the list, too.
        meter.charge(separator.len() + item.inner().len())?;
        joined.push_str(separator);
        joined.push_str(item.inner());
    }
    Ok(CowVal::owned(CelString::from(joined)))
}

fn replace<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let meter = meter::of(&args)?;
    let (text, from, to) = (text(&args, 1)?, text(&args, 2)?, text(&args, 3)?);
    let limit = if args.len() > 4 { int(&args, 4)? } else { -1 };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut replaced = String::new();
    let mut done = 0;
    for (at, part) in text.match_indices(from).take(limit) {
        meter.charge(1 + at - done + to.len())?;
        replaced.push_str(&text[done..at]);
        replaced.push_str(to);
        done = at + part.len();
    }
    replaced.push_str(&text[done..]);
    made(meter, replaced)
}

fn split<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let meter = meter::of(&args)?;
    let (text, separator) = (text(&args, 1)?, text(&args, 2)?);
    let limit = if args.len() > 3 { int(&args, 3)? } else { -1 };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if separator.is_empty() {
        // Between all characters; the last part is the rest.
        let starts = text.char_indices().map(|(at, _)| at).take(limit);
        let starts: Vec<usize> = starts.collect();
        let ends = starts.iter().skip(1).copied().chain([text.len()]);
        let parts = starts
            .iter()
            .zip(ends)
            .map(|(start, end)| &text[*start..end]);
        return texts(meter, parts);
    }
    texts(meter, text.splitn(limit, separator))
}

fn matches<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let meter = meter::of(&args)?;
    let text = text(&args, 1)?;
    let found = regex(&args, 2, meter)?.is_match(text);
    Ok(CowVal::owned(CelBool::from(found)))
}

fn find<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let meter = meter::of(&args)?;
    let text = text(&args, 1)?;
    let regex = regex(&args, 2, meter)?;
    let found = regex.find(text).map_or("", |found| found.as_str());
    made(meter, found.to_owned())
}

fn find_all<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let meter = meter::of(&args)?;
    let text = text(&args, 1)?;
    let limit = if args.len() > 3 { int(&args, 3)? } else { -1 };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let regex = regex(&args, 2, meter)?;
    texts(
        meter,
        regex
            .find_iter(text)
            .take(limit)
            .map(|found| found.as_str()),
    )
}

fn compare(args: &Args<'_, '_>, a: &dyn Val, b: &dyn Val) -> Result<Ordering> {
    let comparer = a.as_comparer().ok_or_else(|| mismatch(args))?;
    comparer.compare(b)
}

fn is_sorted<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let mut sorted = true;
    for pair in list(&args)?.windows(2) {
        sorted &= compare(&args, &*pair[0], &*pair[1])?.is_le();
    }
    Ok(CowVal::owned(CelBool::from(sorted)))
}

fn min<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    extreme(&args, "min", Ordering::Less)
}

fn max<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    extreme(&args, "max", Ordering::Greater)
}

fn extreme<'b, 'v>(args: &Args<'b, 'v>, name: &str, better: Ordering) -> Result<CowVal<'b, 'v>> {
    let value = args
        .get(1)
        .and_then(|value| value.downcast_ref::<CelList<'v>>());
    let list = value.ok_or_else(|| mismatch(args))?.inner();
    let mut best = list.first().ok_or_else(|| {
        ExecutionError::function_error(name, format!("{name} called on empty list"))
    })?;
    for item in &list[1..] {
        if compare(args, &**item, &**best)? == better {
            best = item;
        }
    }
    Ok(CowVal::Owned(best.clone_as_boxed()))
}

fn sum<'b, 'v>(args: Args<'b, 'v>) -> Result<CowVal<'b, 'v>> {
    let mut total: Option<Box<dyn Val + 'static>> = None;
    for item in list(&args)? {
        let item = number(&**item).ok_or_else(|| mismatch(&args))?;
        total = Some(match total {
            None => item,
            Some(total) => {
                let adder = total.as_adder().ok_or_else(|| mismatch(&args))?;
                adder.add(&*item)?.into_owned()
            }
        });
    }
    Ok(CowVal::Owned(
        total.unwrap_or_else(|| Box::new(CelInt::from(0))),
    ))
}

/// Returns a number on its own.
fn number(value: &dyn Val) -> Option<Box<dyn Val + 'static>> {
    if let Some(int) = value.downcast_ref::<CelInt>() {
        Some(Box::new(CelInt::from(*int.inner())))
    } else if let Some(uint) = value.downcast_ref::<CelUInt>() {
        Some(Box::new(CelUInt::from(*uint.inner())))
    } else {
        let double = value.downcast_ref::<CelDouble>()?;
        Some(Box::new(CelDouble::from(*double.inner())))
    }
}
