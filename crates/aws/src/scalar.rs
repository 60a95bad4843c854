//! Scalars as text: in forms, in XML, in headers and in query strings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use writ_model::Timestamp;

use crate::shape::{Kind, Shape, TimeFormat};
use crate::value::Value;

/// The value of a scalar shape that `text` stands for. The error says what was expected.
pub(crate) fn parse(
    shape: &Shape,
    text: &str,
    default_format: TimeFormat,
) -> Result<Value, &'static str> {
    match &shape.kind {
        Kind::Text(_) => Ok(Value::Text(text.to_owned())),
        Kind::Blob(_) => STANDARD.decode(text.trim()).map(Value::Blob).map_err(|_| "Base64"),
        Kind::Boolean => match text.trim() {
            t if t.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            t if t.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            _ => Err("a boolean"),
        },
        Kind::Integer(_) => {
            let parsed = text.trim().parse::<i32>();
            parsed.map(|number| Value::Int(number.into())).map_err(|_| "an integer")
        }
        Kind::Long(_) => text.trim().parse().map(Value::Int).map_err(|_| "a long integer"),
        Kind::Double => double(text.trim()).map(Value::Double).ok_or("a number"),
        Kind::Timestamp(format) => {
            let parsed = parse_time(text.trim(), format.unwrap_or(default_format));
            parsed.map(Value::Time).ok_or("a timestamp")
        }
        Kind::Structure(_) | Kind::List(_) | Kind::Map(_) => Err("a structure"),
    }
}

/// `value` as text; what is not a scalar gives nothing.
pub(crate) fn write(shape: &Shape, value: &Value, default_format: TimeFormat) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Double(value) => double_text(*value),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => STANDARD.encode(bytes),
        Value::Time(time) => {
            let format = match shape.kind {
                Kind::Timestamp(Some(format)) => format,
                _ => default_format,
            };
            write_time(*time, format)
        }
        Value::Null | Value::List(_) | Value::Map(_) => String::new(),
    }
}

/// A moment in the given format. ISO 8601 shows milliseconds only when there are some.
pub(crate) fn write_time(time: Timestamp, format: TimeFormat) -> String {
    match format {
        TimeFormat::Http => time.http(),
        TimeFormat::Iso8601 if time.millis().is_multiple_of(1000) => time.iso(),
        TimeFormat::Iso8601 => time.iso_millis(),
        TimeFormat::Unix if time.millis().is_multiple_of(1000) => time.secs().to_string(),
        TimeFormat::Unix => format!("{}.{:03}", time.secs(), time.millis() % 1000),
    }
}

/// Reads a moment in the given format.
pub(crate) fn parse_time(text: &str, format: TimeFormat) -> Option<Timestamp> {
    match format {
        TimeFormat::Http => {
            let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
            u64::try_from(time.as_millisecond()).ok().map(Timestamp::from_millis)
        }
        TimeFormat::Iso8601 => Timestamp::parse_iso(text).ok(),
        TimeFormat::Unix => from_seconds(text.parse().ok()?),
    }
}

/// The moment this many seconds after 1970; `None` when there is no such moment.
pub(crate) fn from_seconds(seconds: f64) -> Option<Timestamp> {
    // The bound is the end of the year 9999, less a day for time zones; below it every
    // millisecond is exact in a double.
    if !(0.0..253_402_207_200.0).contains(&seconds) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked above"
    )]
    let ms = (seconds * 1000.0).round() as u64;
    Some(Timestamp::from_millis(ms))
}

/// A number, or one of the three names that JSON and XML use for what is none.
pub(crate) fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => {
            let digits =
                |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
            if text.bytes().all(digits) { text.parse().ok() } else { None }
        }
    }
}

/// The inverse of [`double`].
pub(crate) fn double_text(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value == f64::INFINITY {
        "Infinity".to_owned()
    } else if value == f64::NEG_INFINITY {
        "-Infinity".to_owned()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Bounds;

    static INTEGER: Shape = Shape::integer("I", Bounds::NONE);
    static TIME: Shape = Shape::timestamp("T", None);
    static BLOB: Shape = Shape::blob("B", Bounds::NONE);

    #[test]
    fn times_read_back_in_every_format() {
        for ms in [0, 1_000, 1_440_938_160_007, 253_402_207_199_000] {
            let time = Timestamp::from_millis(ms);
            for format in [TimeFormat::Iso8601, TimeFormat::Unix] {
                assert_eq!(parse_time(&write_time(time, format), format), Some(time));
            }
            let seconds = Timestamp::from_secs(time.secs());
            assert_eq!(parse_time(&time.http(), TimeFormat::Http), Some(seconds));
        }
    }

    #[test]
    fn what_is_no_scalar_of_the_shape_is_refused() {
        for (shape, text) in [
            (&INTEGER, "2147483648"),
            (&INTEGER, "1.0"),
            (&INTEGER, ""),
            (&INTEGER, "1x"),
            (&TIME, "2015-08-30"),
            (&TIME, "1960-01-01T00:00:00Z"),
            (&TIME, ""),
            (&BLOB, "a"),
            (&BLOB, "YQ"),
            (&BLOB, "Y Q=="),
        ] {
            assert!(parse(shape, text, TimeFormat::Iso8601).is_err(), "{text}");
        }
        assert_eq!(double("inf"), None);
        assert_eq!(from_seconds(-1.0), None);
        assert_eq!(from_seconds(f64::NAN), None);
    }
}
