//! Python's slices. minijinja's own differ for negative steps: `[3:0:-1]` includes index 0, and
//! an empty list panics.

use minijinja::value::{Tuple, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// `value[start:stop:step]`, each `None` where it was left out.
pub(super) fn slice(value: &Value, bounds: &[Value]) -> Result<Value, Error> {
    let [start, stop, step] = bounds else {
        return Err(Error::from(ErrorKind::MissingArgument));
    };
    let (start, stop) = (integer(start)?, integer(stop)?);
    let step = integer(step)?.unwrap_or(1);
    if step == 0 {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "slice step cannot be zero",
        ));
    }
    match value.kind() {
        ValueKind::String => {
            let chars: Vec<char> = value.as_str().unwrap_or_default().chars().collect();
            let picked = indices(chars.len(), start, stop, step);
            Ok(Value::from(
                picked
                    .into_iter()
                    .map(|index| chars[index])
                    .collect::<String>(),
            ))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Vec<Value> = value.try_iter()?.collect();
            let picked = indices(items.len(), start, stop, step);
            let picked: Vec<Value> = picked.into_iter().map(|i| items[i].clone()).collect();
            Ok(if value.is_tuple() {
                Tuple::from(picked).into()
            } else {
                Value::from(picked)
            })
        }
        kind => {
            let detail = format!("a value of kind {kind} cannot be sliced");
            Err(Error::new(ErrorKind::InvalidOperation, detail))
        }
    }
}

/// The positions that a slice of `len` items picks (CPython, `PySlice_AdjustIndices`).
fn indices(len: usize, start: Option<i64>, stop: Option<i64>, step: i64) -> Vec<usize> {
    let end = i64::try_from(len).unwrap_or(i64::MAX);
    let (lowest, highest) = if step > 0 { (0, end) } else { (-1, end - 1) };
    let clamp = |bound: i64| {
        let from_start = if bound < 0 {
            bound.saturating_add(end)
        } else {
            bound
        };
        from_start.clamp(lowest, highest)
    };
    let first = start.map_or(if step > 0 { lowest } else { highest }, clamp);
    let last = stop.map_or(if step > 0 { highest } else { lowest }, clamp);
    let mut picked = Vec::new();
    let mut at = first;
    while if step > 0 { at < last } else { at > last } {
        picked.extend(usize::try_from(at));
        at = at.saturating_add(step);
    }
    picked
}

fn integer(bound: &Value) -> Result<Option<i64>, Error> {
    if bound.is_none() {
        Ok(None)
    } else {
        i64::try_from(bound.clone()).map(Some)
    }
}
