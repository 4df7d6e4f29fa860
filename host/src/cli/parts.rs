//! What several commands are composed of: the servers and the components that a configuration names.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::config::{Config, Projection, Start};
use crate::operation::load;
use crate::projection::{Loaded, Servers, Settings};
use crate::projector::Engine;
use crate::readmodel::{Connector, Control};
use crate::source::{Decoder, Outbox, OutboxOptions};

/// The servers of a configuration. Nothing is connected yet.
pub async fn servers(config: &Config) -> anyhow::Result<Servers> {
    let options = OutboxOptions {
        uri: config.mongodb.uri()?.expose_secret().to_owned(),
        database: config.mongodb.database.clone(),
        collection: config.mongodb.outbox.clone(),
    };
    Ok(Servers {
        outbox: Outbox::connect(&options).await?,
        decoder: Decoder::new(config.mongodb.field_names(), config.mongodb.payload_bytes_max),
        applier: Connector::new("mysql.url", &config.mysql.url()?)?,
        ddl: Connector::new("mysql.ddl_url", &config.mysql.ddl_url()?)?,
        control: Control::new(&config.mysql.control_schema),
    })
}

/// All components of a configuration, or every problem with them.
pub fn components(config: &Config) -> anyhow::Result<BTreeMap<String, Loaded>> {
    let engine = Engine::new(Some(&config.host.state.join("components")))?;
    let (mut loaded, mut problems) = (BTreeMap::new(), Vec::new());
    let mut tables: BTreeMap<String, String> = BTreeMap::new();
    for (name, projection) in &config.projection {
        match load::load(&engine, &projection.component, &projection.budget) {
            Ok(component) => {
                for table in &component.deployed.schema.tables {
                    if let Some(other) = tables.insert(table.name.clone(), name.clone()) {
                        problems.push(format!(
                            "the table `{}` is declared by the projections `{other}` and `{name}`; a table belongs to one",
                            table.name
                        ));
                    }
                }
                loaded.insert(name.clone(), component);
            }
            Err(load::NotDeployable(found)) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(loaded) } else { anyhow::bail!("{}", problems.join("\nerror: ")) }
}

/// How a projection of a configuration is to run.
pub fn settings(config: &Config, name: &str, projection: &Projection) -> Settings {
    Settings {
        name: name.to_owned(),
        owner: config.host.id.clone(),
        lanes: projection.lanes,
        batch_max: projection.batch_max,
        window: projection.dedupe_window,
        from_history: projection.start == Start::History,
        lease_ttl: Duration::from_secs(config.host.lease_seconds.into()),
        stop_timeout: Duration::from_secs(config.host.stop_seconds.into()),
    }
}
