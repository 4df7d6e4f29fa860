//! Reads all sides whole and compares them: what MongoDB has, what MySQL has, and what an independent model says.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use bank::{Model, Row};
use bson::{DateTime, Document, doc};
use futures_util::TryStreamExt;
use mongodb::Collection;
use sqlx::Row as _;
use sqlx::mysql::MySqlRow;
use sqlx::types::time::PrimitiveDateTime;

use crate::settings::Settings;
use crate::setup::Servers;

/// The accounts of one side, by their ids.
pub type Accounts = BTreeMap<String, Row>;

pub struct Sides {
    /// The entities that the bank itself works with.
    pub mongodb: Accounts,
    /// The read model.
    pub mysql: Accounts,
    /// What the events add up to.
    pub model: Accounts,
    /// How many events of each type the outbox holds.
    pub outbox: BTreeMap<String, i64>,
}

/// An account that is not the same everywhere.
pub struct Difference<'a> {
    pub account: &'a str,
    pub mongodb: Option<&'a Row>,
    pub mysql: Option<&'a Row>,
    pub model: Option<&'a Row>,
}

impl Sides {
    pub async fn read(settings: &Settings, servers: &Servers, model: Model) -> anyhow::Result<Self> {
        let database = servers.mongodb.database(&settings.mongodb_database());
        Ok(Self {
            mongodb: read_mongodb(&database.collection("accounts")).await.context("reading MongoDB")?,
            mysql: read_mysql(servers).await.context("reading MySQL")?,
            model: model.rows,
            outbox: count_by_type(&database.collection("outbox")).await.context("counting the outbox")?,
        })
    }

    /// How many events the outbox holds.
    pub fn events(&self) -> i64 {
        self.outbox.values().sum()
    }

    pub fn differences(&self) -> Vec<Difference<'_>> {
        let accounts: BTreeSet<&String> =
            self.mongodb.keys().chain(self.mysql.keys()).chain(self.model.keys()).collect();
        let difference = |account: &'_ String| {
            let [mongodb, mysql, model] =
                [&self.mongodb, &self.mysql, &self.model].map(|side| side.get(account));
            (mongodb != model || mysql != model).then_some((mongodb, mysql, model))
        };
        accounts
            .into_iter()
            .filter_map(|account| {
                let (mongodb, mysql, model) = difference(account)?;
                Some(Difference { account, mongodb, mysql, model })
            })
            .collect()
    }
}

async fn count_by_type(outbox: &Collection<Document>) -> anyhow::Result<BTreeMap<String, i64>> {
    let group = doc! { "$group": { "_id": "$type", "count": { "$sum": 1_i64 } } };
    let counts = outbox.aggregate([group]).await?.map_err(anyhow::Error::from);
    counts
        .and_then(async |count| Ok((count.get_str("_id")?.to_owned(), count.get_i64("count")?)))
        .try_collect()
        .await
}

async fn read_mongodb(accounts: &Collection<Document>) -> anyhow::Result<Accounts> {
    let read = accounts.find(doc! {}).await?.map_err(anyhow::Error::from);
    read.and_then(async |document| {
        let row = Row {
            owner: document.get_str("owner")?.to_owned(),
            balance_cents: document.get_i64("balanceCents")?,
            last_sequence: document.get_i64("sequence")?,
            opened_at: *document.get_datetime("openedAt")?,
            updated_at: *document.get_datetime("updatedAt")?,
        };
        Ok((document.get_str("_id")?.to_owned(), row))
    })
    .try_collect()
    .await
}

async fn read_mysql(servers: &Servers) -> anyhow::Result<Accounts> {
    let mut connection = servers.reader().await?;
    let sql = "SELECT account_id, owner, balance_cents, last_sequence, opened_at, updated_at FROM accounts";
    let rows = sqlx::query(sql).fetch_all(&mut connection).await?;
    let account = |row: &MySqlRow| {
        let account = Row {
            owner: text(row, "owner")?,
            balance_cents: row.try_get("balance_cents")?,
            last_sequence: row.try_get("last_sequence")?,
            opened_at: moment(row, "opened_at")?,
            updated_at: moment(row, "updated_at")?,
        };
        Ok((text(row, "account_id")?, account))
    };
    rows.iter().map(account).collect()
}

/// Unchecked, because sqlx takes text that is compared byte by byte for bytes.
fn text(row: &MySqlRow, column: &str) -> anyhow::Result<String> {
    Ok(row.try_get_unchecked(column)?)
}

/// The read model's times are UTC, in milliseconds as in MongoDB.
fn moment(row: &MySqlRow, column: &str) -> anyhow::Result<DateTime> {
    let time: PrimitiveDateTime = row.try_get(column)?;
    let milliseconds = time.assume_utc().unix_timestamp_nanos() / 1_000_000;
    Ok(DateTime::from_millis(i64::try_from(milliseconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(rows: &[(&str, i64)]) -> Accounts {
        let row = |balance_cents| Row {
            owner: "Ada".into(),
            balance_cents,
            last_sequence: 1,
            opened_at: DateTime::from_millis(0),
            updated_at: DateTime::from_millis(0),
        };
        rows.iter().map(|(account, balance)| ((*account).to_owned(), row(*balance))).collect()
    }

    fn check(mongodb: &[(&str, i64)], mysql: &[(&str, i64)], model: &[(&str, i64)], expect: &[&str]) {
        let sides =
            Sides { mongodb: side(mongodb), mysql: side(mysql), model: side(model), outbox: BTreeMap::new() };
        let found: Vec<&str> = sides.differences().iter().map(|difference| difference.account).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn an_account_has_to_be_the_same_on_all_sides() {
        let all = [("a", 1), ("b", 2)];
        check(&all, &all, &all, &[]);
        check(&all, &all[..1], &all, &["b"]);
        check(&all[..1], &all, &all, &["b"]);
        check(&all, &all, &all[..1], &["b"]);
        check(&all, &[("a", 7), ("b", 2)], &all, &["a"]);
        check(&all, &[("a", 1), ("b", 2), ("c", 3)], &all, &["c"]);
    }
}
