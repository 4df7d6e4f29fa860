//! The tour: presses the buttons one after the other, waits until the damage shows and until it is healed, and ends with both
//! sides equal.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bson::Uuid;
use serde::Serialize;

use super::Stage;
use super::actions::{ADA, Action, EVE, euros};
use super::watch::Standing;
use bank::domain::Transfer;
use outbox::Cause;

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// What was done, or what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub text: String,
    /// What to watch for.
    pub watch: Option<String>,
    pub failed: bool,
}

impl Line {
    pub fn done(text: &str, watch: &str) -> Self {
        Self { text: text.to_owned(), watch: Some(watch.to_owned()), failed: false }
    }

    pub fn came(text: &str) -> Self {
        Self { text: text.to_owned(), watch: None, failed: false }
    }

    pub fn failed(text: &str) -> Self {
        Self { text: text.to_owned(), watch: None, failed: true }
    }
}

impl Stage {
    /// Plays all of it.
    pub async fn tour(&self) -> anyhow::Result<()> {
        let played = self.play().await;
        if let Err(error) = &played {
            self.tell(Line::failed(&format!("The tour ended early: {error:#}"))).await;
        }
        played
    }

    /// Waits until a host leads, and everything is in step.
    pub async fn until_ready(&self) -> anyhow::Result<()> {
        self.until("a host leads", Standing::is_in_step).await
    }

    async fn play(&self) -> anyhow::Result<()> {
        self.until_ready().await?;
        self.tell(Line::came("A deposit of 5.00, and a transfer of 1.20 from Ada to Eve.")).await;
        self.lands(self.deposit(500).await?).await?;
        let transfer = Transfer { from: ADA.to_owned(), to: EVE.to_owned(), money: euros(120) };
        let moved = self.bank.transfer(&Cause::default(), &Uuid::new().to_string(), transfer).await?;
        self.flights.launch(&moved.events);
        self.equal().await?;
        for action in [Action::SendTwice, Action::DeliverTwice] {
            self.pressed(action).await?;
            self.lands(self.deposit(1).await?).await?;
            self.equal().await?;
        }
        self.letters().await?;
        self.outages().await?;
        self.projectors().await?;
        self.hosts_die().await?;
        let verdict = self.compare().await?;
        ensure!(verdict.equal, "the sides differ: {}", verdict.differences.join("; "));
        let (accounts, events) = (verdict.accounts, verdict.events);
        let told = format!(
            "Both sides are equal: {accounts} accounts, in MongoDB, in MySQL, and by an independent sum of {events} events."
        );
        self.tell(Line::came(&told)).await;
        Ok(())
    }

    async fn letters(&self) -> anyhow::Result<()> {
        self.pressed(Action::Poison).await?;
        self.until("the event is a letter, and one waits behind it", |it| {
            it.projection("accounts").is_some_and(|it| it["parked"] == 1 && it["held"] == 1)
        })
        .await?;
        self.tell(Line::came("One letter is parked, and the deposit behind it is held.")).await;
        self.pressed(Action::Discard).await?;
        self.equal().await
    }

    async fn outages(&self) -> anyhow::Result<()> {
        self.pressed(Action::CutMysql).await?;
        self.until("queries are refused", |it| it.mysql.accounts.is_none()).await?;
        let waiting = self.deposit(200).await.context("commands should go on without MySQL")?;
        self.tell(Line::came(
            "Queries are refused. A deposit of 2.00 was taken all the same: it waits in the outbox.",
        ))
        .await;
        self.pressed(Action::MendMysql).await?;
        self.lands(waiting).await?;
        self.pressed(Action::CutMongodb).await?;
        self.until("commands are refused and queries go on", |it| {
            it.mongodb.accounts.is_none() && it.mysql.accounts.is_some()
        })
        .await?;
        self.tell(Line::came("Commands are refused, and queries are answered.")).await;
        self.pressed(Action::MendMongodb).await?;
        self.until("MongoDB answers", |it| it.mongodb.accounts.is_some()).await?;
        self.lands(self.deposit(300).await?).await
    }

    async fn projectors(&self) -> anyhow::Result<()> {
        self.pressed(Action::AddColumn).await?;
        self.until("the column is there", |it| it.columns.iter().any(|column| column == "currency")).await?;
        self.tell(Line::came("The table has the column, filled for all of history.")).await;
        self.pressed(Action::DeployBroken).await?;
        // What the broken one refuses can only be applied by the one before.
        let newest = self.flights.shown().into_iter().next().context("a deposit was on its way")?;
        self.lands(newest.uuid).await?;
        self.tell(Line::came("The host took the broken projector back by itself.")).await;
        self.equal().await?;
        self.pressed(Action::ChangeRow).await?;
        self.until("the sides differ", |it| it.equal == Some(false)).await?;
        self.pressed(Action::Verify).await?;
        self.equal().await
    }

    async fn hosts_die(&self) -> anyhow::Result<()> {
        for action in [Action::KillHost, Action::FreezeHost] {
            self.until("a host leads, and one stands by", |it| {
                it.is_in_step() && it.hosts.iter().all(|host| host.runs() && !host.projections.is_null())
            })
            .await?;
            self.pressed(action).await?;
            let since = Instant::now();
            self.lands(self.deposit(400).await?).await?;
            let took = since.elapsed().as_secs_f64();
            self.tell(Line::came(&format!(
                "The other host took over: the deposit was there after {took:.1} s."
            )))
            .await;
            self.pressed(Action::BringBack).await?;
        }
        self.equal().await
    }

    async fn pressed(&self, action: Action) -> anyhow::Result<()> {
        let line = self.press(action).await;
        if line.failed {
            bail!("{}", line.text);
        }
        Ok(())
    }

    /// Waits until the rows of an event can be read in all tables, and tells how long it took.
    async fn lands(&self, event: Uuid) -> anyhow::Result<()> {
        self.until("the event is in all tables", |_| {
            self.flights.find(&event).is_none_or(|it| it.has_landed())
        })
        .await?;
        if let Some(flight) = self.flights.find(&event) {
            let times: Vec<String> = flight
                .stations
                .iter()
                .filter_map(|(name, station)| Some(format!("{name} {} ms", station.ms?)))
                .collect();
            self.tell(Line::came(&format!("It can be read in MySQL: {}.", times.join(", ")))).await;
        }
        Ok(())
    }

    async fn equal(&self) -> anyhow::Result<()> {
        self.until("both sides are equal", |it| it.equal == Some(true)).await
    }

    async fn until(&self, what: &str, holds: impl Fn(&Standing) -> bool) -> anyhow::Result<()> {
        let since = Instant::now();
        loop {
            let standing = self.standing.borrow().clone();
            if let Some(standing) = standing
                && holds(&standing)
            {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                bail!("waited {} s in vain until {what}", PATIENCE.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
