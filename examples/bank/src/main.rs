//! Lets the bank live: opens accounts, moves money, closes accounts, each in one transaction with its event. Or serves
//! its commands and queries over HTTP.
//!
//!     bank [EVENTS] [PER_SECOND]
//!     bank serve [ADDRESS]
//!
//! `MONGODB_URI` and `MONGODB_DATABASE` say where; without EVENTS it goes on until it is stopped. With `MYSQL_URL`, the read
//! model, `serve` answers queries as well; `CONTROL_SCHEMA` names Laterna's own tables (`laterna`).

use std::env;
use std::time::Duration;

use anyhow::Context;
use bank::application::Bank;
use bank::infrastructure::http;
use bank::infrastructure::readmodel::ReadModel;
use bank::{Generator, Writer};
use bson::DateTime;
use mongodb::Client;
use mongodb::options::ClientOptions;
use outbox::Outbox;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

const URI: &str = "mongodb://127.0.0.1:27017/?replicaSet=rs0";
const ADDRESS: &str = "127.0.0.1:8080";
const ACCOUNTS: usize = 100;
const PER_SECOND: u32 = 20;

/// How long MongoDB is looked for before a command is refused.
const SELECTION_WITHIN: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let uri = env::var("MONGODB_URI").unwrap_or_else(|_| URI.to_owned());
    let database = env::var("MONGODB_DATABASE").unwrap_or_else(|_| "bank".to_owned());
    let mut arguments = env::args().skip(1).peekable();
    if arguments.next_if(|argument| argument == "serve").is_some() {
        return serve(&uri, &database, arguments.next().as_deref().unwrap_or(ADDRESS)).await;
    }
    let events: usize = arguments.next().map_or(Ok(usize::MAX), |text| text.parse()).context("EVENTS")?;
    let per_second: u32 =
        arguments.next().map_or(Ok(PER_SECOND), |text| text.parse()).context("PER_SECOND")?;
    live(&uri, &database, events, per_second).await
}

async fn serve(uri: &str, database: &str, address: &str) -> anyhow::Result<()> {
    let mut options = ClientOptions::parse(uri).await?;
    options.server_selection_timeout.get_or_insert(SELECTION_WITHIN);
    let bank = Bank::new(Outbox::new(options, database)?);
    bank.prepare().await.context("preparing the collections needs a MongoDB replica set")?;
    let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
    println!("http://{}", listener.local_addr()?);
    let control = env::var("CONTROL_SCHEMA").unwrap_or_else(|_| "laterna".to_owned());
    let model = env::var("MYSQL_URL").ok().map(|url| ReadModel::new(&url, &control));
    let model = model.transpose().context("MYSQL_URL is not like mysql://user:password@host:3306/bank")?;
    http::serve(listener, bank, model).await.context("serving")
}

async fn live(uri: &str, database: &str, events: usize, per_second: u32) -> anyhow::Result<()> {
    let client = Client::with_uri_str(uri).await.with_context(|| format!("MongoDB at {uri}"))?;
    let writer = Writer::new(&client, database);
    writer.prepare().await.context("preparing the collections needs a MongoDB replica set")?;

    // Another seed in each run, so that the accounts are new.
    let seed = u64::try_from(DateTime::now().timestamp_millis()).context("the clock is before 1970")?;
    let mut pace = interval(Duration::from_secs(1) / per_second.max(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);

    for (count, mut event) in Generator::new(seed, ACCOUNTS).take(events).enumerate() {
        pace.tick().await;
        event.occurred_at = DateTime::now();
        let name = event.change.event_type();
        writer.write(&[event]).await.with_context(|| format!("writing event {count}, {name}"))?;
        if (count + 1).is_multiple_of(100) {
            println!("{} events", count + 1);
        }
    }
    Ok(())
}
