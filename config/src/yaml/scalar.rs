//! The value of a plain scalar under YAML 1.1, rule by rule as PyYAML's SafeLoader resolves it.

use super::tree::Value;

/// The value of an unquoted scalar.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    // Only these characters begin a number or a date.
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.')) {
        return Value::Text(text.to_owned());
    }
    if let Some(number) = float(text) {
        return Value::Float(number);
    }
    if let Some(number) = int(text) {
        return Value::Int(number);
    }
    Value::Text(timestamp(text).unwrap_or_else(|| text.to_owned()))
}

/// The sign as a factor, and what follows it.
fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn without_underscores(text: &str) -> String {
    text.chars().filter(|char| *char != '_').collect()
}

/// `[0-9][0-9_]*`
fn is_digits(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit()) && is_digits_or_empty(text)
}

/// `[0-9_]*`
fn is_digits_or_empty(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}

/// `:[0-5]?[0-9]`, without the colon.
fn is_sixtieth(text: &str) -> bool {
    match text.as_bytes() {
        [unit] => unit.is_ascii_digit(),
        [ten, unit] => (b'0'..=b'5').contains(ten) && unit.is_ascii_digit(),
        _ => false,
    }
}

fn float(text: &str) -> Option<f64> {
    let (negative, rest) = signed(text);
    let number = match rest {
        ".inf" | ".Inf" | ".INF" => f64::INFINITY,
        ".nan" | ".NaN" | ".NAN" if rest.len() == text.len() => f64::NAN,
        _ => finite_float(rest, rest.len() == text.len())?,
    };
    Some(if negative { -number } else { number })
}

/// A point is required and an exponent needs its sign: `1e3` and `1.5e3` are text.
fn finite_float(text: &str, unsigned: bool) -> Option<f64> {
    let (whole, fraction) = text.split_once('.')?;
    let (digits, exponent) = match fraction.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, Some(exponent)),
        None => (fraction, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['-', '+'])
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    });
    if !exponent_fits {
        return None;
    }
    if whole.is_empty() {
        // `.5` takes no sign.
        let fits = unsigned && is_digits(digits);
        return if fits { without_underscores(text).parse().ok() } else { None };
    }
    if is_digits(whole) && is_digits_or_empty(digits) {
        return without_underscores(text).parse().ok();
    }
    if exponent.is_none() && is_digits_or_empty(digits) { sexagesimal_float(whole, digits) } else { None }
}

/// `190:20:30.15`
fn sexagesimal_float(whole: &str, fraction: &str) -> Option<f64> {
    let (first, rest) = whole.split_once(':')?;
    if !is_digits(first) || !rest.split(':').all(is_sixtieth) {
        return None;
    }
    let (mut total, mut base) = (0.0, 1.0);
    for (index, part) in whole.rsplit(':').enumerate() {
        let part = if index == 0 { format!("{part}.{fraction}") } else { part.to_owned() };
        total += without_underscores(&part).parse::<f64>().ok()? * base;
        base *= 60.0;
    }
    Some(total)
}

fn int(text: &str) -> Option<i64> {
    let (negative, rest) = signed(text);
    let number = magnitude(rest)?;
    if negative { number.checked_neg() } else { Some(number) }
}

fn magnitude(text: &str) -> Option<i64> {
    for (prefix, base) in [("0b", 2), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let digits = without_underscores(digits);
            // A second sign, which Rust would read and YAML has no place for.
            let signed = digits.starts_with(['+', '-']);
            return if signed { None } else { i64::from_str_radix(&digits, base).ok() };
        }
    }
    if text.contains(':') {
        return sexagesimal_int(text);
    }
    if !is_digits(text) {
        return None;
    }
    let plain = without_underscores(text);
    match text.strip_prefix('0') {
        Some("") => Some(0),
        // `[0-7_]+`; 0899 is no number at all.
        Some(_) => i64::from_str_radix(&plain, 8).ok(),
        None => plain.parse().ok(),
    }
}

/// `12:30` is 750: the reason why an unquoted time of day is a number.
fn sexagesimal_int(text: &str) -> Option<i64> {
    let (first, rest) = text.split_once(':')?;
    if !is_digits(first) || first.starts_with('0') || !rest.split(':').all(is_sixtieth) {
        return None;
    }
    let mut total: i64 = 0;
    for part in text.split(':') {
        let digit: i64 = without_underscores(part).parse().ok()?;
        total = total.checked_mul(60)?.checked_add(digit)?;
    }
    Some(total)
}

/// Dates become `datetime` objects; this is what `str` makes of those.
fn timestamp(text: &str) -> Option<String> {
    if !text.is_ascii() {
        return None;
    }
    let (year, rest) = text.split_once('-')?;
    let (month, rest) = rest.split_once('-')?;
    let day_length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (day, time) = rest.split_at_checked(day_length)?;
    let date = format!("{}-{}-{}", field(year, 4, 4)?, field(month, 1, 2)?, field(day, 1, 2)?);
    if !is_date(&date) {
        return None;
    }
    if time.is_empty() {
        // A date alone has two digits everywhere.
        return if text.len() == 10 { Some(date) } else { None };
    }
    let clock = time.strip_prefix(['T', 't']).unwrap_or_else(|| time.trim_start_matches([' ', '\t']));
    if clock.len() == time.len() {
        return None;
    }
    Some(format!("{date} {}", time_of_day(clock)?))
}

/// Between `least` and `most` digits, padded to `most`.
fn field(text: &str, least: usize, most: usize) -> Option<String> {
    let fits = (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Some(format!("{text:0>most$}")) } else { None }
}

fn is_date(date: &str) -> bool {
    let mut parts = date.split('-').map(|part| part.parse::<u32>().unwrap_or(0));
    let (Some(year), Some(month), Some(day)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    year > 0 && (1..=days).contains(&day)
}

/// `10:00:00.5 +1:30` as `10:00:00.500000+01:30`.
fn time_of_day(text: &str) -> Option<String> {
    let end = text.bytes().take_while(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.')).count();
    let (clock, zone) = text.split_at_checked(end)?;
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut parts = whole.split(':');
    let hour = field(parts.next()?, 1, 2)?;
    let minute = field(parts.next()?, 2, 2)?;
    let second = field(parts.next()?, 2, 2)?;
    let ends_well = parts.next().is_none() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    if !ends_well || *hour > *"23" || *minute > *"59" || *second > *"59" {
        return None;
    }
    let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let micros = if micros == "000000" { String::new() } else { format!(".{micros}") };
    Some(format!("{hour}:{minute}:{second}{micros}{}", offset(zone.trim_start_matches([' ', '\t']))?))
}

fn offset(zone: &str) -> Option<String> {
    match zone {
        "" => return Some(String::new()),
        "Z" => return Some("+00:00".to_owned()),
        _ => {}
    }
    let sign = if zone.starts_with('-') { '-' } else { '+' };
    let rest = zone.strip_prefix(['-', '+'])?;
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
    let (hours, minutes) = (field(hours, 1, 2)?, field(minutes, 2, 2)?);
    if hours == "00" && minutes == "00" {
        Some("+00:00".to_owned())
    } else {
        Some(format!("{sign}{hours}:{minutes}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    /// Every row was printed by PyYAML 6.0.3: `repr(yaml.safe_load(scalar))`.
    #[test]
    fn scalars_mean_what_pyyaml_says_they_mean() {
        let rows = [
            ("True", Value::Bool(true)),
            ("yes", Value::Bool(true)),
            ("on", Value::Bool(true)),
            ("OFF", Value::Bool(false)),
            ("y", text("y")),
            ("tRue", text("tRue")),
            ("~", Value::Null),
            ("Null", Value::Null),
            ("nULL", text("nULL")),
            ("1_000", Value::Int(1000)),
            ("100_000", Value::Int(100_000)),
            ("+12", Value::Int(12)),
            ("-12", Value::Int(-12)),
            ("0", Value::Int(0)),
            ("-0", Value::Int(0)),
            ("0x1F", Value::Int(31)),
            ("0b101", Value::Int(5)),
            ("0x-1", text("0x-1")),
            ("010", Value::Int(8)),
            ("0o10", text("0o10")),
            ("0899", text("0899")),
            ("0_", Value::Int(0)),
            ("12:30", Value::Int(750)),
            ("1:2:3", Value::Int(3723)),
            ("12:60", text("12:60")),
            ("012:30", text("012:30")),
            ("1.5", Value::Float(1.5)),
            ("1.", Value::Float(1.0)),
            (".5", Value::Float(0.5)),
            ("-.5", text("-.5")),
            ("1e3", text("1e3")),
            ("1.0e3", text("1.0e3")),
            ("1.0e+3", Value::Float(1000.0)),
            ("1_0.5", Value::Float(10.5)),
            ("1:30.5", Value::Float(90.5)),
            (".inf", Value::Float(f64::INFINITY)),
            ("-.INF", Value::Float(f64::NEG_INFINITY)),
            ("2024-06-01", text("2024-06-01")),
            ("2024-6-1", text("2024-6-1")),
            ("2024-02-01-preview", text("2024-02-01-preview")),
            ("2024-06-01 10:00:00", text("2024-06-01 10:00:00")),
            ("2024-06-01T1:02:03.5Z", text("2024-06-01 01:02:03.500000+00:00")),
            ("2024-6-1 10:00:00 -5", text("2024-06-01 10:00:00-05:00")),
            ("1.2.3", text("1.2.3")),
            ("-", text("-")),
            ("+", text("+")),
            (".", text(".")),
            ("1_", Value::Int(1)),
            ("9223372036854775807", Value::Int(i64::MAX)),
            // An int in Python. As text, the digits of the id are the same.
            ("9223372036854775808", text("9223372036854775808")),
        ];
        for (scalar, expected) in rows {
            assert_eq!(resolve(scalar), expected, "{scalar}");
        }
        assert!(matches!(resolve(".nan"), Value::Float(number) if number.is_nan()));
    }
}
