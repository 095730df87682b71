//! The configurations that Envoy holds: the newest gets every new request, an older one stays while
//! it has connections.
//!
//! Each revision has an internal listener of its own, so a reload cuts nothing off: a request stays
//! with the revision that it began with, retries included, for as long as its stream lasts.

use std::collections::BTreeMap;
use std::time::Duration;

use llm_balancer_config::names;

use super::admin::StatKind;
use super::file_xds::{FileXds, PushError};
use crate::render::{Hops, ResourceType, Resources, Revision};

/// One second for DNS lookups of new clusters. A name that is not resolved by then is resolved
/// later, and until then its deployment is unreachable.
const WARMING: Duration = Duration::from_secs(1);
/// Gauges: clusters and listeners that are not ready.
const WARMING_GAUGES: &str =
    "^(cluster_manager\\.warming_clusters|listener_manager\\.total_listeners_warming)$";

/// All revisions of this process that are still in use.
#[derive(Debug)]
pub(crate) struct Revisions {
    pub(super) xds: FileXds,
    /// The newest last; never empty.
    all: Vec<Resources>,
    /// [`names::REPLACED_SECONDS`] at the last poll.
    replaced_seconds: u64,
    /// Polls in a row, since the last switch, that found the same.
    idle_polls: u32,
}

impl Revisions {
    /// Writes the files that Envoy starts with.
    pub(crate) fn first(xds: FileXds, resources: Resources) -> Result<Self, String> {
        let mut revisions = Self { xds, all: vec![resources], replaced_seconds: 0, idle_polls: 0 };
        ResourceType::all(revisions.xds.hops).iter().try_for_each(|of| revisions.write(*of))?;
        Ok(revisions)
    }

    fn write(&mut self, of: ResourceType) -> Result<(), String> {
        self.xds.write(of, &merged(self.all.iter(), of))
    }

    fn push(&mut self, of: ResourceType) -> Result<(), PushError> {
        self.xds.push(of, &merged(self.all.iter(), of))
    }

    /// The revision that gets all new requests.
    pub(super) fn newest(&self) -> Revision {
        self.all.last().map_or(Revision::FIRST, |newest| newest.revision)
    }

    /// Sends all new requests to these resources. If Envoy does not accept any of them, the files are
    /// as they were before.
    pub(super) fn switch(&mut self, resources: Resources) -> Result<(), PushError> {
        self.all.push(resources);
        self.idle_polls = 0;
        let done = self.push_all();
        if done.is_err() {
            self.all.pop();
            self.roll_back();
        }
        done
    }

    /// What comes last moves the requests.
    fn push_all(&mut self) -> Result<(), PushError> {
        for of in ResourceType::all(self.xds.hops) {
            match of {
                // What is new is added, and nothing changes yet.
                ResourceType::Clusters => self.xds.push(*of, &merged(self.all.iter().rev(), *of))?,
                ResourceType::Listeners => {
                    self.push(*of)?;
                    self.push_changed_clusters()?;
                    self.xds.wait_for_zero(WARMING_GAUGES, WARMING);
                }
                _ => self.push(*of)?,
            }
        }
        Ok(())
    }

    /// Only now: those that lead to another forward proxy need its listener, and requests use them
    /// already.
    fn push_changed_clusters(&mut self) -> Result<(), PushError> {
        let of = ResourceType::Clusters;
        let is_changed = merged(self.all.iter(), of) != merged(self.all.iter().rev(), of);
        if is_changed { self.push(of) } else { Ok(()) }
    }

    /// Writes the previous files again, in reverse order. Does not wait for ACKs: Envoy accepted
    /// these files before.
    fn roll_back(&mut self) {
        for of in ResourceType::all(self.xds.hops).iter().rev() {
            // A file that cannot be written must not keep the others from being restored.
            let _ = self.write(*of);
        }
    }

    /// Removes old revisions without connections. Listeners first: no request may reach a cluster
    /// that is gone.
    pub(super) fn remove_idle(&mut self) {
        if self.all.len() < 2 || (self.xds.hops == Hops::One && self.is_used_by_the_edge()) {
            return;
        }
        let Some((newest, old)) = self.all.split_last() else { return };
        let Some(connections) = self.xds.admin.stats(StatKind::Gauge, CONNECTIONS) else { return };
        let is_used = |resources: &Resources| {
            let name = resources.revision.listener();
            let count = connections.iter().find(|(stat, _)| stat.contains(&format!("_{name}.")));
            // Keep a listener that has no statistics yet.
            count.is_none_or(|(_, count)| count != "0")
        };
        let used: Vec<_> =
            old.iter().filter(|resources| is_used(resources)).chain([newest]).cloned().collect();
        if used.len() < self.all.len() {
            self.all = used;
            // Envoy accepted these resources before.
            let _ = self.push(ResourceType::Listeners).and_then(|()| self.push(ResourceType::Clusters));
        }
    }

    /// Whether requests on the edge began with an old revision: every worker that has one counts a
    /// second each second.
    fn is_used_by_the_edge(&mut self) -> bool {
        let Some(seconds) = self.xds.admin.filter_counter(names::REPLACED_SECONDS) else { return true };
        let is_idle = std::mem::replace(&mut self.replaced_seconds, seconds) == seconds;
        self.idle_polls = if is_idle { self.idle_polls.saturating_add(1) } else { 0 };
        self.idle_polls < IDLE_POLLS
    }

    /// Adds one listener to those of the revisions.
    pub(super) fn add_listener(&mut self, listener: &[u8]) {
        let all = [merged(self.all.iter(), ResourceType::Listeners), vec![listener]].concat();
        let _ = self.xds.write(ResourceType::Listeners, &all);
    }

    /// Answers 503 to load balancers that ask for readiness.
    pub(super) fn refuse_readiness(&mut self) {
        if let Some(newest) = self.all.last_mut() {
            newest.refuse_readiness();
        }
        // Envoy may not answer any more, and this process has no time to wait for it.
        let _ = self.write(ResourceType::Routes);
    }
}

/// Polls, one per second, that must find that no request began with an old revision. A worker that is
/// busy may count late.
const IDLE_POLLS: u32 = 5;

/// Gauges: connections from the edge to each revision. Envoy closes an idle one within seconds.
const CONNECTIONS: &str = "^listener\\.envoy_internal_attempts-[0-9]+\\.downstream_cx_active$";

/// The resources of these revisions. If two of them define the same name, the last wins.
fn merged<'a>(revisions: impl Iterator<Item = &'a Resources>, of: ResourceType) -> Vec<&'a [u8]> {
    let by_name: BTreeMap<_, _> = revisions.flat_map(|one| one.of(of)).collect();
    by_name.into_values().map(Vec::as_slice).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::path::Path;
    use std::{fs, thread};

    use serde_json::{Value, json};

    use super::*;
    use crate::render::Runtime;
    use crate::serve::admin::Admin;
    use crate::serve::signals::{Signal, StopRequest};

    fn resources(revision: Revision) -> Resources {
        let bytes = |resource: Value| resource.to_string().into_bytes();
        let named = |name: &str| [(name.to_owned(), bytes(json!({"name": name})))].into();
        Resources {
            revision,
            clusters: named(&format!("cluster-{revision}")),
            listeners: named(&format!("listener-{revision}")),
            routes: [("edge".to_owned(), bytes(json!({"name": "edge", "to": revision.to_string()})))].into(),
            filter: BTreeMap::new(),
        }
    }

    /// The admin port of an Envoy that takes clusters and listeners of a second configuration, and
    /// does not accept its routes: `nack` counts that.
    fn admin_without_routes(nack: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let mut asked_for_routes = false;
            for mut stream in listener.incoming().map_while(Result::ok) {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let stats = match head.first().map(String::as_str).unwrap_or_default() {
                    line if line.contains("cds") && line.contains("TextReadouts") => {
                        "cluster_manager.cds.version_text: \"4\"\n".to_owned()
                    }
                    line if line.contains("lds") && line.contains("TextReadouts") => {
                        "listener_manager.lds.version_text: \"5\"\n".to_owned()
                    }
                    line if line.contains("rds") && line.contains("TextReadouts") => {
                        "http.edge.rds.edge.version_text: \"3\"\n".to_owned()
                    }
                    line if line.contains("rds") => {
                        // The first question is how many there were before.
                        let count = u32::from(std::mem::replace(&mut asked_for_routes, true));
                        format!("http.edge.rds.edge.{nack}: {count}\n")
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

    fn revisions(folder: &Path, nack: &'static str) -> Revisions {
        let admin = Admin::new(admin_without_routes(nack), Runtime::Wasm, StopRequest::default());
        Revisions::first(FileXds::new(admin, folder, Hops::Two), resources(Revision::FIRST)).unwrap()
    }

    #[test]
    fn what_envoy_or_this_program_cannot_do_now_is_no_rejection() {
        let dir = tempfile::tempdir().unwrap();
        let mut revisions = revisions(dir.path(), "update_failure");
        let unread = revisions.switch(resources(Revision::FIRST.next()));
        assert!(
            matches!(&unread, Err(PushError::Unavailable(why)) if why.contains("could not read the routes")),
            "{unread:?}"
        );
        let beside = ResourceType::Clusters.file(dir.path()).with_extension("new");
        fs::create_dir(beside).unwrap();
        let unwritten = revisions.switch(resources(Revision::FIRST.next()));
        assert!(
            matches!(&unwritten, Err(PushError::Unavailable(why)) if why.starts_with("cannot write ")),
            "{unwritten:?}"
        );
        assert_eq!(revisions.newest(), Revision::FIRST);
    }

    #[test]
    fn where_routes_are_rejected_all_files_are_those_from_before() {
        let dir = tempfile::tempdir().unwrap();
        let mut revisions = revisions(dir.path(), "update_rejected");
        let nack = revisions.switch(resources(Revision::FIRST.next()));
        assert!(matches!(&nack, Err(PushError::Rejected(why)) if why.contains("invalid routes")), "{nack:?}");
        assert_eq!(revisions.newest(), Revision::FIRST);
        let file = |of: ResourceType| of.file(dir.path());
        assert_eq!(written(&file(ResourceType::Routes)), json!([{"name": "edge", "to": "1"}]));
        assert_eq!(written(&file(ResourceType::Listeners)), json!([{"name": "listener-1"}]));
        let clusters = fs::read(file(ResourceType::Clusters)).unwrap();
        assert!(clusters.ends_with(br#"{"name":"cluster-1"}"#));
    }

    #[test]
    fn readiness_is_refused_though_this_process_ends_and_envoy_does_not_answer() {
        let dir = tempfile::tempdir().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let stop = StopRequest::default();
        let admin = Admin::new(silent.local_addr().unwrap().port(), Runtime::Wasm, stop.clone());
        let xds = FileXds::new(admin, dir.path(), Hops::Two);
        let mut revisions = Revisions::first(xds, resources(Revision::FIRST)).unwrap();
        let routes = || fs::read(ResourceType::Routes.file(dir.path())).unwrap();
        let before = routes();
        stop.record(Signal::Stop);
        revisions.refuse_readiness();
        assert_ne!(routes(), before);
    }
}
