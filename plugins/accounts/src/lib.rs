//! One row for each open bank account, from the events of `examples/bank`.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, export_projector, statements};
use serde::Deserialize;

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
    OPEN = "INSERT INTO accounts (account_id, owner, balance_cents, last_sequence, opened_at, updated_at) \
            VALUES (?, ?, ?, ?, ?, ?)";
    MOVE_MONEY = "UPDATE accounts SET balance_cents = balance_cents + ?, last_sequence = ?, updated_at = ? \
                  WHERE account_id = ?";
    RENAME = "UPDATE accounts SET owner = ?, last_sequence = ?, updated_at = ? WHERE account_id = ?";
    CLOSE = "DELETE FROM accounts WHERE account_id = ?";
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Opened {
    owner: String,
    #[serde(default)]
    balance_cents: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MoneyMoved {
    amount_cents: i64,
}

#[derive(Deserialize)]
struct Renamed {
    owner: String,
}

impl Projector for Accounts {
    fn manifest() -> Manifest {
        Manifest::new("accounts", env!("CARGO_PKG_VERSION"))
            .events(["AccountOpened", "MoneyDeposited", "MoneyWithdrawn", "AccountRenamed", "AccountClosed"])
            .table("accounts", TABLE)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let id = &event.aggregate_id;
        let sequence = event.require_sequence()?;
        let time = event.require_occurred_at()?;

        let operation = match event.event_type.as_str() {
            "AccountOpened" => {
                let Opened { owner, balance_cents } = event.payload()?;
                OPEN.with((id, owner, balance_cents, sequence, time.clone(), time))
            }
            "MoneyDeposited" => MOVE_MONEY.with((amount(event)?, sequence, time, id)),
            "MoneyWithdrawn" => MOVE_MONEY.with((-amount(event)?, sequence, time, id)),
            "AccountRenamed" => {
                let Renamed { owner } = event.payload()?;
                RENAME.with((owner, sequence, time, id))
            }
            "AccountClosed" => CLOSE.with((id,)),
            _ => return Err(event.unsupported()),
        };
        Ok(vec![operation])
    }
}

fn amount(event: &Event) -> Result<i64, Rejection> {
    let MoneyMoved { amount_cents } = event.payload()?;
    if amount_cents > 0 {
        Ok(amount_cents)
    } else {
        Err(Rejection::invalid(format!("amountCents is {amount_cents}, and should be more than 0")))
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
