//! How everything stands, looked at a few times a second: both databases, both hosts, and what is on its way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bank::application::{Bank, Listed};
use bank::infrastructure::readmodel::{AccountRow, Question, ReadModel, Unread};
use serde::Serialize;
use serde_json::Value;
use sqlx::Row;
use sqlx::mysql::MySqlRow;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::flights::{Flight, Flights};
use super::hosts::{LiveHost, Shown, State};
use super::places::Wires;
use super::tour::Line;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// How long MongoDB may take to say what it has.
const ANSWER_WITHIN: Duration = Duration::from_millis(800);

const COLUMNS: &str = "SELECT column_name, data_type FROM information_schema.columns \
    WHERE table_schema = DATABASE() AND table_name = 'accounts' ORDER BY ordinal_position";
const CURRENCIES: &str = "SELECT account_id, currency FROM accounts LIMIT 100";

/// One side: what it has, or why it does not say.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Side<T> {
    pub is_whole: bool,
    pub accounts: Option<Vec<T>>,
    pub why: Option<String>,
}

/// What the page is told.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    pub mongodb: Side<Listed>,
    pub mysql: Side<AccountRow>,
    pub hosts: Vec<Shown>,
    pub flights: Vec<Flight>,
    pub told: Vec<Line>,
    /// The columns of the table `accounts`, and the values of one that came later.
    pub columns: Vec<String>,
    pub currencies: BTreeMap<String, String>,
    /// Whether every account is the same on both sides, where both say.
    pub equal: Option<bool>,
}

#[derive(Debug)]
pub struct Watch {
    pub bank: Bank,
    pub model: ReadModel,
    pub hosts: Arc<Vec<LiveHost>>,
    pub wires: Arc<Wires>,
    pub flights: Flights,
    pub told: Arc<Mutex<Vec<Line>>>,
}

/// What was seen last of what is asked for.
#[derive(Debug, Clone)]
struct Seen {
    mongodb: Side<Listed>,
    mysql: Side<AccountRow>,
    hosts: Vec<Shown>,
    columns: Vec<String>,
    currencies: BTreeMap<String, String>,
}

impl Watch {
    /// Looks for as long as the demo lives, and publishes.
    pub async fn keep(self, standing: watch::Sender<Option<Arc<Standing>>>) {
        let mut seen = self.look().await;
        let mut pace = tokio::time::interval(LOOK);
        loop {
            let flights = self.flights.shown();
            let told = self.told.lock().await.clone();
            let Seen { mongodb, mysql, hosts, columns, currencies } = seen.clone();
            let equal = are_equal(&mongodb, &mysql);
            let now = Standing { mongodb, mysql, hosts, flights, told, columns, currencies, equal };
            standing.send_replace(Some(Arc::new(now)));
            tokio::select! {
                _ = pace.tick() => seen = self.look().await,
                () = self.flights.changed.notified() => {}
            }
        }
    }

    async fn look(&self) -> Seen {
        let hosts = async {
            let mut shown = vec![];
            for host in self.hosts.iter() {
                shown.push(host.look().await);
            }
            shown
        };
        let (mongodb, mysql, hosts, (columns, currencies)) =
            tokio::join!(self.mongodb(), self.mysql(), hosts, self.columns());
        Seen { mongodb, mysql, hosts, columns, currencies }
    }

    async fn columns(&self) -> (Vec<String>, BTreeMap<String, String>) {
        let asked = async |sql, read: fn(&MySqlRow) -> sqlx::Result<(String, String)>| {
            let question = Question { projection: "accounts", sql, values: &[] };
            self.model.ask(&question, &[], read).await.unwrap_or_default()
        };
        let pair = |row: &MySqlRow| Ok((row.try_get_unchecked(0)?, row.try_get_unchecked(1)?));
        let columns: Vec<String> = asked(COLUMNS, pair).await.into_iter().map(|(name, _)| name).collect();
        let has_currency = columns.iter().any(|column| column == "currency");
        let currencies = if has_currency { asked(CURRENCIES, pair).await } else { vec![] };
        (columns, currencies.into_iter().collect())
    }

    async fn mongodb(&self) -> Side<Listed> {
        let is_whole = self.wires.mongodb.is_whole();
        let (accounts, why) = match timeout(ANSWER_WITHIN, self.bank.accounts()).await {
            Ok(Ok(accounts)) => (Some(accounts), None),
            Ok(Err(error)) => (None, Some(error.to_string())),
            Err(_) => (None, Some("MongoDB does not answer".to_owned())),
        };
        Side { is_whole, accounts, why }
    }

    async fn mysql(&self) -> Side<AccountRow> {
        let is_whole = self.wires.mysql.is_whole();
        let question = Question { projection: "accounts", sql: AccountRow::ALL, values: &[] };
        let asked: Result<_, Unread> = self.model.ask(&question, &[], AccountRow::read).await;
        let (accounts, why) = match asked {
            Ok(accounts) => (Some(accounts), None),
            Err(unread) => (None, Some(unread.to_string())),
        };
        Side { is_whole, accounts, why }
    }
}

/// The accounts that are open in MongoDB are the rows of MySQL.
fn are_equal(mongodb: &Side<Listed>, mysql: &Side<AccountRow>) -> Option<bool> {
    let open = mongodb.accounts.as_ref()?.iter().filter(|listed| !listed.account.is_closed);
    let left = open.map(|it| (&it.id, &it.account.owner, it.account.balance_cents, it.sequence));
    let rows = mysql.accounts.as_ref()?.iter();
    let right = rows.map(|row| (&row.id, &row.owner, row.balance_cents, row.last_sequence));
    Some(left.eq(right))
}

impl Standing {
    /// The projection as the host says that leads it.
    pub fn projection(&self, name: &str) -> Option<&Value> {
        let runs = self.hosts.iter().filter_map(|host| host.projections.as_array()).flatten();
        let mut of_it = runs.filter(|it| it["projection"] == name);
        of_it.find(|it| it["phase"] != "standby" && it["phase"] != "starting")
    }

    /// Whether all projections follow the outbox and nothing is wrong with any.
    pub fn is_in_step(&self) -> bool {
        super::config::PROJECTIONS.iter().all(|projection| {
            self.projection(projection.name)
                .is_some_and(|it| it["phase"] == "streaming" && it["trouble"].is_null())
        })
    }
}

impl Shown {
    /// Whether it leads a projection.
    pub fn leads(&self, name: &str) -> bool {
        let all = self.projections.as_array().into_iter().flatten();
        let mut of_it = all.filter(|it| it["projection"] == name);
        of_it.any(|it| !matches!(it["phase"].as_str(), None | Some("standby" | "starting" | "stopped")))
    }

    pub fn runs(&self) -> bool {
        self.state() == State::Runs
    }
}
