//! The part of Redis that the scripts use: strings, hashes and lists that expire.

use std::collections::{BTreeMap, HashMap, VecDeque};

/// What is stored under a key.
enum Stored {
    Text(Vec<u8>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    /// The first is the one that was pushed last.
    List(VecDeque<Vec<u8>>),
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
    std::str::from_utf8(bytes).expect("a text").parse().expect("a number")
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
            "EXISTS" => Reply::Integer(self.keys.contains_key(key).into()),
            "DEL" => Reply::Integer(self.keys.remove(key).is_some().into()),
            "LPUSH" => {
                let list = self.list(key);
                rest.iter().for_each(|item| list.push_front(item.clone()));
                Reply::Integer(list.len() as u64)
            }
            // With a number of entries it is an error before Redis 6.2.
            "LPOP" if rest.is_empty() => self.pop(key, 1).pop().map_or(Reply::Nil, Reply::Text),
            name if name.starts_with('H') => hash(name, self.hash(key), rest),
            name => panic!("{name} is not simulated"),
        }
    }

    /// Takes the first entries of a list. An empty one does not exist.
    pub fn pop(&mut self, key: &[u8], most: usize) -> Vec<Vec<u8>> {
        if !self.keys.contains_key(key) {
            return Vec::new();
        }
        let list = self.list(key);
        let taken = list.drain(..most.min(list.len())).collect();
        if list.is_empty() {
            self.keys.remove(key);
        }
        taken
    }

    fn list(&mut self, key: &[u8]) -> &mut VecDeque<Vec<u8>> {
        let stored = self.keys.entry(key.to_vec()).or_insert((Stored::List(VecDeque::new()), None));
        let Stored::List(list) = &mut stored.0 else { panic!("{key:?} is no list") };
        list
    }

    fn hash(&mut self, key: &[u8]) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        let stored = self.keys.entry(key.to_vec()).or_insert((Stored::Hash(BTreeMap::new()), None));
        let Stored::Hash(hash) = &mut stored.0 else { panic!("{key:?} is no hash") };
        hash
    }
}

fn hash(name: &str, hash: &mut BTreeMap<Vec<u8>, Vec<u8>>, rest: &[Vec<u8>]) -> Reply {
    match name {
        "HGET" => hash.get(&rest[0]).map_or(Reply::Nil, |value| Reply::Text(value.clone())),
        "HEXISTS" => Reply::Integer(hash.contains_key(&rest[0]).into()),
        "HDEL" => Reply::Integer(rest.iter().filter(|field| hash.remove(*field).is_some()).count() as u64),
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
