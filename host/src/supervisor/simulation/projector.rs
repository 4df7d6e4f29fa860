//! The simulated projector: a function of the event, and now and then a machine that is too slow.

use std::sync::Arc;

use super::outbox::{Fact, HANDLED, OutboxModel};
use super::steps::{Life, Steps};
use crate::event::{Event, Id};
use crate::failure::Failure;
use crate::pipeline::ports::{Outcome, Projector, Version};
use crate::statement::{Deployed, Manifest, Operation, Ordering, Parameter, Schema, Statement, Value};

pub struct SimulatedProjector {
    pub outbox: Arc<OutboxModel>,
    pub steps: Steps,
    pub life: Life,
    pub version: u32,
    /// One in so many times the clock is faster.
    pub slow: u32,
}

/// A version of the projector, to be given to lanes.
#[derive(Clone)]
pub struct SimulatedVersion {
    pub outbox: Arc<OutboxModel>,
    pub steps: Steps,
    pub life: Life,
    pub version: u32,
    pub slow: u32,
    pub deployed: Arc<Deployed>,
}

impl Version for SimulatedVersion {
    type Projector = SimulatedProjector;

    fn deployed(&self) -> &Arc<Deployed> {
        &self.deployed
    }

    fn start(&self) -> Result<SimulatedProjector, Failure> {
        let Self { outbox, steps, life, version, slow, .. } = self.clone();
        Ok(SimulatedProjector { outbox, steps, life, version, slow })
    }
}

impl Projector for SimulatedProjector {
    async fn project(&mut self, events: Vec<Arc<Event>>) -> Result<Vec<Outcome>, Failure> {
        self.steps.step(&self.life, 1, || format!("projector is given {}", events.len())).await;
        if self.steps.fails(self.slow) {
            return Err(Failure::Deadline { limit_ms: 10 });
        }
        let answer = |event: &Arc<Event>| {
            let number = number(&event.id);
            Outcome::from(answer(&self.outbox.facts[number], number, self.version))
        };
        Ok(events.iter().map(answer).collect())
    }
}

fn number(id: &Id) -> usize {
    match id {
        Id::Integer(number) => usize::try_from(*number).expect("numbers of events are not negative"),
        other => panic!("{other} is not an event of this outbox"),
    }
}

/// What a version of the projector answers to an event. The second version fails none.
pub fn answer(fact: &Fact, number: usize, version: u32) -> Result<Vec<Operation>, Failure> {
    let fails = fact.rejected && version < 2;
    if fails && !fact.malformed {
        return Err(if number.is_multiple_of(2) {
            Failure::Rejected { kind: "invalid", reason: "made up".to_owned() }
        } else {
            Failure::Trapped { message: "made up".to_owned() }
        });
    }
    let number = i64::try_from(number).expect("a schedule is small");
    let operation = |at: usize| {
        let at = i64::try_from(at).expect("an event has few operations");
        Operation { statement: 0, parameters: vec![Value::Integer(number), Value::Integer(at)] }
    };
    let mut operations: Vec<Operation> = (0..fact.operations).map(operation).collect();
    if fails {
        operations.push(Operation { statement: 0, parameters: vec![Value::Null] });
    }
    Ok(operations)
}

/// A version of the projector, as deployed.
pub fn deployed(version: u32) -> Deployed {
    let manifest = Manifest {
        name: "simulated".to_owned(),
        version: version.to_string(),
        event_types: HANDLED.map(str::to_owned).to_vec(),
        ordering: Ordering::Aggregate,
        commutative: false,
        tables: vec![],
        statements: vec![],
    };
    let statement = Statement {
        name: "append".to_owned(),
        sql: "INSERT INTO log VALUES (?, ?)".to_owned(),
        table: "log".to_owned(),
        reads: vec![],
        proves: vec![],
        parameters: vec![Parameter::ALONE; 2],
        adds: Vec::new(),
        multi_row: None,
        keyed: None,
    };
    let schema = Schema::new(vec![], vec![statement]);
    Deployed {
        digest: version.to_string(),
        manifest: Arc::new(manifest),
        upcaster: None,
        schema: Arc::new(schema),
    }
}
