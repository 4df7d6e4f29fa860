//! The demo on a page: the bank with both of its sides, two hosts between them, and buttons that break it. It starts everything
//! but the two servers, which it reaches by wires of its own, and ends what it started.

mod actions;
mod compare;
mod config;
mod flights;
mod hosts;
mod page;
mod places;
mod tour;
mod watch;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bank::application::{Bank, Order};
use bank::domain::Currency;
use bank::infrastructure::readmodel::ReadModel;
use mongodb::options::ClientOptions;
use outbox::{Cause, Outbox};
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Executor};
use tokio::net::{TcpListener, lookup_host};
use tokio::sync::{Mutex, watch as channel};
use tokio::task::JoinSet;

use crate::settings::Settings;
use crate::setup::Servers;
use actions::{ADA, EVE};
use config::HostConfig;
use flights::Flights;
use hosts::LiveHost;
use places::Wires;
use tour::Line;
use watch::{Standing, Watch};
use wire::{Server, Wire};

pub use compare::Verdict;

/// How long MongoDB is looked for before a command is refused.
const SELECTION_WITHIN: Duration = Duration::from_secs(1);

/// How many lines the page has of what was done.
const TOLD_MAX: usize = 60;

/// What the demo needs from around it.
#[derive(Debug)]
pub struct Parts {
    /// The program `laterna`.
    pub program: PathBuf,
    /// The folder of the components.
    pub components: PathBuf,
    /// Where compiled components are kept.
    pub state: PathBuf,
    /// Where the page is; 0: at any port that is free.
    pub port: u16,
    /// Prints each line that is told.
    pub prints: bool,
}

/// What the buttons work on.
#[derive(Debug)]
pub struct Stage {
    bank: Bank,
    outbox: Outbox,
    model: ReadModel,
    hosts: Arc<Vec<LiveHost>>,
    wires: Arc<Wires>,
    flights: Flights,
    told: Arc<Mutex<Vec<Line>>>,
    standing: channel::Receiver<Option<Arc<Standing>>>,
    components: PathBuf,
    mysql_admin_url: String,
    database: String,
    prints: bool,
    /// One tour at a time.
    touring: Mutex<()>,
}

/// All of it while it runs.
#[derive(Debug)]
pub struct Live {
    pub stage: Arc<Stage>,
    /// Where the page is, then where the hosts' pages are.
    pub ports: [u16; 3],
    /// They end with it.
    _doors: Vec<Wire>,
    _tasks: JoinSet<()>,
}

impl Stage {
    async fn tell(&self, line: Line) {
        if self.prints {
            let mark = if line.failed {
                "!!"
            } else if line.watch.is_some() {
                "=>"
            } else {
                "  "
            };
            println!("{mark} {}", line.text);
            if let Some(watch) = &line.watch {
                println!("     {watch}");
            }
        }
        let mut told = self.told.lock().await;
        told.push(line);
        let gone = told.len().saturating_sub(TOLD_MAX);
        told.drain(..gone);
        drop(told);
        self.flights.changed.notify_one();
    }

    pub async fn play_the_tour(&self) -> anyhow::Result<()> {
        let _one = self.touring.lock().await;
        self.tour().await
    }

    pub async fn verdict(&self) -> anyhow::Result<Verdict> {
        self.compare().await
    }

    /// Whether both hosts do what they should, and all projections follow.
    pub fn is_ready(&self) -> bool {
        let standing = self.standing.borrow();
        standing.as_ref().is_some_and(|it| it.is_in_step() && it.mysql.accounts.is_some())
    }
}

impl Live {
    /// Starts it on servers that were made ready.
    pub async fn start(settings: &Settings, servers: &Servers, parts: Parts) -> anyhow::Result<Self> {
        let wires = Wires::lay(&settings.mongodb_uri, &settings.mysql_admin_url).await?;
        let database = &settings.database;
        let [app, ddl, reader] = [settings.app_user(), settings.ddl_user(), settings.reader_user()];
        let url = |user: &str| wires.mysql_url(user, &servers.password, database);
        let mut options = ClientOptions::parse(&wires.mongodb_uri).await.context("the URI of MongoDB")?;
        options.server_selection_timeout = Some(SELECTION_WITHIN);
        let outbox = Outbox::new(options, &settings.mongodb_database())?;
        let bank = Bank::new(outbox.clone());
        bank.prepare().await.context("preparing the bank's collections")?;
        let model = ReadModel::new(&url(&reader), &settings.control_schema())?;
        let hosts = [("one", 1), ("two", 2)].map(|(name, number)| {
            let port = free_port(parts.port, number)?;
            let config = HostConfig {
                name,
                port,
                mongodb_uri: &wires.mongodb_uri,
                mongodb_database: &settings.mongodb_database(),
                app_url: &url(&app),
                ddl_url: &url(&ddl),
                control_schema: &settings.control_schema(),
                components: &parts.components,
                state: &parts.state,
            };
            anyhow::Ok(LiveHost::new(name, port, parts.program.clone(), config.write(&settings.folder)?))
        });
        let hosts = Arc::new(hosts.into_iter().collect::<anyhow::Result<Vec<_>>>()?);
        let flights = Flights::new(outbox.events(), model.clone());
        let (publish, standing) = channel::channel(None);
        let (wires, told) = (Arc::new(wires), Arc::new(Mutex::new(vec![])));
        let watch = Watch {
            bank: bank.clone(),
            model: model.clone(),
            hosts: hosts.clone(),
            wires: wires.clone(),
            flights: flights.clone(),
            told: told.clone(),
        };
        // The first one leads, because nobody else is there yet.
        hosts[0].start()?;
        let stage = Arc::new(Stage {
            bank,
            outbox,
            model,
            hosts,
            wires,
            flights,
            told,
            standing,
            components: parts.components,
            mysql_admin_url: settings.mysql_admin_url.clone(),
            database: database.clone(),
            prints: parts.prints,
            touring: Mutex::default(),
        });
        let listener =
            TcpListener::bind(("127.0.0.1", parts.port)).await.context("listening for the page")?;
        let served_at = [listener.local_addr()?.port(), stage.hosts[0].port, stage.hosts[1].port];
        let doors = open_doors(settings.also_at.as_deref(), &served_at).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(page::serve(listener, stage.clone()));
        stage.open_accounts().await?;
        wait_for_tables(settings, &stage).await?;
        tasks.spawn(stage.flights.clone().follow());
        tasks.spawn(watch.keep(publish));
        stage.until_ready().await?;
        stage.hosts[1].start()?;
        Ok(Self { stage, ports: served_at, _doors: doors, _tasks: tasks })
    }
}

impl Drop for Live {
    /// A browser that still looks keeps no host alive.
    fn drop(&mut self) {
        for host in self.stage.hosts.iter() {
            let _ = host.kill();
        }
    }
}

impl Stage {
    async fn open_accounts(&self) -> anyhow::Result<()> {
        for (id, owner) in [(ADA, "Ada Lovelace"), (EVE, "Eve Nguyễn"), ("zoe", "Zoë Müller")] {
            let open =
                Order::Open { owner: owner.to_owned(), currency: Currency::Eur, overdraft_cents: 5_000 };
            self.bank.order(&Cause::default(), id, open).await.context("opening an account")?;
            let first = Order::Deposit(actions::euros(10_000));
            self.bank.order(&Cause::default(), id, first).await.context("the first deposit")?;
        }
        Ok(())
    }
}

/// Lets the bank's account read what it has to, once the hosts have made it. examples/deploy/mysql/reader.sql
async fn wait_for_tables(settings: &Settings, stage: &Stage) -> anyhow::Result<()> {
    const PATIENCE: Duration = Duration::from_mins(3);
    let mut mysql = MySqlConnection::connect(&settings.mysql_admin_url).await?;
    let (control, reader) = (settings.control_schema(), settings.reader_user());
    let since = std::time::Instant::now();
    for (table, columns) in [
        ("dedupe", ""),
        ("checkpoint", ""),
        ("dead_letter", "(id, projection, generation, event_key, state)"),
    ] {
        let grant = format!("GRANT SELECT {columns} ON `{control}`.`{table}` TO '{reader}'@'%'");
        while let Err(error) = mysql.execute(grant.as_str()).await {
            let first = &stage.hosts[0];
            if first.state() == hosts::State::Dead {
                bail!("the host {} ended by itself:\n{}", first.name, first.last_words());
            }
            if since.elapsed() > PATIENCE {
                return Err(error).context("the hosts do not make their tables");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

/// The ports behind that of the page, where they are free, so that somebody can say beforehand where the hosts are.
fn free_port(page: u16, number: u16) -> anyhow::Result<u16> {
    let wanted = if page == 0 { 0 } else { page.saturating_add(number) };
    let bind = |port| std::net::TcpListener::bind(("127.0.0.1", port));
    let bound = bind(wanted).or_else(|_| bind(0)).and_then(|listener| listener.local_addr());
    Ok(bound.context("there is no free port on the loopback")?.port())
}

/// Ways to the pages from another address of this machine: all of them listen on the loopback alone.
async fn open_doors(name: Option<&str>, ports: &[u16]) -> anyhow::Result<Vec<Wire>> {
    let mut doors = vec![];
    let Some(name) = name else { return Ok(doors) };
    for port in ports {
        let found = lookup_host((name, *port)).await.with_context(|| format!("DEMO_ALSO_AT is {name:?}"))?;
        let address = found.into_iter().next().with_context(|| format!("{name:?} has no address"))?;
        doors.push(Wire::from(address, Server::Tcp(format!("127.0.0.1:{port}"))).await?);
    }
    Ok(doors)
}
