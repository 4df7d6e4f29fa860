//! The bank's commands. Each decides by the domain's rules within one transaction, acts once, and says by which events
//! it can be waited for.

mod transfers;

use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::IndexModel;
use mongodb::options::IndexOptions;
use outbox::{Cause, Error, Event, Outbox, Result, Transaction, Written};
use serde::{Deserialize, Serialize};

use crate::Change;
use crate::domain::{Account, Currency, Money, Refusal};
use crate::infrastructure::documents::{ACCOUNTS, OF_TRANSFER, ON_THEIR_WAY, add, is_in_transit, load, save};
pub use transfers::{Advance, Transferred};

/// How many accounts a list has.
const LISTED_MAX: i64 = 100;

#[derive(Debug, Clone)]
pub struct Bank {
    outbox: Outbox,
}

/// What is done with one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    Open { owner: String, currency: Currency, overdraft_cents: i64 },
    Deposit(Money),
    Withdraw(Money),
    Close,
}

/// An order and what it made of the account: what the same command is answered with again.
#[derive(Debug, Serialize, Deserialize)]
struct Decided {
    order: Order,
    account: Account,
}

/// An account as the command side has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    #[serde(rename = "_id")]
    pub id: String,
    pub sequence: i64,
    #[serde(flatten)]
    pub account: Account,
}

impl Order {
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Deposit(_) => "deposit",
            Self::Withdraw(_) => "withdraw",
            Self::Close => "close",
        }
    }
}

impl Bank {
    pub fn new(outbox: Outbox) -> Self {
        Self { outbox }
    }

    /// Creates what the bank stands on, and ends the transfers that a crash left on their way.
    pub async fn prepare(&self) -> Result<()> {
        self.outbox.ensure().await?;
        let database = self.outbox.database();
        for end in ["from", "to"] {
            let index = IndexModel::builder().keys(doc! { end: 1 }).build();
            database.collection::<Document>(ON_THEIR_WAY).create_index(index).await?;
        }
        let some = IndexOptions::builder().sparse(true).build();
        let index = IndexModel::builder().keys(doc! { OF_TRANSFER: 1 }).options(some).build();
        self.outbox.events().create_index(index).await?;
        self.resume().await
    }

    /// Carries out an order for an account, and gives the account as it is then. A command's id stands for one order:
    /// another order under the same id is a conflict.
    pub async fn order(&self, cause: &Cause, id: &str, order: Order) -> Result<Written<Account>> {
        let written = self
            .outbox
            .with_outbox(cause, (id, &order), |mut transaction, (id, order)| {
                Box::pin(async move {
                    let (account, event) = decide(&mut transaction, id, order).await?;
                    Ok((Decided { order: (*order).clone(), account }, vec![event]))
                })
            })
            .await?;
        let Written { result: decided, events, repeated } = written;
        if decided.order != order {
            return Err(Error::Conflict(
                "another order was given under this key: take another key".to_owned(),
            ));
        }
        Ok(Written { result: decided.account, events, repeated })
    }

    /// The first accounts by their ids, as the command side has them.
    pub async fn accounts(&self) -> Result<Vec<Listed>> {
        let accounts = self.outbox.database().collection(ACCOUNTS);
        let listed = accounts.find(doc! {}).sort(doc! { "_id": 1 }).limit(LISTED_MAX).await?;
        Ok(listed.try_collect().await?)
    }

    /// An account as the command side has it.
    pub async fn account(&self, id: &str) -> Result<Account> {
        let found = self.outbox.database().collection(ACCOUNTS).find_one(doc! { "_id": id }).await?;
        found.ok_or_else(|| Error::refused(Refusal::Unknown(id.to_owned())))
    }
}

async fn decide(transaction: &mut Transaction<'_>, id: &str, order: &Order) -> Result<(Account, Event)> {
    if let Order::Open { owner, currency, overdraft_cents } = order {
        let (account, change) = Account::open(owner, *currency, *overdraft_cents).map_err(Error::refused)?;
        let event = add(transaction, id, &account, &change).await?;
        return Ok((account, event));
    }
    let mut loaded = load(transaction, id).await?;
    let account = &mut loaded.account;
    let change: std::result::Result<Change, Refusal> = match order {
        Order::Deposit(money) => account.deposit(*money),
        Order::Withdraw(money) => account.withdraw(*money),
        _ => account.close(is_in_transit(transaction, id).await?),
    };
    let event = save(transaction, &loaded, &change.map_err(Error::refused)?).await?;
    Ok((loaded.account, event))
}
