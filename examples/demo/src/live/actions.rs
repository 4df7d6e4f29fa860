//! The buttons: each breaks something or mends it, and says what it did and what to watch for.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bank::application::Order;
use bank::domain::{Currency, Money};
use bson::{Document, Uuid, doc};
use outbox::{Cause, Event, Written};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Executor};

use super::Stage;
use super::config::{BROKEN, WIDER};
use super::hosts::{Body, LiveHost, State};
use super::tour::Line;

/// The account that is played with.
pub const ADA: &str = "ada";
pub const EVE: &str = "eve";

/// How long an operation of a host is waited for.
const DONE_WITHIN: Duration = Duration::from_mins(1);
/// How long a host that leads is looked for, e.g. while another one takes over.
const LEADER_WITHIN: Duration = Duration::from_secs(15);

const POLL: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Poison,
    Discard,
    SendTwice,
    DeliverTwice,
    AddColumn,
    DeployBroken,
    ChangeRow,
    Verify,
    KillHost,
    FreezeHost,
    BringBack,
    CutMysql,
    MendMysql,
    CutMongodb,
    MendMongodb,
}

/// A button, with its place on the page.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Button {
    #[serde(skip)]
    pub action: Action,
    pub name: &'static str,
    pub group: &'static str,
    pub label: &'static str,
    pub watch: &'static str,
    /// Whether it mends what the ones before it broke.
    pub heals: bool,
}

const fn breaks(
    action: Action,
    name: &'static str,
    group: &'static str,
    label: &'static str,
    watch: &'static str,
) -> Button {
    Button { action, name, group, label, watch, heals: false }
}

const fn heals(
    action: Action,
    name: &'static str,
    group: &'static str,
    label: &'static str,
    watch: &'static str,
) -> Button {
    Button { action, name, group, label, watch, heals: true }
}

/// All buttons, in the order in which they are shown.
pub const BUTTONS: [Button; 15] = [
    breaks(
        Action::Poison,
        "poison",
        "Events",
        "Poison an event",
        "The event becomes a dead letter. The next deposit to the same account waits behind it; every other account goes on.",
    ),
    heals(
        Action::Discard,
        "discard",
        "Events",
        "Discard the letter",
        "What was held behind the letter is applied, in order, and both sides are equal again.",
    ),
    breaks(
        Action::SendTwice,
        "send-twice",
        "Events",
        "Send a command twice",
        "One event, one row, one balance: the second answer is the first one again.",
    ),
    breaks(
        Action::DeliverTwice,
        "deliver-twice",
        "Events",
        "Deliver an event twice",
        "The balance stays as it is: the host knows the event's id, and does not apply it again.",
    ),
    breaks(
        Action::AddColumn,
        "add-column",
        "Projectors",
        "Deploy one with a new column",
        "The tables are built anew from history beside the live ones, and take their place at once. Queries never stop.",
    ),
    breaks(
        Action::DeployBroken,
        "deploy-broken",
        "Projectors",
        "Deploy a broken one",
        "The first deposit that it refuses, the one before it takes: the host goes back to that by itself, and no event is lost.",
    ),
    breaks(
        Action::ChangeRow,
        "change-row",
        "Rows",
        "Change a row by hand",
        "The sides differ, and the host does not notice by itself: nobody else is supposed to write these tables.",
    ),
    heals(
        Action::Verify,
        "verify",
        "Rows",
        "Verify and repair",
        "The tables are compared with what history makes of them, and the row is as it should be.",
    ),
    breaks(
        Action::KillHost,
        "kill-host",
        "Hosts",
        "Kill the host that leads",
        "MySQL does not know its session any more, so the other host takes over at once, from the last commit. Nothing is lost, nothing is doubled.",
    ),
    breaks(
        Action::FreezeHost,
        "freeze-host",
        "Hosts",
        "Freeze the host that leads",
        "Its lease runs out after 4 s, and the other host takes over. When the frozen one wakes up it may not write any more: its epoch is over.",
    ),
    heals(
        Action::BringBack,
        "bring-back",
        "Hosts",
        "Bring the hosts back",
        "The host that comes back stands by.",
    ),
    breaks(
        Action::CutMysql,
        "cut-mysql",
        "Databases",
        "Take MySQL away",
        "Commands go on, and their events wait in the outbox. Queries are refused, and say why.",
    ),
    heals(
        Action::MendMysql,
        "mend-mysql",
        "Databases",
        "Give MySQL back",
        "What waited is applied, in order.",
    ),
    breaks(
        Action::CutMongodb,
        "cut-mongodb",
        "Databases",
        "Take MongoDB away",
        "Queries go on: they need MySQL alone. Commands are refused, and say why.",
    ),
    heals(
        Action::MendMongodb,
        "mend-mongodb",
        "Databases",
        "Give MongoDB back",
        "The host resumes at the place that it has committed, and commands are taken again.",
    ),
];

impl Action {
    pub fn button(self) -> Button {
        let found = BUTTONS.iter().find(|button| button.action == self);
        *found.expect("each action has a button")
    }

    pub fn named(name: &str) -> Option<Self> {
        BUTTONS.iter().find(|button| button.name == name).map(|button| button.action)
    }
}

pub fn euros(cents: i64) -> Money {
    Money { cents, currency: Currency::Eur }
}

impl Stage {
    /// Presses a button.
    pub async fn press(&self, action: Action) -> Line {
        let button = action.button();
        let line = match self.perform(action).await {
            Ok(did) => Line::done(&did, button.watch),
            Err(error) => Line::failed(&format!("{}: {error:#}", button.label)),
        };
        self.tell(line.clone()).await;
        line
    }

    async fn perform(&self, action: Action) -> anyhow::Result<String> {
        match action {
            Action::Poison => self.poison().await,
            Action::Discard => self.discard().await,
            Action::SendTwice => self.send_twice().await,
            Action::DeliverTwice => self.deliver_twice().await,
            Action::AddColumn => {
                self.deploy("accounts", WIDER).await?;
                Ok("Deployed accounts-currency: the table `accounts` gets the column `currency`.".to_owned())
            }
            Action::DeployBroken => {
                self.deploy("statement", BROKEN).await?;
                self.deposit(100).await?;
                Ok("Deployed a `statement` that looks for a field that is not there, and deposited 1.00."
                    .to_owned())
            }
            Action::ChangeRow => self.change_row().await,
            Action::Verify => self.verify().await,
            Action::KillHost => {
                let host = self.leader().await?;
                host.kill()?;
                Ok(format!("Killed {} (kill -9).", host.name))
            }
            Action::FreezeHost => {
                let host = self.leader().await?;
                host.freeze(State::Frozen)?;
                Ok(format!("Froze {} (SIGSTOP): it holds its connections and does nothing.", host.name))
            }
            Action::BringBack => {
                for host in self.hosts.iter() {
                    if host.state() == State::Frozen {
                        host.freeze(State::Runs)?;
                    }
                    host.start()?;
                }
                Ok("Both hosts run.".to_owned())
            }
            Action::CutMysql | Action::MendMysql | Action::CutMongodb | Action::MendMongodb => {
                Ok(self.rewire(action))
            }
        }
    }

    fn rewire(&self, action: Action) -> String {
        let (wire, name) = match action {
            Action::CutMysql | Action::MendMysql => (&self.wires.mysql, "MySQL"),
            _ => (&self.wires.mongodb, "MongoDB"),
        };
        if matches!(action, Action::CutMysql | Action::CutMongodb) {
            wire.cut();
            format!(
                "Cut every connection to {name}, and refuse new ones: for the bank and for both hosts it is gone."
            )
        } else {
            wire.mend();
            format!("{name} can be reached again.")
        }
    }

    /// Deposits to Ada's account, and gives the event.
    pub async fn deposit(&self, cents: i64) -> anyhow::Result<Uuid> {
        let done = self.bank.order(&Cause::default(), ADA, Order::Deposit(euros(cents))).await?;
        self.flights.launch(&done.events);
        done.events.first().copied().context("a deposit is an event")
    }

    /// A deposit as a faulty version of the service would write it, and a good one behind it.
    async fn poison(&self) -> anyhow::Result<String> {
        let cause = Cause::default();
        let written = self.outbox.with_outbox(&cause, (), |mut transaction, ()| {
            Box::pin(async move {
                let account = transaction.change("accounts", ADA, None, doc! {}).await?;
                let payload =
                    doc! { "amountCents": "a lot", "balanceCents": account.get_i64("balanceCents")? };
                let event =
                    Event::new("MoneyDeposited", "account", ADA, account.get_i64("sequence")?, payload);
                Ok(((), vec![event]))
            })
        });
        self.flights.launch(&written.await?.events);
        self.deposit(100).await?;
        Ok("Wrote a deposit of \"a lot\" to Ada's account, and a deposit of 1.00 behind it.".to_owned())
    }

    async fn discard(&self) -> anyhow::Result<String> {
        let mut letters = 0;
        for projection in ["accounts", "statement"] {
            let host = self.leader().await?;
            let shown = host
                .api("GET", &format!("projections/{projection}/letters?heads_only=true"), Body::Nothing)
                .await?;
            let count = shown["letters"].as_array().map_or(0, Vec::len);
            if count > 0 {
                let body = json!({ "all": true, "boundary": shown["boundary"], "count": count, "why": "the demo wrote it" });
                let asked = host
                    .api("POST", &format!("projections/{projection}/letters/discard"), Body::Json(body))
                    .await?;
                self.done(host, &asked).await?;
                letters += count;
            }
        }
        Ok(format!("Discarded {letters} letter(s): one for each projection that could not apply the event."))
    }

    async fn send_twice(&self) -> anyhow::Result<String> {
        let cause =
            Cause { command: Some(format!("account/{ADA}/deposit/{}", Uuid::new())), traceparent: None };
        let deposit = || self.bank.order(&cause, ADA, Order::Deposit(euros(100)));
        let (first, second) = tokio::join!(deposit(), deposit());
        let answers = [first?, second?];
        self.flights.launch(&answers[0].events);
        let acted = answers.iter().filter(|Written { repeated, .. }| !repeated).count();
        if acted != 1 || answers[0].events != answers[1].events {
            bail!("a command that was sent twice acted {acted} times");
        }
        Ok("Sent a deposit of 1.00 twice at once, with one Idempotency-Key: it acted once.".to_owned())
    }

    /// Takes Ada's last good event out of the outbox and writes it again: the change stream delivers it twice.
    async fn deliver_twice(&self) -> anyhow::Result<String> {
        let last = doc! { "aggregateType": "account", "aggregateId": ADA, "type": "MoneyDeposited",
        "payload.amountCents": { "$type": "number" } };
        let found = self.outbox.events().find_one(last).sort(doc! { "sequence": -1 }).await?;
        let event = found.context("there was no deposit yet")?;
        let cause = Cause::default();
        let written = self.outbox.with_outbox(&cause, &event, |mut transaction, event| {
            Box::pin(async move {
                let mut outbox = transaction.collection::<Document>("outbox");
                outbox.delete_one(doc! { "_id": event.get("_id") }).await?;
                outbox.insert_one(&**event).await?;
                Ok(((), vec![]))
            })
        });
        written.await?;
        let sequence = event.get_i64("sequence")?;
        Ok(format!("The change stream delivers Ada's event {sequence} a second time, with the same id."))
    }

    async fn change_row(&self) -> anyhow::Result<String> {
        let mut mysql = MySqlConnection::connect(&self.mysql_admin_url).await?;
        let sql = format!(
            "UPDATE {}.accounts SET balance_cents = balance_cents + 100000 WHERE account_id = '{ADA}'",
            self.database
        );
        if mysql.execute(sql.as_str()).await?.rows_affected() != 1 {
            bail!("Ada's row is not there");
        }
        Ok("Gave Ada 1000.00 in MySQL, past everybody: UPDATE accounts SET balance_cents = …".to_owned())
    }

    async fn verify(&self) -> anyhow::Result<String> {
        let host = self.leader().await?;
        let asked = host
            .api("POST", "projections/accounts/verifications", Body::Json(json!({ "repair": true })))
            .await?;
        self.done(host, &asked).await?;
        Ok("Compared the tables of `accounts` with what history makes of them, and repaired them.".to_owned())
    }

    /// Uploads a component and deploys it.
    async fn deploy(&self, projection: &str, component: &str) -> anyhow::Result<()> {
        let path = self.components.join(component);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let host = self.leader().await?;
        let place = format!("projections/{projection}");
        let stored = host.api("POST", &format!("{place}/components"), Body::Component(bytes)).await?;
        let body = json!({ "digest": stored["digest"], "canary_seconds": 60 });
        let asked = host.api("POST", &format!("{place}/deployments"), Body::Json(body)).await?;
        self.done(host, &asked).await
    }

    /// Waits until an operation is over.
    async fn done(&self, host: &LiveHost, asked: &Value) -> anyhow::Result<()> {
        let since = Instant::now();
        loop {
            let told = host.api("GET", &format!("operations/{}", asked["id"]), Body::Nothing).await?;
            match told["state"].as_str() {
                Some("done") => return Ok(()),
                Some("failed") => bail!("the host says: {}", told["error"].as_str().unwrap_or("it failed")),
                _ if since.elapsed() > DONE_WITHIN => bail!("it waits: {}", told["waits"]),
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// The host that leads `accounts`.
    pub async fn leader(&self) -> anyhow::Result<&LiveHost> {
        let since = Instant::now();
        while since.elapsed() < LEADER_WITHIN {
            for host in self.hosts.iter() {
                if host.look().await.leads("accounts") {
                    return Ok(host);
                }
            }
            tokio::time::sleep(POLL).await;
        }
        bail!("no host leads just now: wait a moment, or bring the hosts back")
    }
}
