//! What becomes of the configuration in force when another one is read: most of it is taken over, and some only counts at a start.

use std::collections::BTreeSet;

use super::{Config, HostSettings, Mongodb, Mysql};

/// The settings that only count at a start: who the host is, where it listens, and which databases it works with.
const AT_START: [&str; 11] = [
    "host.id",
    "host.health",
    "host.admin",
    "host.admin_names",
    "host.state",
    "host.log",
    "host.otlp",
    "mongodb.database",
    "mongodb.outbox",
    "mongodb.preset",
    "mysql.control_schema",
];

/// The names of an event's fields, which only count at a start, too.
const FIELDS: &str = "mongodb.fields.";

/// What is in force when a configuration is taken over.
pub struct TakenOver {
    pub config: Config,
    /// The paths of the settings that differ and are taken over.
    pub applied: Vec<String>,
    /// The paths of those that stay as they were until the host starts again.
    pub staying: Vec<String>,
}

impl Config {
    /// Takes another configuration over, but for what only counts at a start.
    pub fn taking_over(&self, next: Self) -> TakenOver {
        let paths: BTreeSet<&String> = self.given.keys().chain(next.given.keys()).collect();
        let differs = |path: &&&String| self.given.get(**path) != next.given.get(**path);
        let (staying, applied): (Vec<String>, Vec<String>) =
            paths.iter().filter(differs).map(|path| (*path).clone()).partition(|path| is_at_start(path));
        let mut given = next.given;
        for path in &staying {
            match self.given.get(path) {
                Some(value) => given.insert(path.clone(), *value),
                None => given.remove(path),
            };
        }
        let host = HostSettings {
            id: self.host.id.clone(),
            health: self.host.health,
            admin: self.host.admin,
            admin_names: self.host.admin_names.clone(),
            state: self.host.state.clone(),
            log: self.host.log,
            otlp: self.host.otlp.clone(),
            ..next.host
        };
        let mongodb = Mongodb {
            database: self.mongodb.database.clone(),
            outbox: self.mongodb.outbox.clone(),
            preset: self.mongodb.preset,
            fields: self.mongodb.fields.clone(),
            ..next.mongodb
        };
        let mysql = Mysql { control_schema: self.mysql.control_schema.clone(), ..next.mysql };
        let config =
            Self { host, mongodb, mysql, given, upcaster: next.upcaster, projection: next.projection };
        TakenOver { config, applied, staying }
    }
}

fn is_at_start(path: &str) -> bool {
    AT_START.contains(&path) || path.starts_with(FIELDS)
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{VALID, load};

    #[test]
    fn what_only_counts_at_a_start_stays_and_is_named_as_often_as_it_differs() {
        let before = load(VALID, &[]).expect("it is valid");
        let changed = [
            ("LATERNA_HOST__ADMIN", "127.0.0.1:7999"),
            ("LATERNA_HOST__STOP_SECONDS", "7"),
            ("LATERNA_MONGODB__FIELDS__PAYLOAD", "body"),
            ("LATERNA_MYSQL__CONTROL_SCHEMA", "other"),
            ("LATERNA_PROJECTION__ACCOUNTS__LANES", "2"),
        ];
        let mut after = before.taking_over(load(VALID, &changed).expect("it is valid"));
        let staying = ["host.admin", "mongodb.fields.payload", "mysql.control_schema"];
        assert_eq!(after.applied, ["host.stop_seconds", "projection.accounts.lanes"]);
        for _ in 0..2 {
            assert_eq!(after.staying, staying);
            let config = &after.config;
            assert_eq!((config.host.admin, config.host.stop_seconds), (before.host.admin, 7));
            assert_eq!(config.mongodb.field_names(), before.mongodb.field_names());
            assert_eq!(config.mysql.control_schema, before.mysql.control_schema);
            assert_eq!(config.projection["accounts"].lanes, 2);
            after = config.taking_over(load(VALID, &changed).expect("it is valid"));
            assert!(after.applied.is_empty(), "{:?}", after.applied);
        }
        let back = after.config.taking_over(load(VALID, &[]).expect("it is valid"));
        assert_eq!((back.staying.len(), back.config.projection["accounts"].lanes), (0, 4));
    }
}
