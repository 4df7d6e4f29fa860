//! What the trial stands on: the servers, the accounts, the proxies, and what each host is told about them.
//!
//! A MongoDB driver that knows a whole replica set finds its members by itself, past any proxy. So host A is given one
//! member only, through a proxy and with `directConnection`: it feels the network. Host B is given the set: it feels
//! elections. Each reaches MySQL through a proxy of its own, and comes from an address of its own, so that MySQL can say
//! which of the two did something.

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Mutex as StateMutex;

use bank::Writer;
use bson::Document;
use mongodb::{Client, Collection};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::Mutex;

use super::fleet::Fleet;
use super::mysqld::Mysqld;
use super::schedule::{LEASE_MS, Road, Who};
use crate::guests;
use crate::support::cluster::Cluster;
use crate::support::proxy::Proxy;
use crate::support::world::free_port;
use crate::support::{Options, World};

/// The projections, which are called like their components.
pub const PROJECTIONS: [&str; 3] = ["recorder", "counter", "accounts"];

/// How many lanes each has.
pub const LANES: u32 = 4;

/// How long a host may take to stop.
pub const STOP_SECONDS: u64 = 8;

/// Which member of the replica set host A talks to: the likeliest primary, since nobody else can tell it whether history is
/// complete, and so it builds no generation.
const MEMBER_OF_A: usize = 0;

const ROWS: &str = "SELECT, INSERT, UPDATE, DELETE";

const TABLES: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES";

pub struct Ground {
    /// Dropped first: it needs the servers to tidy up.
    pub world: World,
    pub fleet: Fleet,
    pub password: String,
    mysql_a: Proxy,
    mysql_b: Proxy,
    mongodb_a: Proxy,
    pub mysqld: Mutex<Mysqld>,
    pub cluster: Mutex<Cluster>,
    /// An administrator's URL of mysqld.
    pub admin_url: String,
    pub has_disk: bool,
    /// What was deleted from the outbox.
    pub purged: StateMutex<Vec<Document>>,
    source: StateMutex<Source>,
}

/// The outbox, for the trial itself.
#[derive(Clone)]
pub struct Source {
    pub client: Client,
    pub writer: Writer,
    pub outbox: Collection<Document>,
}

impl Ground {
    pub async fn prepare(random: &mut StdRng) -> Self {
        let (mysqld, cluster) = tokio::join!(Mysqld::start(), Cluster::start(3, &[]));
        let options = Options { mongodb: cluster.uri(), mysql: mysqld.url(), ..Options::mysql() };
        let world = World::with(&[], options).await;
        let password = format!("never-log-me-{:016x}", random.random::<u64>());
        accounts(&world, &password).await;
        let (mysql_a, mysql_b) = (mysqld.proxy(address(Who::A)).await, mysqld.proxy(address(Who::B)).await);
        let mongodb_a = Proxy::to(cluster.port(MEMBER_OF_A)).await;
        let fleet = Fleet::new(Who::BOTH.map(|who| {
            let (mysql, mongodb) = match who {
                Who::A => {
                    (&mysql_a, format!("mongodb://127.0.0.1:{}/?directConnection=true", mongodb_a.port))
                }
                Who::B => (&mysql_b, cluster.uri()),
            };
            let port = free_port();
            (config(&world, who, port, mysql, &mongodb, &password), port)
        }));
        Self {
            admin_url: mysqld.url(),
            has_disk: mysqld.has_disk(),
            purged: StateMutex::default(),
            source: StateMutex::new(Source {
                client: world.client.clone(),
                writer: world.writer.clone(),
                outbox: world.outbox.clone(),
            }),
            world,
            fleet,
            password,
            mysql_a,
            mysql_b,
            mongodb_a,
            mysqld: Mutex::new(mysqld),
            cluster: Mutex::new(cluster),
        }
    }

    pub fn proxy(&self, road: Road) -> &Proxy {
        match road {
            Road::MySql(Who::A) => &self.mysql_a,
            Road::MySql(Who::B) => &self.mysql_b,
            Road::MongoDb => &self.mongodb_a,
        }
    }

    pub fn source(&self) -> Source {
        self.source.lock().expect("nobody panics with it").clone()
    }

    /// Connects the trial to MongoDB anew. A client that has seen a later election takes no primary of a set that was put back.
    pub async fn connect_anew(&self) {
        let client = Client::with_uri_str(&self.world.options.mongodb).await.expect("a MongoDB URI");
        let writer = Writer::new(&client, &self.world.name);
        let outbox = client.database(&self.world.name).collection("outbox");
        *self.source.lock().expect("nobody panics with it") = Source { client, writer, outbox };
    }

    /// A table of the control schema, with what it has of the live generations, to select from.
    pub fn live(&self, table: &str) -> String {
        live(&self.world.control(), table)
    }

    pub fn roads(&self) -> [&Proxy; 3] {
        [&self.mysql_a, &self.mysql_b, &self.mongodb_a]
    }
}

/// The same by the control schema's name.
pub fn live(control: &str, table: &str) -> String {
    format!(
        "(SELECT t.* FROM {control}.{table} t JOIN {control}.projection p \
         ON p.projection = t.projection AND p.live_generation = t.generation) AS {table}"
    )
}

/// Where a host's connections to MySQL come from.
pub fn address(who: Who) -> Ipv4Addr {
    match who {
        Who::A => Ipv4Addr::new(127, 0, 0, 2),
        Who::B => Ipv4Addr::new(127, 0, 0, 3),
    }
}

/// What a host calls itself, in its leases too.
pub fn id(who: Who) -> &'static str {
    match who {
        Who::A => "host-a",
        Who::B => "host-b",
    }
}

/// The hosts' account changes rows and no more, so that a server that is read-only is read-only for them.
async fn accounts(world: &World, password: &str) {
    let (read_model, control) = (world.name.clone(), world.control());
    let scratch = format!("{control}_scratch");
    for (account, privileges, schemas) in [
        ("chaos_app", ROWS, &[&read_model, &control][..]),
        ("chaos_ddl", TABLES, &[&read_model, &control, &scratch][..]),
    ] {
        world.run(&format!("CREATE USER '{account}'@'%' IDENTIFIED BY '{password}'")).await;
        for schema in schemas {
            world.run(&format!("GRANT {privileges} ON {schema}.* TO '{account}'@'%'")).await;
        }
        // Where generations stand that are not live.
        let places = format!("`{}\\_g%`", control.replace('_', "\\_"));
        world.run(&format!("GRANT {privileges} ON {places}.* TO '{account}'@'%'")).await;
    }
}

fn config(world: &World, who: Who, port: u16, mysql: &Proxy, mongodb: &str, password: &str) -> PathBuf {
    let url = |account| Mysqld::url_by(mysql, account, password, &world.name);
    let state = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("state");
    let mut text = format!(
        "[host]\nid = \"{}\"\nadmin = \"127.0.0.1:{port}\"\nhealth = \"127.0.0.1:0\"\nstate = \"{}\"\nlease_seconds = {}\n\
         stop_seconds = {STOP_SECONDS}\n[mongodb]\nuri = {mongodb:?}\ndatabase = {:?}\n\
         [mysql]\nurl = {:?}\nddl_url = {:?}\ncontrol_schema = {:?}\n",
        id(who),
        state.display(),
        LEASE_MS / 1000,
        world.name,
        url("chaos_app"),
        url("chaos_ddl"),
        world.control(),
    );
    for name in PROJECTIONS {
        let component = guests::path(name);
        write!(
            text,
            "[projection.{name}]\ncomponent = \"{}\"\nlanes = {LANES}\nbatch_max = 200\n",
            component.display()
        )
        .expect("text takes text");
    }
    let path = world.folder.path().join(format!("{}.toml", id(who)));
    std::fs::write(&path, text).expect("the configuration can be written");
    path
}
