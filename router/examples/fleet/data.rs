//! The part of Redis that the scripts use: strings, hashes and sorted sets that expire.

use std::collections::{BTreeMap, HashMap};

/// What is stored under a key.
enum Stored {
    Text(Vec<u8>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    /// Scores by member.
    Sorted(BTreeMap<Vec<u8>, f64>),
}

/// The reply to a command.
pub enum Reply {
    Nil,
    Integer(u64),
    Text(Vec<u8>),
    List(Vec<Vec<u8>>),
}

/// All that is stored. Times are milliseconds since the Unix epoch.
#[derive(Default)]
pub struct Data {
    pub now: u64,
    keys: HashMap<Vec<u8>, (Stored, Option<u64>)>,
}

fn number(bytes: &[u8]) -> f64 {
    match bytes {
        b"-inf" => f64::NEG_INFINITY,
        b"+inf" => f64::INFINITY,
        _ => std::str::from_utf8(bytes).expect("a text").parse().expect("a number"),
    }
}

impl Data {
    /// Runs one command.
    pub fn call(&mut self, words: &[Vec<u8>]) -> Reply {
        let name = std::str::from_utf8(&words[0]).expect("a command");
        if name == "TIME" {
            let micros = self.now % 1000 * 1000;
            return Reply::List([self.now / 1000, micros].map(|n| n.to_string().into_bytes()).into());
        }
        if name == "INFO" {
            return Reply::Text(b"# Server\r\nrun_id:1\r\n".to_vec());
        }
        let (key, rest) = (&words[1], &words[2..]);
        if self.keys.get(key).is_some_and(|(_, until)| until.is_some_and(|until| until <= self.now)) {
            self.keys.remove(key);
        }
        match name {
            "GET" => match self.keys.get(key) {
                Some((Stored::Text(text), _)) => Reply::Text(text.clone()),
                _ => Reply::Nil,
            },
            "SET" => {
                let until = rest.get(2).map(|time| self.now + number(time) as u64);
                self.keys.insert(key.clone(), (Stored::Text(rest[0].clone()), until));
                Reply::Text(b"OK".to_vec())
            }
            "PEXPIRE" => {
                let until = self.now + number(&rest[0]) as u64;
                Reply::Integer(self.keys.get_mut(key).map_or(0, |(_, at)| {
                    *at = Some(until);
                    1
                }))
            }
            name if name.starts_with('H') => hash(name, self.hash(key), rest),
            name => sorted(name, self.sorted(key), rest),
        }
    }

    fn hash(&mut self, key: &[u8]) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        let stored = self.keys.entry(key.to_vec()).or_insert((Stored::Hash(BTreeMap::new()), None));
        let Stored::Hash(hash) = &mut stored.0 else { panic!("{key:?} is no hash") };
        hash
    }

    fn sorted(&mut self, key: &[u8]) -> &mut BTreeMap<Vec<u8>, f64> {
        let stored = self.keys.entry(key.to_vec()).or_insert((Stored::Sorted(BTreeMap::new()), None));
        let Stored::Sorted(set) = &mut stored.0 else { panic!("{key:?} is no sorted set") };
        set
    }
}

fn hash(name: &str, hash: &mut BTreeMap<Vec<u8>, Vec<u8>>, rest: &[Vec<u8>]) -> Reply {
    match name {
        "HGET" => hash.get(&rest[0]).map_or(Reply::Nil, |value| Reply::Text(value.clone())),
        "HEXISTS" => Reply::Integer(hash.contains_key(&rest[0]).into()),
        "HDEL" => Reply::Integer(hash.remove(&rest[0]).is_some().into()),
        "HKEYS" => Reply::List(hash.keys().cloned().collect()),
        "HGETALL" => {
            Reply::List(hash.iter().flat_map(|(field, value)| [field.clone(), value.clone()]).collect())
        }
        "HSET" => {
            hash.extend(rest.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())));
            Reply::Integer(0)
        }
        _ => panic!("{name} is not simulated"),
    }
}

fn sorted(name: &str, set: &mut BTreeMap<Vec<u8>, f64>, rest: &[Vec<u8>]) -> Reply {
    let within = |score: f64| number(&rest[0]) <= score && score <= number(&rest[1]);
    match name {
        "ZCARD" => Reply::Integer(set.len() as u64),
        "ZADD" => Reply::Integer(set.insert(rest[1].clone(), number(&rest[0])).is_none().into()),
        "ZCOUNT" => Reply::Integer(set.values().filter(|score| within(**score)).count() as u64),
        "ZREMRANGEBYSCORE" => {
            set.retain(|_, score| !within(*score));
            Reply::Integer(0)
        }
        _ => panic!("{name} is not simulated"),
    }
}
