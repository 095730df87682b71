//! Replies of Redis: the reader against a plain one, and what is written against what is read.

use arbitrary::{Result, Unstructured};
use llm_balancer_router::testing::resp::{self, RespValue};

/// Nesting of lists, and items of one, at most.
const MOST_DEPTH: usize = 4;
const MOST_ITEMS: usize = 1024;

/// The first byte says how many replies are expected. The rest is read as replies, and as the
/// values to write some from.
pub fn redis_reply(bytes: &[u8]) {
    let Some((count, rest)) = bytes.split_first() else { return };
    let count = usize::from(count % 8);
    assert_eq!(resp::replies(rest, count), plain(rest, count), "{:?}", String::from_utf8_lossy(rest));
    if let Ok(values) = values(&mut Unstructured::new(rest), count) {
        let mut written = Vec::new();
        values.iter().for_each(|value| write(value, &mut written));
        assert_eq!(resp::replies(&written, count).as_ref(), Some(&values));
        for cut in 0..written.len() {
            assert_eq!(resp::replies(&written[..cut], count), None, "cut at {cut}");
        }
        written.push(b'+');
        assert_eq!(resp::replies(&written, count), None, "more than the replies");
    }
}

/// A reader by recursion over positions.
fn plain(bytes: &[u8], count: usize) -> Option<Vec<RespValue>> {
    let mut at = 0;
    let values: Option<Vec<RespValue>> = (0..count).map(|_| plain_value(bytes, &mut at, 0)).collect();
    values.filter(|_| at == bytes.len())
}

fn plain_value(bytes: &[u8], at: &mut usize, depth: usize) -> Option<RespValue> {
    let rest = bytes.get(*at..)?;
    let end = rest.windows(2).position(|two| two == b"\r\n")?;
    let kind = *rest.first().filter(|_| end > 0)?;
    let line = &rest[1..end];
    *at += end + 2;
    let text = String::from_utf8_lossy(line).into_owned();
    let number = || text.parse::<i64>().ok();
    match kind {
        b'+' => Some(RespValue::Simple(text)),
        b'-' => Some(RespValue::Error(text)),
        b':' => Some(RespValue::Integer(number()?)),
        b'$' if number()? == -1 => Some(RespValue::Nil),
        b'*' if number()? == -1 => Some(RespValue::Nil),
        b'$' => {
            let length = usize::try_from(number()?).ok()?;
            let end = at.checked_add(length)?;
            let bulk = bytes.get(*at..end)?.to_vec();
            *at = end + 2;
            (bytes.get(end..*at)? == b"\r\n").then_some(RespValue::Bulk(bulk))
        }
        b'*' => {
            let count = usize::try_from(number()?).ok().filter(|count| *count <= MOST_ITEMS)?;
            let items = (depth < MOST_DEPTH).then_some(0..count)?;
            items.map(|_| plain_value(bytes, at, depth + 1)).collect::<Option<_>>().map(RespValue::List)
        }
        _ => None,
    }
}

fn values(u: &mut Unstructured<'_>, count: usize) -> Result<Vec<RespValue>> {
    (0..count).map(|_| value(u, 0)).collect()
}

fn value(u: &mut Unstructured<'_>, depth: usize) -> Result<RespValue> {
    let line = |text: &str| text.replace(['\r', '\n'], " ");
    Ok(match u.int_in_range(0..=if depth < MOST_DEPTH { 5_u8 } else { 4 })? {
        0 => RespValue::Simple(line(u.arbitrary()?)),
        1 => RespValue::Error(line(u.arbitrary()?)),
        2 => RespValue::Integer(u.arbitrary()?),
        3 => RespValue::Bulk(u.arbitrary()?),
        4 => RespValue::Nil,
        _ => {
            RespValue::List((0..u.int_in_range(0..=4)?).map(|_| value(u, depth + 1)).collect::<Result<_>>()?)
        }
    })
}

fn write(value: &RespValue, out: &mut Vec<u8>) {
    match value {
        RespValue::Simple(text) => out.extend(format!("+{text}\r\n").bytes()),
        RespValue::Error(text) => out.extend(format!("-{text}\r\n").bytes()),
        RespValue::Integer(number) => out.extend(format!(":{number}\r\n").bytes()),
        RespValue::Nil => out.extend(b"$-1\r\n"),
        RespValue::Bulk(bytes) => {
            out.extend(format!("${}\r\n", bytes.len()).bytes());
            out.extend(bytes);
            out.extend(b"\r\n");
        }
        RespValue::List(items) => {
            out.extend(format!("*{}\r\n", items.len()).bytes());
            items.iter().for_each(|item| write(item, out));
        }
    }
}
