//! Redis' wire format, RESP2 (redis.io/docs/latest/develop/reference/protocol-spec).
//!
//! A reply may be truncated or forged: it is used when it is complete, and its sizes are bounded.

/// Items of one list, at most. The scripts reply with up to six.
const MAX_ITEMS: usize = 1_024;
/// Nesting of lists, at most.
const MAX_DEPTH: u32 = 4;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RespValue {
    /// `+OK`
    Simple(String),
    /// `-ERR ..`
    Error(String),
    /// `:7`
    Integer(i64),
    /// `$3 ..`
    Bulk(Vec<u8>),
    /// `$-1`, `*-1`
    Nil,
    /// `*2 ..`
    List(Vec<RespValue>),
}

/// Appends a command. Arguments have their length before them, so none can become another command.
pub fn command(out: &mut Vec<u8>, arguments: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

/// Reads exactly this many replies; `None` where the bytes are anything else.
pub fn replies(mut bytes: &[u8], count: usize) -> Option<Vec<RespValue>> {
    let mut values = Vec::with_capacity(count.min(MAX_ITEMS));
    for _ in 0..count {
        let (value, rest) = value(bytes, 0)?;
        values.push(value);
        bytes = rest;
    }
    bytes.is_empty().then_some(values)
}

/// The first error among the complete replies at the start of these bytes.
pub fn first_error(mut bytes: &[u8]) -> Option<String> {
    loop {
        match value(bytes, 0)? {
            (RespValue::Error(error), _) => return Some(error),
            (_, rest) => bytes = rest,
        }
    }
}

fn value(bytes: &[u8], depth: u32) -> Option<(RespValue, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    let (line, rest) = line(rest)?;
    match kind {
        b'+' => Some((RespValue::Simple(lossy_string(line)), rest)),
        b'-' => Some((RespValue::Error(lossy_string(line)), rest)),
        b':' => Some((RespValue::Integer(number(line)?), rest)),
        b'$' => match number(line)? {
            -1 => Some((RespValue::Nil, rest)),
            length => {
                let length = usize::try_from(length).ok()?;
                let (bulk, rest) = rest.split_at_checked(length)?;
                Some((RespValue::Bulk(bulk.to_vec()), rest.strip_prefix(b"\r\n")?))
            }
        },
        b'*' => match number(line)? {
            -1 => Some((RespValue::Nil, rest)),
            count => list(usize::try_from(count).ok()?, rest, depth),
        },
        _ => None,
    }
}

fn list(count: usize, mut bytes: &[u8], depth: u32) -> Option<(RespValue, &[u8])> {
    if count > MAX_ITEMS || depth >= MAX_DEPTH {
        return None;
    }
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        let (item, rest) = value(bytes, depth.saturating_add(1))?;
        items.push(item);
        bytes = rest;
    }
    Some((RespValue::List(items), bytes))
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memmem::find(bytes, b"\r\n")?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line, rest.strip_prefix(b"\r\n")?))
}

fn number(line: &[u8]) -> Option<i64> {
    std::str::from_utf8(line).ok()?.parse().ok()
}

fn lossy_string(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

impl RespValue {
    /// The items of a list.
    pub fn items(&self) -> Option<&[RespValue]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// A number, also one that is written as text.
    pub fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Bulk(bytes) => number(bytes),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_cannot_become_another_command() {
        let mut out = Vec::new();
        command(&mut out, &[b"SET", b"k", b"a\r\nDEL x\r\n"]);
        assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10\r\na\r\nDEL x\r\n\r\n");
    }

    #[test]
    fn replies_are_read_as_redis_writes_them() {
        let bytes = b"+OK\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*2\r\n:1\r\n*1\r\n+x\r\n-ERR no\r\n";
        let list = RespValue::List(vec![
            RespValue::Integer(1),
            RespValue::List(vec![RespValue::Simple("x".into())]),
        ]);
        let expected = vec![
            RespValue::Simple("OK".into()),
            RespValue::Integer(-7),
            RespValue::Bulk(b"a\r\n".to_vec()),
            RespValue::Nil,
            list,
            RespValue::Error("ERR no".into()),
        ];
        assert_eq!(replies(bytes, 6), Some(expected));
    }

    #[test]
    fn bytes_that_are_truncated_forged_or_too_many_are_no_reply() {
        let whole: &[u8] = b"*2\r\n$3\r\nabc\r\n:12\r\n+OK\r\n";
        assert!(replies(whole, 2).is_some());
        for end in 0..whole.len() {
            assert_eq!(replies(&whole[..end], 2), None, "{end}");
        }
        for hostile in [
            &b"*9999999999\r\n"[..],
            b"$9223372036854775807\r\nx\r\n",
            b"$-2\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
            b":1x\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"+OK\r\n+OK\r\n",
            b"$3\r\nabcd\r\n",
            b"\xff\xfe",
        ] {
            assert_eq!(replies(hostile, 1), None, "{}", String::from_utf8_lossy(hostile));
        }
    }
}
