//! A Redis in simulated time: it takes the pipelines that the router writes, and runs the scripts in them, word for word.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use llm_balancer_router::testing::resp::{self, Value as Reading};
use mlua::{Function, Lua, Table, Value, Variadic};

use crate::data::{Data, Reply};

/// What Redis was asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// Each is a connection of its own.
    pub pipelines: u64,
    /// Scripts in them, by what they are about.
    pub leases: u64,
    pub exchanges: u64,
    pub presences: u64,
    /// Commands that Redis carried out, those within the scripts included.
    pub commands: u64,
}

impl Asked {
    /// What has been added since.
    pub fn since(self, before: Self) -> Self {
        Self {
            pipelines: self.pipelines - before.pipelines,
            leases: self.leases - before.leases,
            exchanges: self.exchanges - before.exchanges,
            presences: self.presences - before.presences,
            commands: self.commands - before.commands,
        }
    }
}

pub struct Redis {
    lua: Lua,
    scripts: HashMap<Vec<u8>, Function>,
    data: Rc<RefCell<Data>>,
    inner: Rc<RefCell<u64>>,
    asked: Asked,
}

fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Integer(number) => number.to_string().into_bytes(),
        // As Redis does: whole numbers without a point.
        Value::Number(number) => number.to_string().into_bytes(),
        other => panic!("{other:?} is no argument"),
    }
}

impl Redis {
    pub fn new() -> Self {
        let (lua, data, inner) = (Lua::new(), Rc::<RefCell<Data>>::default(), Rc::<RefCell<u64>>::default());
        let (kept, count) = (Rc::clone(&data), Rc::clone(&inner));
        let call = lua.create_function(move |lua, words: Variadic<Value>| {
            *count.borrow_mut() += 1;
            let words: Vec<Vec<u8>> = words.iter().map(bytes).collect();
            Ok(match kept.borrow_mut().call(&words) {
                Reply::Nothing => Value::Boolean(false),
                Reply::Integer(number) => Value::Number(number as f64),
                Reply::Text(text) => Value::String(lua.create_string(text)?),
                Reply::List(items) => {
                    let items = items.into_iter().map(|item| lua.create_string(item));
                    Value::Table(lua.create_sequence_from(items.collect::<mlua::Result<Vec<_>>>()?)?)
                }
            })
        });
        let redis = lua.create_table().expect("Lua");
        redis.set("call", call.expect("Lua")).expect("Lua");
        lua.globals().set("redis", redis).expect("Lua");
        Self { lua, scripts: HashMap::new(), data, inner, asked: Asked::default() }
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Asked {
        Asked { commands: self.asked.commands + *self.inner.borrow(), ..self.asked }
    }

    /// Answers a pipeline at this time, in milliseconds since the Unix epoch.
    pub fn answer(&mut self, mut pipeline: &[u8], now: u64) -> Vec<u8> {
        self.data.borrow_mut().now = now;
        self.asked.pipelines += 1;
        let mut out = Vec::new();
        while !pipeline.is_empty() {
            let (words, rest) = command(pipeline);
            pipeline = rest;
            self.asked.commands += 1;
            match words[0].as_slice() {
                b"EVAL" => self.eval(&words[1..], &mut out),
                b"QUIT" => out.extend_from_slice(b"+OK\r\n"),
                other => panic!("{} is not simulated", String::from_utf8_lossy(other)),
            }
        }
        out
    }

    fn eval(&mut self, words: &[Vec<u8>], out: &mut Vec<u8>) {
        let count: usize = String::from_utf8_lossy(&words[1]).parse().expect("the number of keys");
        let (keys, arguments) = words[2..].split_at(count);
        let kind = match (keys[0].as_slice(), count) {
            (key, _) if key.ends_with(b":instances") => &mut self.asked.presences,
            (key, _) if key.ends_with(b":fleet") => &mut self.asked.exchanges,
            _ => &mut self.asked.leases,
        };
        *kind += 1;
        let strings = |words: &[Vec<u8>]| -> mlua::Result<Table> {
            let strings = words.iter().map(|word| self.lua.create_string(word));
            self.lua.create_sequence_from(strings.collect::<mlua::Result<Vec<_>>>()?)
        };
        self.lua.globals().set("KEYS", strings(keys).expect("Lua")).expect("Lua");
        self.lua.globals().set("ARGV", strings(arguments).expect("Lua")).expect("Lua");
        let load = || self.lua.load(words[0].as_slice()).into_function().expect("a script");
        let script = self.scripts.entry(words[0].clone()).or_insert_with(load);
        let answer: Vec<Value> = script.call(()).expect("a script that runs");
        out.extend_from_slice(format!("*{}\r\n", answer.len()).as_bytes());
        for item in &answer {
            match item {
                // Redis cuts numbers off behind the point.
                Value::Integer(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
                Value::Number(number) => out.extend_from_slice(format!(":{}\r\n", *number as i64).as_bytes()),
                text => {
                    let text = bytes(text);
                    out.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
                    out.extend_from_slice(&text);
                    out.extend_from_slice(b"\r\n");
                }
            }
        }
    }
}

/// The first command of a pipeline, and the rest. A command has the form of a reply.
fn command(pipeline: &[u8]) -> (Vec<Vec<u8>>, &[u8]) {
    let next = memchr::memmem::find(&pipeline[1..], b"\r\n*").map_or(pipeline.len(), |at| at + 3);
    let (words, rest) = pipeline.split_at(next);
    let readings = resp::replies(words, 1).expect("a command");
    let word = |reading: &Reading| match reading {
        Reading::Bulk(word) => word.clone(),
        other => panic!("{other:?} is no word of a command"),
    };
    (readings[0].items().expect("a list").iter().map(word).collect(), rest)
}
