//! What a viewer does not see: what events, rows and people said.

use serde_json::Value;

use crate::admin::callers::Caller;
use crate::readmodel::control::command::{CommandRecord, remove_samples};
use crate::readmodel::lane::dead_letter::{Letter, MASKED};

/// Masks letters for who may not see what they hold.
pub fn letters(caller: &Caller, letters: &mut [Letter]) {
    if !caller.sees_values() {
        letters.iter_mut().for_each(Letter::mask);
    }
}

/// Masks a command: why it was asked for, by which aggregate or event letters were chosen, and the rows of a comparison.
pub fn command(caller: &Caller, record: &mut CommandRecord) {
    if caller.sees_values() {
        return;
    }
    for name in ["why", "aggregate"] {
        mask(record.parameters.get_mut(name));
    }
    for name in ["like", "letters"] {
        for part in ["event", "aggregate", "aggregate_key"] {
            mask(record.parameters.get_mut(name).and_then(|like| like.get_mut(part)));
        }
    }
    if let Some(result) = &mut record.result {
        remove_samples(result);
    }
}

fn mask(value: Option<&mut Value>) {
    if let Some(value) = value.filter(|value| !value.is_null()) {
        *value = MASKED.into();
    }
}
