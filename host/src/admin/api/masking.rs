//! What a viewer does not see: what events, rows and people said.

use serde_json::Value;

use crate::admin::callers::Caller;
use crate::admin::reasons;
use crate::operation::standing::Generations;
use crate::readmodel::control::command::{CommandRecord, CommandState, remove_samples};
use crate::readmodel::control::deployment::Deployment;
use crate::readmodel::lane::dead_letter::{Letter, MASKED};

/// Masks letters for who may not see what they hold.
pub fn letters(caller: &Caller, letters: &mut [Letter]) {
    if !caller.sees_values() {
        letters.iter_mut().for_each(Letter::mask);
    }
}

/// Masks what deployments wait for, where that is a pause.
pub fn deployments(caller: &Caller, deployments: &mut [Deployment]) {
    if !caller.sees_values() {
        let texts = deployments.iter_mut().flat_map(|one| [&mut one.reason, &mut one.waits]);
        texts.flatten().for_each(reasons::mask);
    }
}

/// Masks what generations wait for, where that is a pause, and of which aggregate one is.
pub fn generations(caller: &Caller, generations: &mut Generations) {
    if caller.sees_values() {
        return;
    }
    for generation in generations.aside.iter_mut().map(|one| &mut one.generation) {
        generation.reason.iter_mut().for_each(reasons::mask);
        generation.part.aggregate.iter_mut().for_each(|aggregate| MASKED.clone_into(aggregate));
    }
}

/// Masks a command: why it was asked for, by which aggregate or event letters were chosen, and the rows of a comparison;
/// why the projection was paused that it waits for, and why a reload was refused.
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
    // It may name what stands in the configuration.
    if record.kind == "reload" && record.state == CommandState::Failed {
        mask(record.result.as_mut());
    }
    if let Some(result) = &mut record.result {
        remove_samples(result);
        mask_reasons(result);
    }
    record.waits.iter_mut().chain(&mut record.progress).for_each(reasons::mask);
}

/// Masks the reasons of pauses in all texts of a result.
fn mask_reasons(value: &mut Value) {
    match value {
        Value::String(text) => reasons::mask(text),
        Value::Array(all) => all.iter_mut().for_each(mask_reasons),
        Value::Object(all) => all.values_mut().for_each(mask_reasons),
        _ => {}
    }
}

fn mask(value: Option<&mut Value>) {
    if let Some(value) = value.filter(|value| !value.is_null()) {
        *value = MASKED.into();
    }
}
