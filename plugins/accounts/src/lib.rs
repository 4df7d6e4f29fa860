//! One row for each open bank account, from the events of `examples/bank`.

use account_events::{Happened, TYPES, amount};
use laterna_sdk::sql::{delete, insert, update};
use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, export_projector, statements};

struct Accounts;

export_projector!(Accounts);

const TABLE: &str = "CREATE TABLE accounts (
    account_id VARCHAR(64) NOT NULL,
    owner VARCHAR(200) NOT NULL,
    balance_cents BIGINT NOT NULL,
    last_sequence BIGINT NOT NULL,
    opened_at DATETIME(3) NOT NULL,
    updated_at DATETIME(3) NOT NULL,
    PRIMARY KEY (account_id)
)";

statements! {
    OPEN = insert("accounts")
        .set(&["account_id", "owner", "balance_cents", "last_sequence", "opened_at", "updated_at"]);
    MOVE_MONEY = update("accounts")
        .add(&["balance_cents"])
        .set(&["last_sequence", "updated_at"])
        .key(&["account_id"]);
    RENAME = update("accounts").set(&["owner", "last_sequence", "updated_at"]).key(&["account_id"]);
    CLOSE = delete("accounts").key(&["account_id"]);
}

impl Projector for Accounts {
    fn manifest() -> Manifest {
        Manifest::new("accounts", env!("CARGO_PKG_VERSION"))
            .events(TYPES)
            .table("accounts", TABLE)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let id = &event.aggregate_id;
        let sequence = event.require_sequence()?;
        let time = event.require_occurred_at()?;

        Ok(vec![match event.read()? {
            Happened::AccountOpened { owner, balance_cents, .. } => {
                OPEN.with((id, owner, balance_cents, sequence, time.clone(), time))
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
    use laterna_sdk::serde_json::{Value as Json, json};
    use laterna_sdk::{Value, testing, timestamp};

    use super::*;

    fn check(event_type: &str, payload: &Json, expect: Operation) {
        assert_eq!(Accounts::project(&testing::event(event_type, payload)), Ok(vec![expect]));
    }

    fn time() -> Value {
        timestamp("2026-01-31T12:00:00.000Z")
    }

    #[test]
    fn an_account_is_a_row_while_it_is_open() {
        check("AccountOpened", &json!({ "owner": "Ada" }), OPEN.with(("1", "Ada", 0, 1, time(), time())));
        check("AccountRenamed", &json!({ "owner": "Eve" }), RENAME.with(("Eve", 1, time(), "1")));
        check("AccountClosed", &json!({}), CLOSE.with(("1",)));
    }

    #[test]
    fn money_is_added_and_taken() {
        let payload = json!({ "amountCents": 250, "balanceCents": 1000 });
        check("MoneyDeposited", &payload, MOVE_MONEY.with((250, 1, time(), "1")));
        check("MoneyWithdrawn", &payload, MOVE_MONEY.with((-250, 1, time(), "1")));
    }

    #[test]
    fn an_amount_that_is_not_positive_is_refused() {
        let event = testing::event("MoneyDeposited", &json!({ "amountCents": -1 }));
        let expect = Rejection::invalid("amountCents is -1, and should be more than 0");
        assert_eq!(Accounts::project(&event), Err(expect));
    }
}
