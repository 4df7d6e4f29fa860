//! Behaves well, and is easy to coalesce: one upsert of six columns for each event. For measuring.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

struct Balances;

laterna_sdk::export_projector!(Balances);

statements! {
    SET = "INSERT INTO balances (account_id, last_event, amount_cents, balance_cents, last_sequence, updated_at) \
           VALUES (?, ?, ?, ?, ?, ?) \
           ON DUPLICATE KEY UPDATE last_event = VALUES(last_event), amount_cents = VALUES(amount_cents), \
           balance_cents = VALUES(balance_cents), last_sequence = VALUES(last_sequence), \
           updated_at = VALUES(updated_at)";
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Moved {
    #[serde(default)]
    amount_cents: i64,
    #[serde(default)]
    balance_cents: i64,
}

impl Projector for Balances {
    fn manifest() -> Manifest {
        let balances = "CREATE TABLE balances (
            account_id VARCHAR(64) NOT NULL PRIMARY KEY,
            last_event VARCHAR(64) NOT NULL,
            amount_cents BIGINT NOT NULL,
            balance_cents BIGINT NOT NULL,
            last_sequence BIGINT NOT NULL,
            updated_at DATETIME(3) NOT NULL
        )";
        Manifest::new("balances", env!("CARGO_PKG_VERSION"))
            .events(["AccountOpened", "MoneyDeposited", "MoneyWithdrawn"])
            .table("balances", balances)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let Event { event_type, aggregate_id, .. } = event;
        let Moved { amount_cents, balance_cents } = event.payload()?;
        let (sequence, time) = (event.require_sequence()?, event.require_occurred_at()?);
        Ok(vec![SET.with((aggregate_id, event_type, amount_cents, balance_cents, sequence, time))])
    }
}
