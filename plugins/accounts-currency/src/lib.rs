//! `accounts` with one more column, the currency: the next version of a projector, for the demo to deploy.

use account_events::{Happened, TYPES, amount};
use laterna_sdk::sql::{delete, insert, update};
use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, export_projector, statements};

struct Accounts;

export_projector!(Accounts);

const TABLE: &str = "CREATE TABLE accounts (
    account_id VARCHAR(64) NOT NULL,
    owner VARCHAR(200) NOT NULL,
    currency CHAR(3) NOT NULL,
    balance_cents BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    opened_at DATETIME(3) NOT NULL,
    updated_at DATETIME(3) NOT NULL,
    PRIMARY KEY (account_id)
)";

statements! {
    OPEN = insert("accounts")
        .set(&["account_id", "owner", "currency", "balance_cents", "last_sequence", "opened_at", "updated_at"]);
    MOVE_MONEY = update("accounts")
        .add(&["balance_cents"])
        .set(&["last_sequence", "updated_at"])
        .key(&["account_id"]);
    RENAME = update("accounts").set(&["owner", "last_sequence", "updated_at"]).key(&["account_id"]);
    CLOSE = delete("accounts").key(&["account_id"]);
}

impl Projector for Accounts {
    fn manifest() -> Manifest {
        Manifest::new("accounts", "0.2.0").events(TYPES).table("accounts", TABLE).statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let id = &event.aggregate_id;
        let sequence = event.require_sequence()?;
        let time = event.require_occurred_at()?;

        Ok(vec![match event.read()? {
            Happened::AccountOpened { owner, currency, balance_cents } => {
                let currency = currency.ok_or_else(|| Rejection::invalid("the account says no currency"))?;
                OPEN.with((id, owner, currency, balance_cents, sequence, time.clone(), time))
            }
            Happened::MoneyDeposited { amount_cents } => {
                MOVE_MONEY.with((amount(amount_cents)?, sequence, time, id))
            }
            Happened::MoneyWithdrawn { amount_cents } => {
                MOVE_MONEY.with((-amount(amount_cents)?, sequence, time, id))
            }
            Happened::AccountRenamed { owner } => RENAME.with((owner, sequence, time, id)),
            Happened::AccountClosed => CLOSE.with((id,)),
        }])
    }
}

#[cfg(test)]
mod tests {
    use laterna_sdk::serde_json::json;
    use laterna_sdk::{testing, timestamp};

    use super::*;

    #[test]
    fn a_row_says_the_currency() {
        let time = || timestamp("2026-01-31T12:00:00.000Z");
        let event = testing::event("AccountOpened", &json!({ "owner": "Ada", "currency": "EUR" }));
        let expect = OPEN.with(("1", "Ada", "EUR", 0, 1, time(), time()));
        assert_eq!(Accounts::project(&event), Ok(vec![expect]));
        let event = testing::event("AccountOpened", &json!({ "owner": "Ada" }));
        assert_eq!(Accounts::project(&event), Err(Rejection::invalid("the account says no currency")));
    }
}
