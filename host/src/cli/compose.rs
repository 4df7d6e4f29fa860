//! The composition that several commands share: the servers and the components that a configuration names.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::component::version::{Loaded, LoadedUpcaster};
use crate::config::{self, Config, Projection, Start};
use crate::operation::load;
use crate::pipeline::breaker::BreakerSettings;
use crate::pipeline::room::RoomPart;
use crate::projector::Engine;
use crate::readmodel::control::schema::Control;
use crate::readmodel::lane::acknowledge::Acknowledge;
use crate::readmodel::lane::letter_limits::Limits;
use crate::readmodel::mysql::session::Connector;
use crate::servers::Servers;
use crate::source::{Decoder, Outbox, OutboxOptions, SharedStream};
use crate::supervisor::settings::{Hold, LetterSettings, Settings};

/// The connections of a projection besides its lanes: for the lease and the control schema's state; and, while there is something
/// to do, for commands that pause and resume, that deploy, and that concern letters, for the lanes' component and its report,
/// and for generations.
const KEEPERS: u32 = 8;

/// The servers of a configuration. Nothing is connected yet.
pub fn servers(config: &Config) -> anyhow::Result<Servers> {
    let options = OutboxOptions {
        uri: config.mongodb.uri()?.expose_secret().to_owned(),
        database: config.mongodb.database.clone(),
        collection: config.mongodb.outbox.clone(),
    };
    let needs = connections(config);
    let applier = Connector::new("mysql.url", &config.mysql.url()?)?
        .giving(config.mysql.statement_seconds)
        .of_a_host_that_needs(needs);
    let ddl = Connector::new("mysql.ddl_url", &config.mysql.ddl_url()?)?.of_a_host_that_needs(needs);
    let control = Control::new(&config.mysql.control_schema);
    if let Some(problem) = clash(applier.database(), ddl.database(), &control) {
        anyhow::bail!("{problem}");
    }
    let outbox = Outbox::new(options)?;
    let decoder = Decoder::new(config.mongodb.field_names(), config.mongodb.payload_bytes_max);
    Ok(Servers {
        shared: SharedStream::new(outbox.clone(), decoder.clone()),
        outbox,
        decoder,
        applier,
        ddl,
        control,
    })
}

/// How many connections a host needs that runs this configuration, with one for moments and two for the API.
fn connections(config: &Config) -> u32 {
    let acknowledging = u32::from(!matches!(config.mongodb.acknowledging(), Ok(Acknowledge::Keep)));
    let of_projection = |projection: &Projection| projection.lanes + KEEPERS + acknowledging;
    config.projection.values().map(of_projection).sum::<u32>() + 3
}

/// Advice about the configuration and the servers that is no obstacle.
pub fn advice(config: &Config, servers: &Servers) -> Vec<String> {
    let exposed = [&servers.applier, &servers.ddl].into_iter().filter_map(Connector::exposed);
    config.advice().into_iter().chain(servers.outbox.exposed()).chain(exposed).collect()
}

/// Why these databases cannot stand beside each other: projectors' tables must not meet the host's own, and the
/// scratch schema is dropped after each use.
fn clash(database: &str, ddl_database: &str, control: &Control) -> Option<String> {
    if database != ddl_database {
        return Some(format!(
            "`mysql.url` names the database `{database}`, `mysql.ddl_url` names `{ddl_database}`; they must be the same"
        ));
    }
    let taken = [control.schema().to_owned(), control.scratch()];
    let same = taken.iter().find(|taken| taken.eq_ignore_ascii_case(database))?;
    Some(format!(
        "the database of `mysql.url` is `{same}`, which belongs to the host (`mysql.control_schema` is `{}`); read models \
         need a database of their own",
        control.schema()
    ))
}

/// The engine that runs components, with the cache of this host.
pub fn engine(config: &Config) -> anyhow::Result<Engine> {
    Engine::new(Some(&config.state().join("components")))
}

/// The components that a configuration names, by the projections.
pub type LoadedComponents = BTreeMap<String, Loaded>;

/// All components of a configuration, or every problem with them.
pub fn components(config: &Config, engine: &Engine) -> anyhow::Result<LoadedComponents> {
    let (mut loaded, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, projection) in &config.projection {
        let upcaster = match upcaster(config, engine, projection) {
            Ok(upcaster) => upcaster,
            Err(load::NotDeployable(found)) => {
                // It is the same file for each of them.
                problems.extend(
                    found.into_iter().filter(|problem| !problems.contains(problem)).collect::<Vec<_>>(),
                );
                None
            }
        };
        match load::load(engine, name, &projection.component, &projection.budget) {
            Ok(component) => {
                let component = component.behind(upcaster);
                loaded.insert(name.clone(), component);
            }
            Err(load::NotDeployable(found)) => problems.extend(found),
        }
    }
    problems.extend(shared_tables(&loaded));
    if problems.is_empty() { Ok(loaded) } else { anyhow::bail!("{}", problems.join("\nerror: ")) }
}

/// The upcaster of a configuration, if it has one, for a projection and under its budget.
pub fn upcaster(
    config: &Config,
    engine: &Engine,
    projection: &Projection,
) -> Result<Option<LoadedUpcaster>, load::NotDeployable> {
    let load = |named: &config::Upcaster| load::load_upcaster(engine, &named.component, &projection.budget);
    config.upcaster.as_ref().map(load).transpose()
}

/// A line for each table that two projections declare.
pub fn shared_tables(loaded: &BTreeMap<String, Loaded>) -> Vec<String> {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, component) in loaded {
        for table in &component.deployed.schema.tables {
            if let Some(other) = owners.insert(&table.name, name) {
                problems.push(format!(
                    "the table `{}` is declared by the projections `{other}` and `{name}`; a table belongs to one",
                    table.name
                ));
            }
        }
    }
    problems
}

/// What each projection of a configuration may hold in its queues.
pub fn room(config: &Config) -> RoomPart {
    RoomPart::of(config.host.memory_bytes, config.projection.len())
}

/// How a projection of a configuration is to run.
pub fn settings(config: &Config, name: &str, projection: &Projection, room: &RoomPart) -> Settings {
    let config::BreakerConfig { aggregates, seconds, percent } = projection.breaker;
    Settings {
        name: name.to_owned(),
        owner: config.host.id.clone(),
        lanes: projection.lanes,
        batch_max: projection.batch_max,
        window: projection.dedupe_window,
        room: room.clone(),
        acknowledge: config.mongodb.acknowledging().expect("the configuration was checked"),
        from_history: projection.start == Start::History,
        lease_ttl: Duration::from_secs(config.host.lease_seconds.into()),
        resume_lost: projection.resume_lost,
        stop_timeout: Duration::from_secs(config.host.stop_seconds.into()),
        letters: LetterSettings {
            limits: Limits {
                letters_max: projection.dead_letters_max,
                bytes_max: projection.dead_letter_bytes_max,
            },
            breaker: BreakerSettings { aggregates, seconds, percent },
            hold: projection.hold.map(|hold| match hold {
                config::HoldSetting::Aggregate => Hold::Aggregate,
                config::HoldSetting::Stream => Hold::Stream,
            }),
            retention_days: projection.letter_retention_days,
            replay_after_deployment: projection.replay_after_deployment,
        },
        audit_retention_days: config.host.audit_retention_days,
        component_retention_days: config.host.component_retention_days,
        rebuild_percent: projection.rebuild_percent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_models_never_share_a_schema_with_the_host() {
        let control = Control::new("laterna");
        assert_eq!(clash("bank", "bank", &control), None);
        for (database, ddl) in
            [("laterna", "laterna"), ("Laterna_Scratch", "Laterna_Scratch"), ("bank", "other")]
        {
            assert!(clash(database, ddl, &control).is_some(), "{database} {ddl}");
        }
    }
}
