//! Upserts of one small table. Its name is as long as that of each of its copies, which the benchmark makes by writing
//! another number into the component.

use laterna_sdk::sql::upsert;
use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, statements};

struct Fan;

laterna_sdk::export_projector!(Fan);

statements! {
    SET = upsert("fan_00").key(&["account_id"]).set(&["balance_cents", "last_sequence"]);
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Balance {
    #[serde(default)]
    balance_cents: i64,
}

impl Projector for Fan {
    fn manifest() -> Manifest {
        let table = "CREATE TABLE fan_00 (
            account_id VARCHAR(64) NOT NULL PRIMARY KEY,
            balance_cents BIGINT NOT NULL,
            last_sequence BIGINT NOT NULL
        )";
        Manifest::new("fan_00", env!("CARGO_PKG_VERSION"))
            .events(["AccountOpened", "MoneyDeposited", "MoneyWithdrawn"])
            .table("fan_00", table)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let Balance { balance_cents } = event.payload()?;
        Ok(vec![SET.with((&event.aggregate_id, balance_cents, event.require_sequence()?))])
    }
}
