//! `laterna check`: everything that can be known before the first event, one line each, with the remedy.

use std::collections::BTreeMap;
use std::process::ExitCode;

use tokio::runtime::Runtime;

use super::{compose, output};
use crate::component::version::Loaded;
use crate::config::{Config, Start};
use crate::failure::Failure;
use crate::operation::load;
use crate::projector::Engine;
use crate::readmodel::control::{constraint, lease, ownership, registration};
use crate::readmodel::lane::acknowledge::Acknowledge;
use crate::readmodel::mysql::session::{Connector, Session};
use crate::readmodel::{cut_over, tables};
use crate::servers::Servers;
use crate::statement::Schema;

/// The lines, and whether any of them is a failure.
#[derive(Default)]
struct CheckReport {
    lines: usize,
    failures: usize,
}

impl CheckReport {
    fn ok(&mut self, what: &str, found: &str) {
        self.line("ok   ", what, found);
    }

    /// Something to know that is no obstacle.
    fn note(&mut self, what: &str, found: &str) {
        self.line("note ", what, found);
    }

    fn fail(&mut self, what: &str, problem: &str) {
        self.failures += 1;
        for line in problem.lines() {
            self.line("FAIL ", what, line);
        }
    }

    fn line(&mut self, verdict: &str, what: &str, text: &str) {
        self.lines += 1;
        output::line(format_args!("{verdict} {what}: {text}"));
    }
}

pub fn check(config: &Config, runtime: &Runtime) -> anyhow::Result<ExitCode> {
    let mut report = CheckReport::default();
    report.ok("configuration", &format!("{} projection(s)", config.projection.len()));
    let loaded = components(config, &mut report)?;
    runtime.block_on(check_servers(config, &loaded, &mut report))?;
    match report.failures {
        0 => {
            output::line(format_args!("\nEverything is ready: laterna run"));
            Ok(ExitCode::SUCCESS)
        }
        failures => {
            output::line(format_args!("\n{failures} of {} checks failed.", report.lines));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn components(config: &Config, report: &mut CheckReport) -> anyhow::Result<BTreeMap<String, Loaded>> {
    let engine = Engine::new(Some(&config.state().join("components")))?;
    let mut all = BTreeMap::new();
    for (name, projection) in &config.projection {
        let what = format!("component of `{name}`");
        match load::load(&engine, name, &projection.component, &projection.budget) {
            Ok(loaded) => {
                let manifest = &loaded.deployed.manifest;
                let digest: String = loaded.deployed.digest.chars().take(12).collect();
                let (tables, statements) = (manifest.tables.len(), manifest.statements.len());
                report.ok(
                    &what,
                    &format!(
                        "{} {} ({digest}), {tables} table(s), {statements} statement(s)",
                        manifest.name, manifest.version
                    ),
                );
                all.insert(name.clone(), loaded);
            }
            Err(refused) => report.fail(&what, &refused.to_string()),
        }
    }
    if let Some(projection) = config.projection.values().next() {
        match compose::upcaster(config, &engine, projection) {
            Ok(Some(upcaster)) => {
                let (manifest, digest) = (upcaster.component.manifest(), upcaster.component.short_digest());
                let takes = match manifest.event_types.len() {
                    0 => "every event type".to_owned(),
                    types => format!("{types} event type(s)"),
                };
                report.ok(
                    "upcaster",
                    &format!("{} {} ({digest}), takes {takes}", manifest.name, manifest.version),
                );
            }
            Ok(None) => {}
            Err(refused) => report.fail("upcaster", &refused.to_string()),
        }
    }
    for problem in compose::shared_tables(&all) {
        report.fail("tables", &problem);
    }
    Ok(all)
}

async fn check_servers(
    config: &Config,
    loaded: &BTreeMap<String, Loaded>,
    report: &mut CheckReport,
) -> anyhow::Result<()> {
    let servers = match compose::servers(config) {
        Ok(servers) => servers,
        Err(error) => {
            report.fail("configuration", &format!("{error:#}"));
            return Ok(());
        }
    };
    for advice in compose::advice(config, &servers) {
        report.note("configuration", &advice);
    }
    let from_history = config.projection.values().any(|projection| projection.start == Start::History);
    let acknowledge = config.mongodb.acknowledging()?;
    check_mongodb(&servers, from_history, report).await;
    check_acknowledging(&servers, acknowledge, report).await;
    let applier = connect("MySQL", &servers.applier, report).await;
    let ddl = connect("MySQL (DDL)", &servers.ddl, report).await;
    if let (Some(applier), Some(mut ddl)) = (applier, ddl) {
        check_mysql(&servers, loaded, applier, &mut ddl, report).await;
    }
    Ok(())
}

async fn check_mongodb(servers: &Servers, from_history: bool, report: &mut CheckReport) {
    let identity = match servers.outbox.identify().await {
        Ok(Some(identity)) => identity,
        Ok(None) => return report.fail("MongoDB", &servers.outbox.missing().to_string()),
        Err(failure) => return report.fail("MongoDB", &failure.to_string()),
    };
    report.ok("MongoDB", &format!("replica set {}, outbox {}", identity.replica_set, identity.namespace));
    match servers.outbox.advice().await {
        Ok(advice) => advice.iter().for_each(|advice| report.note("MongoDB", advice)),
        Err(failure) => report.fail("MongoDB", &failure.to_string()),
    }
    match servers.outbox.current_token().await {
        Ok(_) => report.ok("change stream", "it can be opened"),
        Err(failure) => report.fail("change stream", &failure.to_string()),
    }
    match servers.outbox.oplog_begin().await {
        Ok(Some(begin)) => report.ok("oplog", &format!("it reaches back to {begin}")),
        Ok(None) => report.note(
            "oplog",
            "its length is unknown to the account of `mongodb.uri`, so nobody is warned before it is too short; \
             grant it { role: \"read\", db: \"local\" }, or clusterMonitor",
        ),
        Err(failure) => report.fail("oplog", &failure.to_string()),
    }
    match servers.outbox.history_index(servers.decoder.fields()).await {
        Ok(index) => {
            report.ok("history", &format!("it can be read by the index on {}", index.fields.join(", ")));
        }
        Err(failure) if from_history => report.fail("history", &failure.to_string()),
        Err(failure) => report.note("history", &failure.to_string()),
    }
    // What has begun goes on without its history.
    match servers.outbox.complete_history(&identity).await {
        Ok(()) => {}
        Err(failure @ Failure::Misconfigured { .. }) => report.note("history", &failure.to_string()),
        Err(failure) if from_history => report.fail("history", &failure.to_string()),
        Err(failure) => report.note("history", &failure.to_string()),
    }
}

async fn check_acknowledging(servers: &Servers, acknowledge: Acknowledge, report: &mut CheckReport) {
    let (asked, may) = match acknowledge {
        Acknowledge::Keep => return,
        Acknowledge::Mark => (servers.outbox.may_mark().await, "documents can be marked"),
        Acknowledge::Delete { .. } => (servers.outbox.may_delete().await, "documents can be deleted"),
    };
    match asked {
        Ok(()) => report.ok("acknowledging", may),
        Err(failure) => report.fail("acknowledging", &failure.to_string()),
    }
}

async fn connect(what: &str, connector: &Connector, report: &mut CheckReport) -> Option<Session> {
    match connector.connect().await {
        Ok(session) if session.read_only => {
            report.fail(what, "the server is read-only (@@read_only = 1); connect to the primary");
            None
        }
        Ok(session) => {
            report.ok(what, &format!("{}, database {}", session.version, connector.database()));
            Some(session)
        }
        Err(failure) => {
            report.fail(what, &failure.to_string());
            None
        }
    }
}

async fn check_mysql(
    servers: &Servers,
    loaded: &BTreeMap<String, Loaded>,
    mut applier: Session,
    ddl: &mut Session,
    report: &mut CheckReport,
) {
    match applier.unfit_settings(servers.applier.needs()).await {
        Ok(unfit) => unfit.iter().for_each(|unfit| report.fail("MySQL", unfit)),
        Err(failure) => report.fail("MySQL", &failure.to_string()),
    }
    let schema = servers.control.schema().to_owned();
    match servers.control.migrate(ddl).await {
        Ok(()) => report.ok("control schema", &format!("`{schema}` is there")),
        Err(failure) => return report.fail("control schema", &with_grant(&failure, &schema)),
    }
    if let Err(failure) = registration::all(&mut applier, &servers.control).await {
        report.fail("control schema", &with_grant(&failure, &schema));
    }
    match applier.too_broad_privileges().await {
        Ok(None) => report.ok("privileges", "the account of `mysql.url` cannot write through read_only"),
        Ok(Some(grant)) => report.note(
            "privileges",
            &format!("the account of `mysql.url` has {grant}, and so writes through read_only after a failover; give it \
                      SELECT, INSERT, UPDATE, DELETE on `{}` and `{schema}` only", servers.applier.database()),
        ),
        Err(failure) => report.fail("privileges", &failure.to_string()),
    }
    let live = servers.applier.database();
    match cut_over::rehearse_place(ddl, &mut applier, live, &servers.control).await {
        Ok(()) => report.ok("generations", "tables can be built beside the live ones"),
        Err(failure @ Failure::AccessDenied { .. }) => report.note(
            "generations",
            &format!(
                "tables cannot be built beside the live ones, as `laterna rebuild`, `laterna verify` and components with \
                 other tables need it: {failure}; grant both accounts on `{schema}\\_g%`.* what they have on `{live}`.*"
            ),
        ),
        Err(failure) => report.fail("generations", &failure.to_string()),
    }
    let schemas = loaded.iter().map(|(name, loaded)| (name.as_str(), &*loaded.deployed.schema));
    let shared = constraint::shared(ddl, schemas);
    for (name, loaded) in loaded {
        check_lease(servers, name, &mut applier, report).await;
        let tables = &loaded.deployed.schema;
        if check_tables(servers, name, tables, ddl, report).await {
            let own = shared.iter().filter(|(projection, _)| projection == name);
            own.for_each(|(_, problem)| report.fail(&format!("tables of `{name}`"), problem));
        }
        let rehearsed = tables::rehearse(ddl, &servers.control, servers.applier.database(), tables).await;
        let what = format!("SQL of `{name}`");
        tables.notes().iter().for_each(|note| report.note(&what, note));
        match rehearsed {
            Ok(()) => report.ok(&what, "every statement fits its tables"),
            Err(failure) => report.fail(&what, &with_grant(&failure, &format!("{schema}_scratch"))),
        }
    }
}

/// Whether a host writes whose sessions this configuration's account is not shown.
async fn check_lease(servers: &Servers, projection: &str, applier: &mut Session, report: &mut CheckReport) {
    let what = format!("lease of `{projection}`");
    match lease::stranger(applier, &servers.control, projection).await {
        Ok(None) => {}
        Ok(Some((owner, account))) => report.note(
            &what,
            &format!(
                "`{owner}` holds it with the account `{account}`, and the account of `mysql.url` is `{}`: MySQL does not \
                 show either the other's sessions, so one that stands by takes over only when the lease has run out, and \
                 cannot end what the other left open; give all hosts one account again when the rotation is done",
                applier.account
            ),
        ),
        Err(failure) => report.fail(&what, &failure.to_string()),
    }
}

/// Whether the tables are, or can become, the projection's alone, as far as the database tells.
async fn check_tables(
    servers: &Servers,
    projection: &str,
    schema: &Schema,
    ddl: &mut Session,
    report: &mut CheckReport,
) -> bool {
    let asked = async {
        ownership::not_anothers(ddl, &servers.control, projection, schema).await?;
        constraint::are_free(ddl, &servers.control, projection, schema).await?;
        ownership::nothing_is_tied(ddl, schema).await
    };
    let asked = asked.await;
    if let Err(failure) = &asked {
        report.fail(&format!("tables of `{projection}`"), &failure.to_string());
    }
    asked.is_ok()
}

/// The failure; where it is one of privileges, with the statement that helps.
fn with_grant(failure: &Failure, schema: &str) -> String {
    match failure {
        Failure::AccessDenied { .. } => format!(
            "{failure}; as an administrator: GRANT ALL ON {schema}.* TO the account of `mysql.ddl_url`"
        ),
        failure => failure.to_string(),
    }
}
