//! An account: its state, and what may be done with it. Each decision gives what happened.

use serde::{Deserialize, Serialize};

use super::{Currency, Money, Refusal};
use crate::Change;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    pub owner: String,
    pub currency: Currency,
    pub balance_cents: i64,
    /// How far the balance may fall below 0.
    pub overdraft_cents: i64,
    pub is_closed: bool,
}

impl Account {
    pub fn open(owner: &str, currency: Currency, overdraft_cents: i64) -> Result<(Self, Change), Refusal> {
        if owner.trim().is_empty() || overdraft_cents < 0 {
            return Err(Refusal::Incomplete);
        }
        let owner = owner.to_owned();
        let change = Change::Opened { owner: owner.clone(), balance_cents: 0 };
        Ok((Self { owner, currency, balance_cents: 0, overdraft_cents, is_closed: false }, change))
    }

    pub fn deposit(&mut self, money: Money) -> Result<Change, Refusal> {
        let amount_cents = self.check(money)?;
        let balance_cents = self.balance_cents.checked_add(amount_cents).ok_or(Refusal::TooMuch)?;
        self.balance_cents = balance_cents;
        Ok(Change::Deposited { amount_cents, balance_cents })
    }

    pub fn withdraw(&mut self, money: Money) -> Result<Change, Refusal> {
        let wanted = self.check(money)?;
        let available = self.balance_cents.saturating_add(self.overdraft_cents);
        if wanted > available {
            return Err(Refusal::Overdrawn { wanted, available });
        }
        self.balance_cents -= wanted;
        Ok(Change::Withdrawn { amount_cents: wanted, balance_cents: self.balance_cents })
    }

    /// An account ends empty, and with nothing on its way to or from it.
    pub fn close(&mut self, is_in_transit: bool) -> Result<Change, Refusal> {
        if self.is_closed {
            return Err(Refusal::Closed);
        }
        if self.balance_cents != 0 {
            return Err(Refusal::NotEmpty(self.balance_cents));
        }
        if is_in_transit {
            return Err(Refusal::InTransit);
        }
        self.is_closed = true;
        Ok(Change::Closed)
    }

    /// The cents of an amount that the account can take or give.
    fn check(&self, money: Money) -> Result<i64, Refusal> {
        if self.is_closed {
            return Err(Refusal::Closed);
        }
        if money.currency != self.currency {
            return Err(Refusal::Currency { account: self.currency, given: money.currency });
        }
        if money.cents <= 0 {
            return Err(Refusal::NotPositive(money.cents));
        }
        Ok(money.cents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn euros(cents: i64) -> Money {
        Money { cents, currency: Currency::Eur }
    }

    fn account(balance_cents: i64, overdraft_cents: i64) -> Account {
        let (account, _) = Account::open("Ada", Currency::Eur, overdraft_cents).expect("it is complete");
        Account { balance_cents, ..account }
    }

    #[test]
    fn money_goes_in_and_out_down_to_the_limit() {
        let mut account = account(0, 50);
        let deposited = Change::Deposited { amount_cents: 100, balance_cents: 100 };
        assert_eq!(account.deposit(euros(100)), Ok(deposited));
        let refused = Refusal::Overdrawn { wanted: 151, available: 150 };
        assert_eq!(account.withdraw(euros(151)), Err(refused));
        let withdrawn = Change::Withdrawn { amount_cents: 150, balance_cents: -50 };
        assert_eq!(account.withdraw(euros(150)), Ok(withdrawn));
        assert_eq!(account.balance_cents, -50);
    }

    #[test]
    fn what_is_no_amount_of_the_account_is_refused_and_changes_nothing() {
        let mut account = account(i64::MAX, 0);
        let before = account.clone();
        let dollars = Money { cents: 1, currency: Currency::Usd };
        let currency = Refusal::Currency { account: Currency::Eur, given: Currency::Usd };
        assert_eq!(account.deposit(dollars), Err(currency.clone()));
        assert_eq!(account.withdraw(dollars), Err(currency));
        for cents in [0, -1, i64::MIN] {
            assert_eq!(account.deposit(euros(cents)), Err(Refusal::NotPositive(cents)));
            assert_eq!(account.withdraw(euros(cents)), Err(Refusal::NotPositive(cents)));
        }
        assert_eq!(account.deposit(euros(1)), Err(Refusal::TooMuch));
        assert_eq!(account, before);
        assert_eq!(Account::open(" ", Currency::Eur, 0), Err(Refusal::Incomplete));
        assert_eq!(Account::open("Ada", Currency::Eur, -1), Err(Refusal::Incomplete));
    }

    #[test]
    fn an_account_ends_empty_and_then_takes_nothing() {
        assert_eq!(account(1, 0).close(false), Err(Refusal::NotEmpty(1)));
        assert_eq!(account(0, 0).close(true), Err(Refusal::InTransit));
        let mut account = account(0, 100);
        assert_eq!(account.close(false), Ok(Change::Closed));
        assert_eq!(account.close(false), Err(Refusal::Closed));
        assert_eq!(account.deposit(euros(1)), Err(Refusal::Closed));
        assert_eq!(account.withdraw(euros(1)), Err(Refusal::Closed));
    }
}
