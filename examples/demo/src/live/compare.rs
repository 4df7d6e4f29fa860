//! Whether both sides are equal, and equal to what an independent model makes of the outbox: it adds amounts up by itself.

use std::collections::BTreeMap;

use bank::infrastructure::readmodel::{AccountRow, Question};
use bson::{Document, doc};
use futures_util::TryStreamExt;
use serde::Serialize;

use super::Stage;

/// The balance and the last sequence of each open account.
type Books = BTreeMap<String, (i64, i64)>;

#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    pub equal: bool,
    pub accounts: usize,
    pub events: usize,
    pub differences: Vec<String>,
}

impl Stage {
    pub async fn compare(&self) -> anyhow::Result<Verdict> {
        let listed = self.bank.accounts().await?;
        let open = listed.into_iter().filter(|it| !it.account.is_closed);
        let mongodb: Books = open.map(|it| (it.id, (it.account.balance_cents, it.sequence))).collect();
        let question = Question { projection: "accounts", sql: AccountRow::ALL, values: &[] };
        let rows = self.model.ask(&question, &[], AccountRow::read).await?;
        let mysql: Books =
            rows.into_iter().map(|row| (row.id, (row.balance_cents, row.last_sequence))).collect();
        let outbox = self.outbox.events();
        let of_accounts = outbox.find(doc! { "aggregateType": "account" });
        let events: Vec<Document> =
            of_accounts.sort(doc! { "aggregateId": 1, "sequence": 1 }).await?.try_collect().await?;
        let model = add_up(&events);
        let ids: std::collections::BTreeSet<&String> =
            [&mongodb, &mysql, &model].into_iter().flat_map(Books::keys).collect();
        let differences: Vec<String> = ids
            .iter()
            .map(|id| (id, [mongodb.get(*id), mysql.get(*id), model.get(*id)]))
            .filter(|(_, sides)| sides[0] != sides[1] || sides[1] != sides[2])
            .map(|(id, [a, b, c])| format!("{id}: MongoDB {a:?}, MySQL {b:?}, by the events {c:?}"))
            .collect();
        Ok(Verdict {
            equal: differences.is_empty(),
            accounts: mongodb.len(),
            events: events.len(),
            differences,
        })
    }
}

/// What the events add up to; an amount that is no number moves nothing.
fn add_up(events: &[Document]) -> Books {
    let mut books = Books::new();
    for event in events {
        let text = |name: &str| event.get_str(name).unwrap_or_default();
        let sequence = event.get_i64("sequence").unwrap_or_default();
        let payload = event.get_document("payload").ok();
        let amount = payload.and_then(|payload| payload.get_i64("amountCents").ok()).unwrap_or_default();
        let book = books.entry(text("aggregateId").to_owned()).or_default();
        book.1 = sequence;
        match text("type") {
            "MoneyDeposited" => book.0 += amount,
            "MoneyWithdrawn" => book.0 -= amount,
            "AccountClosed" => {
                books.remove(text("aggregateId"));
            }
            _ => {}
        }
    }
    books
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_add_up_and_a_closed_account_is_gone() {
        let event = |id: &str, sequence: i64, kind: &str, payload: Document| {
            doc! { "aggregateId": id, "sequence": sequence, "type": kind, "payload": payload }
        };
        let events = [
            event("a", 1, "AccountOpened", doc! {}),
            event("a", 2, "MoneyDeposited", doc! { "amountCents": 500_i64 }),
            event("a", 3, "MoneyDeposited", doc! { "amountCents": "a lot" }),
            event("a", 4, "MoneyWithdrawn", doc! { "amountCents": 200_i64 }),
            event("b", 1, "AccountOpened", doc! {}),
            event("b", 2, "AccountClosed", doc! {}),
        ];
        assert_eq!(add_up(&events), Books::from([("a".to_owned(), (300, 4))]));
    }
}
