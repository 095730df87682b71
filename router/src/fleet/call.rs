//! What is sent to Redis in one call, and what each of its replies means.

use std::fmt::Display;
use std::sync::Arc;

use llm_balancer_config::{Config, Redis};

use crate::fleet::resp;
use crate::fleet::script::Script;
use crate::request::references::Reference;
use crate::state::membership::Membership;
use crate::state::time::Minute;

/// What every call of a configuration needs.
#[derive(Debug)]
pub(crate) struct FleetSettings {
    redis: Redis,
    /// By index. The keys of a deployment contain its id.
    pub(super) deployment_ids: Vec<Arc<str>>,
}

impl FleetSettings {
    /// `None` without Redis.
    pub(crate) fn new(config: &Config) -> Option<Self> {
        let deployment_ids = config.deployments.iter().map(|deployment| Arc::clone(&deployment.id)).collect();
        Some(Self { redis: config.redis.clone()?, deployment_ids })
    }

    /// The index of the deployment with this id.
    pub(super) fn index(&self, id: &[u8]) -> Option<usize> {
        self.deployment_ids.iter().position(|of_it| of_it.as_bytes() == id)
    }
}

/// A pipeline on its way to Redis.
#[derive(Debug)]
pub struct Call {
    /// What is sent, in Redis' wire format.
    pub bytes: Vec<u8>,
    /// What its replies mean, in order.
    pub(super) commands: Vec<RedisCommand>,
}

/// A command of a pipeline.
#[derive(Clone, Copy, Debug)]
pub(super) enum RedisCommand {
    /// AUTH or SELECT.
    Setup,
    /// Of the turn with this number.
    Presence {
        turn: u64,
    },
    Deregister,
    /// A command of a wait.
    Wait,
    Lease {
        index: usize,
        minute: Minute,
        /// It asks for more, and does not only return or report.
        is_acquire: bool,
    },
    Exchange {
        index: usize,
    },
    PublishOrigin,
    FindOrigin {
        reference: Reference,
    },
}

impl Call {
    /// The deployments that it asks leases of.
    pub fn leases(&self) -> impl Iterator<Item = usize> {
        self.commands.iter().filter_map(|command| match command {
            RedisCommand::Lease { index, .. } => Some(*index),
            _ => None,
        })
    }

    /// Whether it waits for other instances' requests: it may take a minute, and that it breaks off
    /// says nothing about Redis.
    pub fn is_wait(&self) -> bool {
        self.commands.last().is_some_and(|command| matches!(command, RedisCommand::Wait))
    }
}

/// A call that is being built.
pub(super) struct Pipeline<'a> {
    pub(super) settings: &'a FleetSettings,
    pub(super) membership: Membership,
    call: Call,
    /// The scripts whose text it has.
    sent: Vec<&'static Script>,
}

impl<'a> Pipeline<'a> {
    pub(super) fn new(settings: &'a FleetSettings, membership: Membership) -> Self {
        let call = Call { bytes: Vec::with_capacity(2048), commands: Vec::new() };
        let mut pipeline = Self { settings, membership, call, sent: Vec::new() };
        pipeline.set_up(&settings.redis);
        pipeline
    }

    fn set_up(&mut self, redis: &Redis) {
        if let Some(password) = &redis.password {
            let password = password.reveal().as_bytes();
            match &redis.username {
                Some(user) => self.command(RedisCommand::Setup, &[b"AUTH", user.as_bytes(), password]),
                None => self.command(RedisCommand::Setup, &[b"AUTH", password]),
            }
        }
        if redis.database != 0 {
            self.command(RedisCommand::Setup, &[b"SELECT", &argument(redis.database)]);
        }
    }

    pub(super) fn command(&mut self, command: RedisCommand, arguments: &[&[u8]]) {
        resp::command(&mut self.call.bytes, arguments);
        self.call.commands.push(command);
    }

    pub(super) fn script(
        &mut self,
        command: RedisCommand,
        script: &'static Script,
        keys: &[Vec<u8>],
        arguments: &[Vec<u8>],
    ) {
        let is_sent = self.sent.iter().any(|sent| sent.name == script.name);
        let (eval, text_or_name): (&[u8], &[u8]) =
            if is_sent { (b"EVALSHA", &script.name) } else { (b"EVAL", script.text) };
        if !is_sent {
            self.sent.push(script);
        }
        let count = argument(keys.len());
        let mut words: Vec<&[u8]> = vec![eval, text_or_name, &count];
        words.extend(keys.iter().chain(arguments).map(Vec::as_slice));
        self.command(command, &words);
    }

    /// A key in this configuration's namespace.
    pub(super) fn key(&self, rest: &str) -> Vec<u8> {
        argument(format_args!("{}:{rest}", self.settings.redis.namespace))
    }

    /// The pipeline's end; `None` where it has nothing but its beginning.
    pub(super) fn finish(mut self) -> Option<Call> {
        if self.call.commands.iter().all(|command| matches!(command, RedisCommand::Setup)) {
            return None;
        }
        resp::command(&mut self.call.bytes, &[b"QUIT"]);
        Some(self.call)
    }
}

/// An argument of a command.
pub(super) fn argument(value: impl Display) -> Vec<u8> {
    value.to_string().into_bytes()
}
