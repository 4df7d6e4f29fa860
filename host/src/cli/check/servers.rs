//! The servers: whether they are there, what they are, and what their accounts may do.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{CheckReport, projection};
use crate::admin;
use crate::admin::tokens::Tokens;
use crate::cli::{compose, health};
use crate::component::version::Loaded;
use crate::config::Config;
use crate::failure::Failure;
use crate::projector::Engine;
use crate::readmodel::control::constraint;
use crate::readmodel::cut_over;
use crate::readmodel::lane::acknowledge::Acknowledge;
use crate::readmodel::mysql::session::{Connector, Session};
use crate::servers::Servers;
use crate::supervisor::startup::readiness::explained;

/// After this a port is asked for once more.
const A_MOMENT: Duration = Duration::from_millis(100);

pub async fn check(
    config: &Config,
    engine: &Engine,
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
    check_listeners(config, report).await;
    let acknowledge = config.mongodb.acknowledging()?;
    let outbox = check_mongodb(&servers, report).await;
    check_acknowledging(&servers, acknowledge, report).await;
    check_read_models(config, engine, loaded, &servers, outbox.answers, report).await;
    // A projection that cannot begin without it has told so.
    for failure in outbox.unreadable {
        if !report.told.contains(&failure) {
            report.note("history", &failure.to_string());
        }
    }
    Ok(())
}

/// Whether MySQL is there, and what keeps each projection from running.
async fn check_read_models(
    config: &Config,
    engine: &Engine,
    loaded: &BTreeMap<String, Loaded>,
    servers: &Servers,
    outbox_answers: bool,
    report: &mut CheckReport,
) {
    let applier = connect("MySQL", &servers.applier, report).await;
    let ddl = connect("MySQL (DDL)", &servers.ddl, report).await;
    let (Some(mut applier), Some(mut ddl)) = (applier, ddl) else { return };
    if let Err(failure) = check_mysql(servers, &mut applier, &mut ddl, report).await {
        told_as_a_run_does(servers, loaded, &failure, report).await;
        return;
    }
    let schemas = loaded.iter().map(|(name, loaded)| (name.as_str(), &*loaded.deployed.schema));
    let shared = constraint::shared(&ddl, schemas);
    for (name, loaded) in loaded {
        let settings = compose::settings(config, name, &config.projection[name], &compose::room(config));
        let budget = &config.projection[name].budget;
        let own = shared.iter().filter(|(projection, _)| projection == name);
        let shared = own.map(|(_, problem)| problem.as_str()).collect();
        let one =
            projection::CheckedProjection { servers, settings: &settings, loaded, outbox_answers, shared };
        one.check(engine, budget, &mut applier, &mut ddl, report).await;
    }
}

/// Without the host's own schema nothing more can be asked: a run would say the same of each projection.
async fn told_as_a_run_does(
    servers: &Servers,
    loaded: &BTreeMap<String, Loaded>,
    failure: &Failure,
    report: &mut CheckReport,
) {
    if loaded.is_empty() {
        report.refuse("control schema", failure);
    }
    for (name, loaded) in loaded {
        let failure = explained(servers, name, loaded, failure.clone()).await;
        report.refuse(&format!("projection `{name}`"), &failure);
    }
}

/// Whether `laterna run` gets its addresses and its tokens. A host that runs already has them.
async fn check_listeners(config: &Config, report: &mut CheckReport) {
    if let Err(error) = Tokens::read(config.host.tokens.as_deref()) {
        report.fail("configuration", &format!("{error:#}"));
    }
    for (setting, at) in [("host.health", config.host.health), ("host.admin", config.host.admin)] {
        if admin::bound(setting, at).await.is_ok() {
            continue;
        }
        let asked = tokio::task::spawn_blocking(move || health::is_laterna(at)).await;
        let is_laterna = asked.unwrap_or_default();
        // Another check has it for a moment.
        tokio::time::sleep(A_MOMENT).await;
        let Err(error) = admin::bound(setting, at).await else { continue };
        if is_laterna {
            report.note(
                "listeners",
                &format!(
                    "a Laterna answers at {at} (`{setting}`); if that is not the host of this configuration, `laterna run` \
                     ends at once: choose another port"
                ),
            );
        } else {
            report.fail("listeners", &format!("{error:#}"));
        }
    }
}

/// What is known of the outbox.
#[derive(Default)]
struct CheckedOutbox {
    /// Whether it is there and answers.
    answers: bool,
    /// Why its history cannot be read. Whether that keeps a projection from beginning is asked for each.
    unreadable: Vec<Failure>,
}

async fn check_mongodb(servers: &Servers, report: &mut CheckReport) -> CheckedOutbox {
    let identity = match servers.outbox.identify().await {
        Ok(Some(identity)) => identity,
        Ok(None) => {
            report.refuse("MongoDB", &servers.outbox.missing());
            return CheckedOutbox::default();
        }
        Err(failure) => {
            report.refuse("MongoDB", &failure);
            return CheckedOutbox::default();
        }
    };
    report.ok("MongoDB", &format!("replica set {}, outbox {}", identity.replica_set, identity.namespace));
    match servers.outbox.advice().await {
        Ok(advice) => advice.iter().for_each(|advice| report.note("MongoDB", advice)),
        Err(failure) => report.refuse("MongoDB", &failure),
    }
    match servers.outbox.current_token().await {
        Ok(_) => report.ok("change stream", "it can be opened"),
        Err(failure) => report.refuse("change stream", &failure),
    }
    match servers.outbox.oplog_begin().await {
        Ok(Some(begin)) => report.ok("oplog", &format!("it reaches back to {begin}")),
        Ok(None) => report.note(
            "oplog",
            "its length is unknown to the account of `mongodb.uri`, so nobody is warned before it is too short; \
             grant it { role: \"read\", db: \"local\" }, or clusterMonitor",
        ),
        Err(failure) => report.refuse("oplog", &failure),
    }
    let mut unreadable = vec![];
    match servers.outbox.history_index(servers.decoder.fields()).await {
        Ok(index) => {
            report.ok("history", &format!("it can be read by the index on {}", index.fields.join(", ")));
        }
        Err(failure) => unreadable.push(failure),
    }
    unreadable.extend(servers.outbox.complete_history(&identity).await.err());
    CheckedOutbox { answers: true, unreadable }
}

async fn check_acknowledging(servers: &Servers, acknowledge: Acknowledge, report: &mut CheckReport) {
    let (asked, may) = match acknowledge {
        Acknowledge::Keep => return,
        Acknowledge::Mark => (servers.outbox.may_mark().await, "documents can be marked"),
        Acknowledge::Delete { .. } => (servers.outbox.may_delete().await, "documents can be deleted"),
    };
    match asked {
        Ok(()) => report.ok("acknowledging", may),
        Err(failure) => report.refuse("acknowledging", &failure),
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
            report.refuse(what, &failure);
            None
        }
    }
}

/// Whether the host's own schema is there, and both accounts can be asked about it.
async fn check_mysql(
    servers: &Servers,
    applier: &mut Session,
    ddl: &mut Session,
    report: &mut CheckReport,
) -> Result<(), Failure> {
    match applier.unfit_settings(servers.applier.needs()).await {
        Ok(unfit) => unfit.iter().for_each(|unfit| report.fail("MySQL", unfit)),
        Err(failure) => report.refuse("MySQL", &failure),
    }
    let schema = servers.control.schema().to_owned();
    let found = servers.control.version(ddl).await?;
    servers.control.migrate(ddl).await?;
    let is = if found.is_some() { "is there" } else { "was not there, and is created now" };
    report.ok("control schema", &format!("`{schema}` {is}"));
    match applier.too_broad_privileges().await {
        Ok(None) => report.ok("privileges", "the account of `mysql.url` cannot write through read_only"),
        Ok(Some(grant)) => report.note(
            "privileges",
            &format!("the account of `mysql.url` has {grant}, and so writes through read_only after a failover; give it \
                      SELECT, INSERT, UPDATE, DELETE on `{}` and `{schema}` only", servers.applier.database()),
        ),
        Err(failure) => report.refuse("privileges", &failure),
    }
    let live = servers.applier.database();
    match cut_over::rehearse_place(ddl, applier, live, &servers.control).await {
        Ok(()) => report.ok("generations", "tables can be built beside the live ones"),
        Err(failure @ Failure::AccessDenied { .. }) => report.note(
            "generations",
            &format!(
                "tables cannot be built beside the live ones, as `laterna rebuild`, `laterna verify` and components with \
                 other tables need it: {failure}; grant both accounts on `{schema}\\_g%`.* what they have on `{live}`.*"
            ),
        ),
        Err(failure) => report.refuse("generations", &failure),
    }
    Ok(())
}
