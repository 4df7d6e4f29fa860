//! A transfer between two accounts: a process that is nothing but its events. The money leaves one account, then it
//! reaches the other one, or comes back.

use serde::{Deserialize, Serialize};

use super::{Money, Refusal};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    pub from: String,
    pub to: String,
    #[serde(flatten)]
    pub money: Money,
}

/// What happens to a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "payload")]
pub enum TransferEvent {
    TransferRequested(Transfer),
    TransferDebited {},
    TransferCompleted {},
    /// The money never left its account.
    TransferRefused {
        why: String,
    },
    /// It came back.
    TransferReturned {
        why: String,
    },
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Debit(Transfer),
    Credit(Transfer),
}

/// How far a transfer is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Process {
    #[default]
    Unknown,
    Requested {
        transfer: Transfer,
    },
    Debited {
        transfer: Transfer,
    },
    Completed,
    Refused {
        why: String,
    },
    Returned {
        why: String,
    },
}

impl Transfer {
    pub fn request(self) -> Result<TransferEvent, Refusal> {
        if self.from == self.to {
            return Err(Refusal::SameAccount);
        }
        if self.money.cents <= 0 {
            return Err(Refusal::NotPositive(self.money.cents));
        }
        Ok(TransferEvent::TransferRequested(self))
    }
}

impl Process {
    #[must_use]
    pub fn apply(self, event: TransferEvent) -> Self {
        match (self, event) {
            (Self::Unknown, TransferEvent::TransferRequested(transfer)) => Self::Requested { transfer },
            (Self::Requested { transfer }, TransferEvent::TransferDebited {}) => Self::Debited { transfer },
            (Self::Requested { .. }, TransferEvent::TransferRefused { why }) => Self::Refused { why },
            (Self::Debited { .. }, TransferEvent::TransferCompleted {}) => Self::Completed,
            (Self::Debited { .. }, TransferEvent::TransferReturned { why }) => Self::Returned { why },
            // Nothing else is ever appended to it.
            (state, _) => state,
        }
    }

    pub fn next(&self) -> Option<Step> {
        match self {
            Self::Requested { transfer } => Some(Step::Debit(transfer.clone())),
            Self::Debited { transfer } => Some(Step::Credit(transfer.clone())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Currency;

    fn transfer() -> Transfer {
        let money = Money { cents: 5, currency: Currency::Eur };
        Transfer { from: "a".into(), to: "b".into(), money }
    }

    fn after(events: &[TransferEvent]) -> Process {
        events.iter().cloned().fold(Process::default(), Process::apply)
    }

    #[test]
    fn a_transfer_debits_then_credits_and_ends_in_one_of_three_ways() {
        let requested = transfer().request().expect("it is one");
        let (debited, why) = (TransferEvent::TransferDebited {}, "the account is closed".to_owned());
        assert_eq!(after(&[]).next(), None);
        assert_eq!(after(std::slice::from_ref(&requested)).next(), Some(Step::Debit(transfer())));
        assert_eq!(after(&[requested.clone(), debited.clone()]).next(), Some(Step::Credit(transfer())));
        let ends = [
            (vec![debited.clone(), TransferEvent::TransferCompleted {}], Process::Completed),
            (
                vec![TransferEvent::TransferRefused { why: why.clone() }],
                Process::Refused { why: why.clone() },
            ),
            (vec![debited, TransferEvent::TransferReturned { why: why.clone() }], Process::Returned { why }),
        ];
        for (events, end) in ends {
            let process = after(&[vec![requested.clone()], events].concat());
            assert_eq!((process.next(), process), (None, end));
        }
    }

    #[test]
    fn a_transfer_goes_to_another_account_and_moves_something() {
        let to_itself = Transfer { to: "a".into(), ..transfer() };
        assert_eq!(to_itself.request(), Err(Refusal::SameAccount));
        let money = Money { cents: 0, currency: Currency::Eur };
        assert_eq!(Transfer { money, ..transfer() }.request(), Err(Refusal::NotPositive(0)));
    }
}
