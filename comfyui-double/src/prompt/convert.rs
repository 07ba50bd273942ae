//! Input values converted the way Python's `int`, `float`, `bool` and `str` do it.
//!
//! ComfyUI converts before it checks limits, so `"64"` and `64.7` are good integers.

use std::cmp::Ordering;

use serde_json::Value;

use super::object_info::python_str;

/// A converted number and how Python would print it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Number {
    /// Set for integers: a float would blur the limits of 64-bit seeds.
    int: Option<i128>,
    float: f64,
    pub(crate) json: Value,
}

impl Number {
    pub(crate) fn is_below(&self, limit: &Value) -> bool {
        self.compare(limit) == Some(Ordering::Less)
    }

    pub(crate) fn is_above(&self, limit: &Value) -> bool {
        self.compare(limit) == Some(Ordering::Greater)
    }

    fn compare(&self, limit: &Value) -> Option<Ordering> {
        let limit = limit.as_number()?;
        match (self.int, limit.as_i128()) {
            (Some(int), Some(limit)) => Some(int.cmp(&limit)),
            _ => self.float.partial_cmp(&limit.as_f64()?),
        }
    }
}

/// `int(value)`, or the text of the exception.
pub(crate) fn to_int(value: &Value) -> Result<Number, String> {
    match value {
        Value::Bool(flag) => Ok(whole(i128::from(*flag))),
        Value::Number(number) => match number.as_i128() {
            Some(int) => Ok(whole(int)),
            // Also integers beyond 64 bits, which arrive as floats: all that matters is that they are too big.
            None => Ok(whole(number.as_f64().unwrap_or(f64::MAX).trunc() as i128)),
        },
        Value::String(text) => text
            .trim()
            .parse()
            .map(whole)
            .map_err(|_| format!("invalid literal for int() with base 10: '{text}'")),
        other => Err(wrong_type("int() argument", other)),
    }
}

/// `float(value)`, or the text of the exception.
pub(crate) fn to_float(value: &Value) -> Result<Number, String> {
    let float = match value {
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        Value::Number(number) => number.as_f64().unwrap_or(f64::MAX),
        Value::String(text) => text
            .trim()
            .parse()
            .map_err(|_| format!("could not convert string to float: '{text}'"))?,
        other => return Err(wrong_type("float() argument", other)),
    };
    Ok(Number {
        int: None,
        float,
        json: serde_json::Number::from_f64(float).map_or(Value::Null, Value::Number),
    })
}

/// `bool(value)`: everything has a truth value.
pub(crate) fn to_bool(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// `str(value)`.
pub(crate) fn to_text(value: &Value) -> String {
    python_str(value)
}

fn whole(int: i128) -> Number {
    let json = if let Ok(small) = i64::try_from(int) {
        small.into()
    } else if let Ok(big) = u64::try_from(int) {
        big.into()
    } else {
        (int as f64).into()
    };
    Number {
        int: Some(int),
        float: int as f64,
        json,
    }
}

fn wrong_type(who: &str, value: &Value) -> String {
    let name = match value {
        Value::Null => "NoneType",
        Value::Array(_) => "list",
        _ => "dict",
    };
    let wanted = if who.starts_with("int") {
        "a string, a bytes-like object or a real number"
    } else {
        "a string or a real number"
    };
    format!("{who} must be {wanted}, not '{name}'")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn converts_as_python_does() {
        assert_eq!(to_int(&json!("64")).unwrap().json, json!(64));
        assert_eq!(to_int(&json!(64.7)).unwrap().json, json!(64));
        assert_eq!(to_int(&json!(true)).unwrap().json, json!(1));
        assert_eq!(to_int(&json!(u64::MAX)).unwrap().json, json!(u64::MAX));
        assert_eq!(
            to_int(&json!("abc")).unwrap_err(),
            "invalid literal for int() with base 10: 'abc'"
        );
        assert_eq!(to_float(&json!(1000)).unwrap().json.to_string(), "1000.0");
        assert!(to_float(&json!("abc")).unwrap_err().contains("could not convert"));
        assert!(to_bool(&json!("false")));
    }

    #[test]
    fn limits_of_seeds_are_exact() {
        let beyond: Value = serde_json::from_str("18446744073709551616").unwrap();
        assert!(to_int(&beyond).unwrap().is_above(&json!(u64::MAX)));
        assert!(!to_int(&json!(u64::MAX)).unwrap().is_above(&json!(u64::MAX)));
        assert!(to_float(&json!(-0.5)).unwrap().is_below(&json!(0)));
    }
}
