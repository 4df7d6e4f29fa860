//! One event that cannot be applied, and what becomes of it: a dead letter, with the next event of its account held
//! behind it, while everything else goes on.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bank::{Change, Event};
use bson::{DateTime, Document, Uuid, doc};

use crate::host::{self, Host};
use crate::settings::Settings;
use crate::setup::Servers;
use crate::show;

const ACCOUNT: &str = "account-poison";

const PATIENCE: Duration = Duration::from_secs(30);

pub async fn demonstrate(settings: &Settings, servers: &Servers, host: &mut Host) -> anyhow::Result<()> {
    println!("\nNow an event that nobody can apply: a deposit of \"a lot\", and a good one behind it.");
    let outbox = servers.mongodb.database(&settings.mongodb_database()).collection::<Document>("outbox");
    let mut malformed = document(2, Change::Deposited { amount_cents: 1, balance_cents: 1 });
    malformed.insert("payload", doc! { "amountCents": "a lot" });
    let opened = document(1, Change::Opened { owner: "Nobody".to_owned(), balance_cents: 0 });
    let good = document(3, Change::Deposited { amount_cents: 500, balance_cents: 500 });
    outbox.insert_many([opened, malformed, good]).await.context("writing to the outbox")?;
    let since = Instant::now();
    loop {
        let status = host.status().await?.unwrap_or_default();
        if (status.parked, status.held) == (1, 1) {
            break;
        }
        if since.elapsed() > PATIENCE {
            bail!("no dead letter after {} s", PATIENCE.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for arguments in [&["dlq", "list", "accounts"][..], &["status"]] {
        show::command(settings, &arguments.join(" "));
        host::command(settings, arguments)?;
    }
    Ok(())
}

fn document(sequence: i64, change: Change) -> Document {
    let account_id = ACCOUNT.to_owned();
    Event { id: Uuid::new(), account_id, sequence, occurred_at: DateTime::now(), change }.document()
}
