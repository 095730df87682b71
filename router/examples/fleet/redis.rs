//! A Redis in simulated time, which runs the pipelines that the router writes with their scripts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use llm_balancer_router::testing::resp::{self, RespValue};
use llm_balancer_router::testing::script_name;
use mlua::{Function, Lua, Table, Value, Variadic};

use crate::data::{Data, Reply};

/// How much Redis has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// Each is a connection of its own.
    pub pipelines: u64,
    /// Scripts in them, by kind.
    pub leases: u64,
    pub exchanges: u64,
    pub presences: u64,
    /// Commands, those within the scripts included.
    pub commands: u64,
}

impl Load {
    /// The growth since then.
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

/// An instance, and the number of its call.
pub type Client = (usize, u64);

/// A pipeline that waits.
struct Waiting {
    key: Vec<u8>,
    client: Client,
    /// The replies to what comes before the wait.
    out: Vec<u8>,
    /// The commands behind it.
    rest: Vec<u8>,
}

pub struct Redis {
    /// Clients that wait for an entry of a list, the longest wait first.
    waiting: Vec<Waiting>,
    lua: Lua,
    scripts: HashMap<Vec<u8>, Function>,
    data: Rc<RefCell<Data>>,
    inner: Rc<RefCell<u64>>,
    load: Load,
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
        let call = lua.create_function(move |lua, arguments: Variadic<Value>| {
            *count.borrow_mut() += 1;
            let arguments: Vec<Vec<u8>> = arguments.iter().map(bytes).collect();
            Ok(match kept.borrow_mut().call(&arguments) {
                Reply::Nil => Value::Boolean(false),
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
        Self { waiting: Vec::new(), lua, scripts: HashMap::new(), data, inner, load: Load::default() }
    }

    /// How much it has done so far.
    pub fn load(&self) -> Load {
        Load { commands: self.load.commands + *self.inner.borrow(), ..self.load }
    }

    /// The reply to a pipeline at this time, in milliseconds since the Unix epoch; `None` while it
    /// waits.
    pub fn reply(&mut self, client: Client, pipeline: &[u8], now: u64) -> Option<Vec<u8>> {
        self.data.borrow_mut().now = now;
        self.load.pipelines += 1;
        self.run(client, pipeline, Vec::new())
    }

    /// The replies to clients whose wait has ended.
    pub fn woken(&mut self) -> Vec<(Client, Vec<u8>)> {
        let mut woken = Vec::new();
        for Waiting { key, client, mut out, rest } in std::mem::take(&mut self.waiting) {
            let first = self.data.borrow_mut().pop(&key, 1).pop();
            match first {
                None => self.waiting.push(Waiting { key, client, out, rest }),
                Some(first) => {
                    out.extend(list(&[key, first]));
                    woken.extend(self.run(client, &rest, out).map(|out| (client, out)));
                }
            }
        }
        woken
    }

    /// Runs the rest of a pipeline, behind these replies.
    fn run(&mut self, client: Client, mut pipeline: &[u8], mut out: Vec<u8>) -> Option<Vec<u8>> {
        while !pipeline.is_empty() {
            let (arguments, rest) = command(pipeline);
            pipeline = rest;
            self.load.commands += 1;
            match arguments[0].as_slice() {
                b"EVAL" | b"EVALSHA" => self.eval(&arguments[1..], &mut out),
                b"BLPOP" => {
                    let key = arguments[1].clone();
                    self.waiting.push(Waiting { key, client, out, rest: rest.to_vec() });
                    return None;
                }
                b"QUIT" => out.extend_from_slice(b"+OK\r\n"),
                _ => match self.data.borrow_mut().call(&arguments) {
                    Reply::Nil => out.extend_from_slice(b"$-1\r\n"),
                    Reply::Integer(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
                    Reply::List(items) => out.extend(list(&items)),
                    Reply::Text(text) => out.extend_from_slice(&bulk(&text)),
                },
            }
        }
        Some(out)
    }

    /// The connections of these clients end.
    pub fn close(&mut self, is_closed: impl Fn(Client) -> bool) {
        self.waiting.retain(|waiting| !is_closed(waiting.client));
    }

    /// Restarts with nothing in it.
    pub fn restart(&mut self) {
        self.waiting.clear();
        *self.data.borrow_mut() = Data::default();
    }

    fn eval(&mut self, words: &[Vec<u8>], out: &mut Vec<u8>) {
        let count: usize = String::from_utf8_lossy(&words[1]).parse().expect("the number of keys");
        let (keys, arguments) = words[2..].split_at(count);
        let kind = match (keys[0].as_slice(), count) {
            (key, 3) if key.ends_with(b":shares") => &mut self.load.presences,
            // The end of a wait.
            (key, _) if key.ends_with(b":shares") => &mut 0,
            (key, _) if key.ends_with(b":fleet") => &mut self.load.exchanges,
            _ => &mut self.load.leases,
        };
        *kind += 1;
        let strings = |arguments: &[Vec<u8>]| -> mlua::Result<Table> {
            let strings = arguments.iter().map(|argument| self.lua.create_string(argument));
            self.lua.create_sequence_from(strings.collect::<mlua::Result<Vec<_>>>()?)
        };
        self.lua.globals().set("KEYS", strings(keys).expect("Lua")).expect("Lua");
        self.lua.globals().set("ARGV", strings(arguments).expect("Lua")).expect("Lua");
        // The text of a script, or its name.
        if !self.scripts.contains_key(&words[0]) {
            let script: Function = self.lua.load(words[0].as_slice()).into_function().expect("a script");
            self.scripts.insert(script_name(&words[0]), script.clone());
            self.scripts.insert(words[0].clone(), script);
        }
        let script = self.scripts.get(&words[0]).expect("it is known by now");
        let reply: Vec<Value> = script.call(()).expect("a script that runs");
        out.extend_from_slice(format!("*{}\r\n", reply.len()).as_bytes());
        for item in &reply {
            match item {
                // Redis truncates numbers to integers.
                Value::Integer(number) => out.extend_from_slice(format!(":{number}\r\n").as_bytes()),
                Value::Number(number) => out.extend_from_slice(format!(":{}\r\n", *number as i64).as_bytes()),
                text => out.extend_from_slice(&bulk(&bytes(text))),
            }
        }
    }
}

/// A list of texts.
fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", items.len()).into_bytes();
    items.iter().for_each(|item| out.extend_from_slice(&bulk(item)));
    out
}

fn bulk(text: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
}

/// The first command of a pipeline, and the rest. A command has the format of a reply.
fn command(pipeline: &[u8]) -> (Vec<Vec<u8>>, &[u8]) {
    let next = memchr::memmem::find(&pipeline[1..], b"\r\n*").map_or(pipeline.len(), |at| at + 3);
    let (arguments, rest) = pipeline.split_at(next);
    let values = resp::replies(arguments, 1).expect("a command");
    let argument = |value: &RespValue| match value {
        RespValue::Bulk(argument) => argument.clone(),
        other => panic!("{other:?} is no argument of a command"),
    };
    (values[0].items().expect("a list").iter().map(argument).collect(), rest)
}
