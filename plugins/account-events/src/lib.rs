//! The events of a bank account, as `examples/bank` writes them. The projectors here read them from this one place.

use laterna_sdk::Rejection;
use serde::Deserialize;

/// The event types that [`Happened`] knows.
pub const TYPES: [&str; 5] =
    ["AccountOpened", "MoneyDeposited", "MoneyWithdrawn", "AccountRenamed", "AccountClosed"];

/// What happens to an account: a variant for each event type, with its payload.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all_fields = "camelCase")]
pub enum Happened {
    /// The first event of an account.
    AccountOpened {
        /// Whose it is.
        owner: String,
        /// What it is kept in; accounts of early days do not say it.
        currency: Option<String>,
        /// What it begins with.
        #[serde(default)]
        balance_cents: i64,
    },
    /// Money came.
    MoneyDeposited {
        /// How much: more than 0.
        amount_cents: i64,
    },
    /// Money went.
    MoneyWithdrawn {
        /// How much: more than 0.
        amount_cents: i64,
    },
    /// It has another owner, or its owner another name.
    AccountRenamed {
        /// Whose it is from now on.
        owner: String,
    },
    /// The last event of an account.
    AccountClosed,
}

/// The amount, which has to be more than 0.
pub fn amount(cents: i64) -> Result<i64, Rejection> {
    if cents > 0 {
        Ok(cents)
    } else {
        Err(Rejection::invalid(format!("amountCents is {cents}, and should be more than 0")))
    }
}

#[cfg(test)]
mod tests {
    use laterna_sdk::serde_json::json;
    use laterna_sdk::testing;

    use super::*;

    #[test]
    fn each_type_that_is_listed_is_read() {
        let payload = json!({ "owner": "Ada", "currency": "EUR", "amountCents": 5, "balanceCents": 7 });
        for name in TYPES {
            let read = testing::event(name, &payload).read::<Happened>().map(|it| format!("{it:?}"));
            assert!(read.as_ref().is_ok_and(|it| it.starts_with(name)), "{name}: {read:?}");
        }
        assert!(testing::event("AccountFrozen", &payload).read::<Happened>().is_err());
    }

    #[test]
    fn an_account_of_early_days_says_neither_currency_nor_balance() {
        let read = testing::event("AccountOpened", &json!({ "owner": "Ada" })).read();
        let expect = Happened::AccountOpened { owner: "Ada".into(), currency: None, balance_cents: 0 };
        assert_eq!(read, Ok(expect));
    }
}
