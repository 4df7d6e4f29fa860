//! The bank's rules: what an account takes, and how a transfer goes on. No I/O, no clock, no database.

pub mod account;
pub mod transfer;

pub use account::Account;
pub use transfer::{Process, Step, Transfer, TransferEvent};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    Chf,
    Eur,
    Usd,
}

/// An amount that somebody wants to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    pub cents: i64,
    pub currency: Currency,
}

/// A rule that says no. It is told to the customer, and nothing is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("an amount is more than 0, and this is {0}")]
    NotPositive(i64),
    #[error("the account is in {account:?}, and the amount in {given:?}")]
    Currency { account: Currency, given: Currency },
    #[error("{wanted} is more than the {available} that the account can give")]
    Overdrawn { wanted: i64, available: i64 },
    #[error("the account cannot hold so much")]
    TooMuch,
    #[error("an account has an owner, and a limit of 0 or more")]
    Incomplete,
    #[error("the account is closed")]
    Closed,
    #[error("the account still holds {0}")]
    NotEmpty(i64),
    #[error("a transfer of the account is on its way")]
    InTransit,
    #[error("there is no account `{0}`")]
    Unknown(String),
    #[error("a transfer goes to another account")]
    SameAccount,
}
