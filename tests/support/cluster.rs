//! A MongoDB replica set of a test's own, with as many members and whatever settings it needs.

use std::path::Path;
use std::process::{Child, Command};

use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};

use super::proxy::Proxy;
use super::server::{copy, exec, kill, put_back};
use super::until;
use super::world::free_port;

pub struct Cluster {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    ports: Vec<u16>,
    members: Vec<Option<Child>>,
    /// What stands before each member, where they are to be cut off from each other: they know each other, and are
    /// known, by these.
    roads: Vec<Proxy>,
}

/// What makes an oplog of 8 MB really roll over after about 9 MB.
pub const TINY_OPLOG: [&str; 6] =
    ["--oplogSize", "8", "--syncdelay", "1", "--setParameter", "minOplogTruncationPoints=2"];

/// What a member says on each connection to another one, right at its beginning.
const MEMBERS_SAY: [&str; 2] = ["MongoDB Internal Client", "NetworkInterfaceTL"];

/// What allows `configureFailPoint`.
pub const FAIL_POINTS: [&str; 2] = ["--setParameter", "enableTestCommands=1"];

impl Cluster {
    /// Starts a replica set and waits for its primary.
    pub async fn start(members: usize, arguments: &[&str]) -> Self {
        Self::start_behind(vec![], (0..members).map(|_| free_port()).collect(), arguments).await
    }

    /// The same with a road to each member that can be closed for the others.
    pub async fn start_apart(members: usize) -> Self {
        let ports: Vec<u16> = (0..members).map(|_| free_port()).collect();
        let mut roads = vec![];
        for port in &ports {
            roads.push(Proxy::to(*port).await);
        }
        // What they say has to be plain text.
        Self::start_behind(roads, ports, &["--networkMessageCompressors", "disabled"]).await
    }

    async fn start_behind(roads: Vec<Proxy>, ports: Vec<u16>, arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("laterna").tempdir().expect("a folder");
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let members = ports.iter().map(|_| None).collect();
        let mut cluster = Self { folder, arguments, ports, members, roads };
        for member in 0..cluster.ports.len() {
            cluster.start_member(member);
        }
        let hosts = (0..cluster.ports.len()).zip(0..).map(|(member, id)| {
            // The first one is the likeliest primary, so that tests need not search for it long.
            doc! { "_id": id, "host": cluster.name(member), "priority": if id == 0 { 2 } else { 1 } }
        });
        let settings = doc! { "electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500 };
        let config = doc! { "_id": "rs0", "members": hosts.collect::<Vec<_>>(), "settings": settings };
        until("the replica set is initiated", async || {
            let admin = cluster.admin(0).await;
            let initiated = admin.run_command(doc! { "replSetInitiate": config.clone() }).await;
            // 23: it is already.
            initiated.is_ok()
                || initiated.is_err_and(|error| error.to_string().contains("AlreadyInitialized"))
        })
        .await;
        cluster.until_primary().await;
        cluster
    }

    /// The URI of the whole set.
    pub fn uri(&self) -> String {
        let hosts: Vec<_> = (0..self.ports.len()).map(|member| self.name(member)).collect();
        format!("mongodb://{}/?replicaSet=rs0", hosts.join(","))
    }

    /// By which the others, and all clients, know a member.
    fn name(&self, member: usize) -> String {
        format!("127.0.0.1:{}", self.roads.get(member).map_or(self.ports[member], |road| road.port))
    }

    /// Cuts a member off from the others, both ways. Clients reach it as before.
    pub fn isolate(&self, member: usize) {
        let name = self.name(member);
        for (number, road) in self.roads.iter().enumerate() {
            if number == member {
                road.mute(&MEMBERS_SAY);
            } else {
                // Its heartbeats say whose they are.
                road.mute(&[&name]);
            }
        }
    }

    /// All members reach each other again.
    pub fn reunite(&self) {
        for road in &self.roads {
            road.mute(&[]);
        }
    }

    pub fn port(&self, member: usize) -> u16 {
        self.ports[member]
    }

    pub fn start_member(&mut self, member: usize) {
        let (name, port) = (format!("m{member}"), self.ports[member].to_string());
        let (data, log) = (self.folder.path().join(&name), self.folder.path().join(name + ".log"));
        let mut arguments = vec!["exec-mongod", data.to_str().expect("the path is text"), &port];
        arguments.extend(self.arguments.iter().map(String::as_str));
        self.members[member] = Some(exec(&log, &arguments));
    }

    /// `kill -9`.
    pub fn kill_member(&mut self, member: usize) {
        kill(self.members[member].take());
    }

    /// Copies what all members store, at one moment, and goes on.
    pub async fn copy(&mut self) {
        self.while_down(copy).await;
    }

    /// Puts the copy of all members in its place, and goes on.
    pub async fn put_back(&mut self) {
        self.while_down(|data, copied| put_back(copied, data)).await;
    }

    /// Does something to what each member stores and its copy while none runs.
    async fn while_down(&mut self, act: impl Fn(&Path, &Path)) {
        for member in 0..self.ports.len() {
            self.kill_member(member);
        }
        for member in 0..self.ports.len() {
            let data = self.folder.path().join(format!("m{member}"));
            act(&data, &data.with_extension("copy"));
            self.start_member(member);
        }
        self.until_primary().await;
    }

    /// Sends a signal, e.g. STOP or CONT, to a member.
    pub fn signal(&self, member: usize, signal: &str) {
        let child = self.members[member].as_ref().expect("the member runs");
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status();
        assert!(sent.expect("kill runs").success(), "the member is gone");
    }

    /// Which member is the primary, if one says so.
    pub async fn primary(&self) -> Option<usize> {
        for member in 0..self.ports.len() {
            if self.members[member].is_none() {
                continue;
            }
            let hello = self.admin(member).await.run_command(doc! { "hello": 1 }).await;
            if hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or_default()) {
                return Some(member);
            }
        }
        None
    }

    pub async fn until_primary(&self) -> usize {
        until("the replica set has a primary", async || self.primary().await.is_some()).await;
        self.primary().await.expect("it had one a moment ago")
    }

    /// The database `admin` of one member, asked directly.
    pub async fn admin(&self, member: usize) -> Database {
        let uri = format!(
            "mongodb://127.0.0.1:{}/?directConnection=true&serverSelectionTimeoutMS=2000&connectTimeoutMS=2000",
            self.ports[member]
        );
        Client::with_uri_str(uri).await.expect("a URI").database("admin")
    }

    /// Arms a fail point on a member, e.g. `failCommand`.
    pub async fn fail(&self, member: usize, point: &str, mode: impl Into<bson::Bson>, data: Document) {
        let command = doc! { "configureFailPoint": point, "mode": mode.into(), "data": data };
        self.admin(member).await.run_command(command).await.expect("the fail point is armed");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            kill(member.take());
        }
    }
}
