//! Lets the bank live: opens accounts, moves money, closes accounts, each in one transaction with its event.
//!
//!     bank [EVENTS] [PER_SECOND]
//!
//! `MONGODB_URI` and `MONGODB_DATABASE` say where; without EVENTS it goes on until it is stopped.

use std::env;
use std::time::Duration;

use anyhow::Context;
use bank::{Generator, Writer};
use bson::DateTime;
use mongodb::Client;
use tokio::time::{MissedTickBehavior, interval};

const URI: &str = "mongodb://127.0.0.1:27017/?replicaSet=rs0";
const ACCOUNTS: usize = 100;
const PER_SECOND: u32 = 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = env::args().skip(1);
    let events: usize = arguments.next().map_or(Ok(usize::MAX), |text| text.parse()).context("EVENTS")?;
    let per_second: u32 =
        arguments.next().map_or(Ok(PER_SECOND), |text| text.parse()).context("PER_SECOND")?;
    let uri = env::var("MONGODB_URI").unwrap_or_else(|_| URI.to_owned());
    let database = env::var("MONGODB_DATABASE").unwrap_or_else(|_| "bank".to_owned());

    let client = Client::with_uri_str(&uri).await.with_context(|| format!("MongoDB at {uri}"))?;
    let writer = Writer::new(&client, &database);
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
