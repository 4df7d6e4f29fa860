//! One projection: whether it would begin, or go on, by the functions that a run asks.

use super::CheckReport;
use crate::component::fit::HowItFits;
use crate::component::registry::Versions;
use crate::component::version::Loaded;
use crate::failure::Failure;
use crate::projector::{Budget, Engine};
use crate::readmodel::control::registration::Registration;
use crate::readmodel::mysql::session::Session;
use crate::readmodel::tables::rehearsal;
use crate::servers::Servers;
use crate::supervisor::settings::Settings;
use crate::supervisor::startup::history_is_readable;
use crate::supervisor::startup::readiness::{Readiness, Standing};

/// A projection of the configuration.
pub struct CheckedProjection<'a> {
    pub servers: &'a Servers,
    pub settings: &'a Settings,
    pub loaded: &'a Loaded,
    /// Whether the source can be asked anything.
    pub outbox_answers: bool,
    /// What it shares with another projection of the configuration, in sentences: it keeps whichever begins later.
    pub shared: Vec<&'a str>,
}

impl CheckedProjection<'_> {
    pub async fn check(
        &self,
        engine: &Engine,
        budget: &Budget,
        applier: &mut Session,
        ddl: &mut Session,
        report: &mut CheckReport,
    ) {
        let (servers, name) = (self.servers, self.settings.name.as_str());
        let what = format!("projection `{name}`");
        check_lease(servers, name, applier, report).await;
        let notes = self.loaded.deployed.schema.notes();
        for note in &notes {
            report.note(&format!("SQL of `{name}`"), note);
        }
        // Who may not read what is registered is told of that with all that the account lacks.
        let found = servers.control.of(ddl, name).registration().await;
        let checked = match found.and_then(|found| Standing::of(name, found)) {
            Ok(Standing::New) => self.beginning(applier, ddl, report).await,
            Ok(Standing::Begun(registration)) => {
                let versions = Versions::new(engine.clone(), budget.clone(), self.loaded.clone());
                self.going_on(&registration, &versions, applier, ddl, report).await
            }
            Err(failure) => Err(failure),
        };
        match checked {
            Ok(0) if self.shared.is_empty() => report.ok(&what, "it can run"),
            Ok(0) => self.shared.iter().for_each(|problem| report.fail(&what, problem)),
            Ok(_) => {}
            // That the source is not reachable is told already.
            Err(Failure::SourceUnavailable { .. } | Failure::NoPrimary { .. }) if !self.outbox_answers => {}
            Err(failure) => report.refuse(&what, &failure),
        }
    }

    /// One that has not begun: how many obstacles there are.
    async fn beginning(
        &self,
        applier: &mut Session,
        ddl: &mut Session,
        report: &mut CheckReport,
    ) -> Result<usize, Failure> {
        let Self { servers, settings, loaded, .. } = *self;
        let mut readiness = Readiness { servers, settings, loaded, applier, ddl };
        let findings = readiness.ask_to_begin().await?;
        let what = format!("projection `{}`", settings.name);
        findings.notes.iter().for_each(|note| report.note(&what, note));
        let obstacles: Vec<&Failure> = findings.obstacles.iter().filter(|one| !self.is_told(one)).collect();
        for failure in &obstacles {
            report.refuse(&what, failure);
        }
        // What would stand in the way as soon as there is an event to read.
        if obstacles.is_empty()
            && settings.from_history
            && let Err(failure @ Failure::Misconfigured { .. }) = history_is_readable(servers, loaded).await
        {
            report.note(&what, &format!("as soon as the outbox holds an event, it cannot begin: {failure}"));
            report.told.push(failure);
        }
        Ok(findings.obstacles.len())
    }

    /// That there is no outbox is told once, where MongoDB is.
    fn is_told(&self, obstacle: &Failure) -> bool {
        !self.outbox_answers && *obstacle == self.servers.outbox.missing()
    }

    /// One that goes on.
    async fn going_on(
        &self,
        registration: &Registration,
        versions: &Versions,
        applier: &mut Session,
        ddl: &mut Session,
        report: &mut CheckReport,
    ) -> Result<usize, Failure> {
        let Self { servers, settings, loaded, .. } = *self;
        let (what, live) = (format!("projection `{}`", settings.name), registration.live_generation);
        let (control, database) = (&servers.control, servers.applier.database());
        let rehearsed = rehearsal::rehearse(ddl, control, database, &loaded.deployed.schema).await?;
        rehearsed.meetings.iter().for_each(|note| report.note(&what, note));
        let (runs, fits) = versions.preview(applier, servers).await?;
        let mut found = 0;
        match fits {
            Some(HowItFits::Not(reason)) => {
                report.fail(&what, &format!("the configured component is not deployed: {reason}"));
                found += 1;
            }
            Some(HowItFits::OtherTables) => match settings.takes_history() {
                Ok(()) => report.note(
                    &what,
                    "the configured component has other tables: they are built beside the live ones, and take their place",
                ),
                Err(failure) => {
                    report.refuse(&what, &failure);
                    found += 1;
                }
            },
            Some(HowItFits::Live) | None => {}
        }
        let mut readiness = Readiness { servers, settings, loaded: &runs, applier, ddl };
        let findings = readiness.ask_to_go_on(registration).await?;
        let obstacles = findings.obstacles.len();
        findings.obstacles.iter().for_each(|failure| report.refuse(&what, failure));
        if obstacles == 0 {
            let held = readiness.held(live).await?;
            let lost = readiness.source_goes_on(live).await.err();
            for failure in held.iter().chain(&lost) {
                report.refuse(&what, failure);
                found += 1;
            }
        }
        Ok(found + obstacles)
    }
}

/// Whether a host writes whose sessions this configuration's account is not shown.
async fn check_lease(servers: &Servers, projection: &str, applier: &mut Session, report: &mut CheckReport) {
    let what = format!("lease of `{projection}`");
    match servers.control.of(applier, projection).lease_stranger().await {
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
        Err(failure) => report.refuse(&what, &failure),
    }
}
