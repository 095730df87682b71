//! The configurations that Envoy holds: the newest, which gets every new request, and older ones for as long as something
//! still passes through them.
//!
//! Each has a listener of its own, so nothing has to be cut off or hurried when another takes its place: a request stays with
//! the configuration that it began with, retries included, and a stream may last as long as it likes.

use serde_json::Value;

use crate::render::{Resources, readiness_refused};

use super::file_xds::{Handing, Kind};

/// So many polls are given to clusters whose names are being looked up, a second: whoever is not found by then is found
/// later, and until then counts as a deployment that cannot be reached.
const LOOKUP_POLLS: u32 = 100;

/// All of them.
#[derive(Debug)]
pub struct Generations {
    /// The way to Envoy.
    pub handing: Handing,
    /// The newest last.
    all: Vec<Resources>,
}

impl Generations {
    /// With the files that Envoy is going to start with.
    pub fn first(handing: Handing, resources: Resources) -> Result<Self, String> {
        let mut generations = Self { handing, all: vec![resources] };
        let Self { handing, all } = &mut generations;
        handing.write(Kind::Clusters, clusters(all).values().copied())?;
        handing.write(Kind::Listeners, listeners(all).values().copied())?;
        let routes = all.last().map(|newest| newest.routes.to_string());
        handing.write(Kind::Routes, routes.as_deref())?;
        Ok(generations)
    }

    /// The number for the next one.
    pub fn next_number(&self) -> u64 {
        self.newest_number().saturating_add(1)
    }

    /// The number of the one that gets all new requests.
    pub fn newest_number(&self) -> u64 {
        self.all.last().map_or(0, |newest| newest.number)
    }

    /// Sends all new requests to this one, once all of it is there. Where Envoy refuses any of it, nothing has changed.
    pub fn switch(&mut self, resources: Resources) -> Result<(), String> {
        let routes = resources.routes.to_string();
        self.all.push(resources);
        let done = self.prepare().and_then(|()| self.handing.hand(Kind::Routes, [routes.as_str()]));
        if done.is_err() {
            self.all.pop();
            self.put_back();
        }
        done
    }

    /// Whatever Envoy did take goes again, and whatever it has not looked at yet it never sees. Nobody waits: it has taken
    /// all of this before, and one that is too slow for the new ends up with the old all the same. Routes first: nobody is
    /// sent to a listener that has gone.
    fn put_back(&mut self) {
        let Self { handing, all } = self;
        let routes = all.last().map(|newest| newest.routes.to_string());
        // A file that cannot be written is no reason to leave the others as they are.
        let _ = handing.write(Kind::Routes, routes.as_deref());
        let _ = handing.write(Kind::Listeners, listeners(all).values().copied());
        let _ = handing.write(Kind::Clusters, clusters(all).values().copied());
    }

    fn prepare(&mut self) -> Result<(), String> {
        self.handing.hand(Kind::Clusters, clusters(&self.all).values().copied())?;
        self.handing.settled("cluster_manager.warming_clusters", LOOKUP_POLLS);
        self.handing.hand(Kind::Listeners, listeners(&self.all).values().copied())?;
        self.handing.settled("listener_manager.total_listeners_warming", LOOKUP_POLLS);
        Ok(())
    }

    /// Listeners first: nobody is sent to a cluster that has gone.
    fn hand_all(&mut self) -> Result<(), String> {
        self.handing.hand(Kind::Listeners, listeners(&self.all).values().copied())?;
        self.handing.hand(Kind::Clusters, clusters(&self.all).values().copied())
    }

    /// Drops the old ones that nothing passes through any more.
    pub fn tidy(&mut self) {
        let Some((newest, old)) = self.all.split_last() else { return };
        if old.is_empty() {
            return;
        }
        let Some(connections) = self.handing.admin.stats(CONNECTIONS) else { return };
        let is_used = |generation: &Resources| {
            let name = Resources::listener_of(generation.number);
            let count = connections.iter().find(|(stat, _)| stat.contains(&format!("_{name}.")));
            // One that cannot be seen is not touched.
            count.is_none_or(|(_, count)| count != "0")
        };
        let left: Vec<_> =
            old.iter().filter(|generation| is_used(generation)).chain([newest]).cloned().collect();
        if left.len() < self.all.len() {
            self.all = left;
            // It has taken all of this before.
            let _ = self.hand_all();
        }
    }

    /// Gives Envoy one listener more.
    pub fn add_listener(&mut self, listener: &str) {
        let all = listeners(&self.all).into_values().chain([listener]);
        let _ = self.handing.write(Kind::Listeners, all);
    }

    /// From here on load balancers are told to stay away.
    pub fn refuse_readiness(&mut self) {
        let Some(newest) = self.all.last() else { return };
        let routes: Value = readiness_refused(newest.routes.clone());
        let _ = self.handing.hand(Kind::Routes, [routes.to_string().as_str()]);
    }
}

/// Connections of the edge to each of them, a gauge each. An idle one is closed within seconds.
const CONNECTIONS: &str = "^listener\\.envoy_internal_attempts-[0-9]+\\.downstream_cx_active$";

type ByName<'a> = std::collections::BTreeMap<&'a str, &'a str>;

/// What one of them needs they all have; where two differ in a name, the newest says what it is.
fn clusters(all: &[Resources]) -> ByName<'_> {
    all.iter().flat_map(|one| &one.clusters).map(|(name, json)| (name.as_str(), json.as_str())).collect()
}

fn listeners(all: &[Resources]) -> ByName<'_> {
    all.iter().flat_map(|one| &one.listeners).map(|(name, json)| (name.as_str(), json.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use serde_json::json;

    use super::*;
    use crate::render::Files;
    use crate::serve::admin::Admin;

    fn resources(number: u64) -> Resources {
        let named = |name: &str| [(name.to_owned(), json!({"name": name}).to_string())].into();
        Resources {
            number,
            clusters: named(&format!("cluster-{number}")),
            listeners: named(&format!("listener-{number}")),
            routes: json!({"name": "edge", "to": number}),
        }
    }

    /// The admin port of an Envoy that takes clusters and listeners of a second configuration, and refuses its routes.
    fn admin_that_refuses_routes() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let mut asked_for_routes = false;
            for mut stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let stats = match head.first().map(String::as_str).unwrap_or_default() {
                    line if line.contains("cds") => "cluster_manager.cds.version_text: \"4\"\n".to_owned(),
                    line if line.contains("lds") => "listener_manager.lds.version_text: \"5\"\n".to_owned(),
                    line if line.contains("rds") => {
                        // The first question is how many were refused before.
                        let refused = u32::from(std::mem::replace(&mut asked_for_routes, true));
                        format!(
                            "http.edge.rds.edge.version_text: \"3\"\nhttp.edge.rds.edge.update_rejected: {refused}\n"
                        )
                    }
                    _ => String::new(),
                };
                let length = stats.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{stats}"
                );
            }
        });
        port
    }

    fn written(file: &Path) -> Value {
        let file: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        file.get("resources").unwrap().clone()
    }

    #[test]
    fn where_routes_are_refused_all_files_are_those_from_before() {
        let dir = tempfile::tempdir().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let handing = Handing::new(Admin::new(admin_that_refuses_routes()), Files::of(dir.path()), over);
        let mut generations = Generations::first(handing, resources(1)).unwrap();
        let refusal = generations.switch(resources(2)).unwrap_err();
        assert!(refusal.contains("refuses the routes"), "{refusal}");
        assert_eq!(generations.newest_number(), 1);
        let files = Files::of(dir.path());
        assert_eq!(written(&files.routes), json!([{"name": "edge", "to": 1}]));
        assert_eq!(written(&files.listeners), json!([{"name": "listener-1"}]));
        assert_eq!(written(&files.clusters), json!([{"name": "cluster-1"}]));
    }
}
