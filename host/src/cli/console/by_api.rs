//! Commands that ask a host's API, and need no account of a database.

use std::io::{BufRead, BufReader};

use anyhow::Context;
use serde_json::{Value, json};

use super::host_api::{Call, HostApi, encoded, query};
use super::{AskedAggregate, CandidateFile, Console, LetterFilter};
use crate::event::Named;
use crate::operation::choice::{LetterBoundary, LetterChoice};
use crate::operation::deployments::Deployments;
use crate::operation::dry_run::DryDeployment;
use crate::operation::hosts::Hosts;
use crate::operation::load::{self, NotDeployable, Uploaded};
use crate::operation::pages::{LetterPage, OperationPage};
use crate::operation::shadow::ShadowReport;
use crate::operation::standing::Generations;
use crate::operation::standstill::PauseProgress;
use crate::operation::whole_letter::WholeLetter;
use crate::operation::why::Why;
use crate::operation::wish::{LetterWish, Wish};
use crate::readmodel::control::command::{Cancellation, CommandRecord, RecordFilter};
use crate::readmodel::lane::dead_letter::Letter;
use crate::source::PageFrom;

const BASE: &str = "/api/v1";

/// How many letters the API gives at a time.
const LETTERS_MAX: u32 = 100;

fn at(projection: &str, rest: &str) -> String {
    format!("{BASE}/projections/{}{rest}", encoded(projection))
}

impl LetterFilter {
    fn query(&self, limit: u32, counts: bool) -> String {
        let Self { id, aggregate, class, heads_only, after } = self;
        query(&[
            ("id", id.map(|id| id.to_string())),
            ("aggregate", aggregate.as_ref().map(Named::to_string)),
            ("class", class.clone()),
            ("heads_only", heads_only.then(|| "true".to_owned())),
            ("after", Some(after.to_string())),
            ("limit", Some(limit.clamp(1, LETTERS_MAX).to_string())),
            ("count", counts.then(|| "true".to_owned())),
        ])
    }
}

/// The path below a projection and the body that a wish is asked for with.
fn asked(wish: &Wish) -> (String, Value) {
    let to = |path: &str, body: Value| (path.to_owned(), body);
    match wish {
        Wish::Pause { why } => to("/pause", json!({ "why": why })),
        Wish::Resume => to("/resume", Value::Null),
        Wish::Deploy { digest, canary_seconds } => {
            to("/deployments", json!({ "digest": digest, "canary_seconds": canary_seconds }))
        }
        Wish::Rollback => to("/rollback", Value::Null),
        Wish::Rebuild { accept, until, aggregate } => {
            to("/generations", json!({ "accept": accept, "until": until, "aggregate": aggregate }))
        }
        Wish::Verify { repair } => to("/verifications", json!({ "repair": repair })),
        Wish::Accept { generation, shown } => {
            (format!("/generations/{generation}/accept"), json!({ "shown": shown }))
        }
        Wish::Return { generation } => (format!("/generations/{generation}/return"), Value::Null),
        Wish::Drop { generation } => (format!("/generations/{generation}/drop"), Value::Null),
        Wish::Letters { what, choice, limits } => {
            let (path, why) = match what {
                LetterWish::Replay => ("/letters/replay", None),
                LetterWish::Rehearse => ("/letters/replay?dry_run=true", None),
                LetterWish::Discard { why } => ("/letters/discard", Some(why)),
                LetterWish::Erase { why } => ("/letters/erase", Some(why)),
            };
            let LetterChoice { id, event, aggregate, class, among, until, .. } = choice;
            let ids = id.map(|id| vec![id]).or_else(|| among.clone());
            let is_all = ids.is_none() && event.is_none() && aggregate.is_none() && class.is_none();
            let boundary = limits.generation.zip(*until);
            let boundary = boundary.map(|(generation, until)| LetterBoundary { generation, until });
            let body = json!({
                "ids": ids, "event": event, "aggregate": aggregate.as_ref().map(Named::to_string), "class": class,
                "all": is_all, "boundary": boundary, "count": limits.count, "why": why,
            });
            to(path, body)
        }
    }
}

impl HostApi {
    fn letter_page(&self, projection: &str, query: &str) -> anyhow::Result<LetterPage> {
        let mut answer: LetterPage = self.call(&Call::get(&at(projection, &format!("/letters{query}"))))?;
        for letter in &mut answer.letters {
            let exact = letter.aggregate_exact.as_deref().and_then(|exact| exact.parse().ok());
            if let Some(Named::Exact(aggregate)) = exact {
                letter.aggregate_key = Some(aggregate.key());
            }
        }
        Ok(answer)
    }
}

impl Console for HostApi {
    type Candidate = Uploaded;

    async fn registered(&mut self, projection: &str) -> anyhow::Result<()> {
        self.deployments(projection, 1).await?;
        Ok(())
    }

    async fn letters(
        &mut self,
        projection: &str,
        filter: &LetterFilter,
        limit: u32,
    ) -> anyhow::Result<Vec<Letter>> {
        Ok(self.letter_page(projection, &filter.query(limit, false))?.letters)
    }

    async fn count(&mut self, projection: &str, filter: &LetterFilter) -> anyhow::Result<u64> {
        Ok(self.letter_page(projection, &filter.query(1, true))?.count.unwrap_or_default())
    }

    async fn letter(&mut self, projection: &str, id: u64) -> anyhow::Result<WholeLetter> {
        self.call(&Call::get(&at(projection, &format!("/letters/{id}"))))
    }

    async fn export(
        &mut self,
        projection: &str,
        filter: &LetterFilter,
        write: &mut impl FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let LetterFilter { id, aggregate, class, .. } = filter;
        let which = query(&[
            ("id", id.map(|id| id.to_string())),
            ("aggregate", aggregate.as_ref().map(Named::to_string)),
            ("class", class.clone()),
        ]);
        let response = self.answered(&Call::get(&at(projection, &format!("/letters/export{which}"))))?;
        for line in BufReader::new(response.into_body().into_reader()).lines() {
            write(&line.context("the host's answer ended before its end: the export is not complete")?)?;
        }
        Ok(())
    }

    async fn boundary(&mut self, projection: &str) -> anyhow::Result<LetterBoundary> {
        Ok(self.letter_page(projection, &LetterFilter::default().query(1, false))?.boundary)
    }

    async fn would_be_about(&mut self, projection: &str, wish: &Wish) -> anyhow::Result<u64> {
        let (path, body) = asked(wish);
        let told: Value = self.call(&Call::post(&at(projection, &format!("{path}?dry_run=true")), &body))?;
        told["letters"].as_u64().context("the host does not say how many letters these are")
    }

    async fn ask(&mut self, projection: &str, wish: Wish) -> anyhow::Result<u64> {
        let (path, body) = asked(&wish);
        let written: CommandRecord = self.call(&Call::post(&at(projection, &path), &body))?;
        Ok(written.id)
    }

    async fn operation(&mut self, id: u64) -> anyhow::Result<CommandRecord> {
        self.call(&Call::get(&format!("{BASE}/operations/{id}")))
    }

    async fn operations(&mut self, filter: &RecordFilter, limit: u32) -> anyhow::Result<Vec<CommandRecord>> {
        let RecordFilter { projection, by, kind, is_over, state, before } = filter.clone();
        let which = query(&[
            ("projection", projection),
            ("by", by),
            ("kind", kind),
            ("over", is_over.map(|is_over| is_over.to_string())),
            ("state", state.map(|state| state.name().to_owned())),
            ("before", before.map(|before| before.to_string())),
            ("limit", Some(limit.to_string())),
        ]);
        let answer: OperationPage = self.call(&Call::get(&format!("{BASE}/operations{which}")))?;
        Ok(answer.operations)
    }

    async fn cancel(&mut self, id: u64, is_dry: bool) -> anyhow::Result<Cancellation> {
        let path = format!("{BASE}/operations/{id}?dry_run={is_dry}");
        let (code, _) = self.call_with_code::<CommandRecord>(&Call::delete(&path))?;
        Ok(if code == 202 { Cancellation::Asked } else { Cancellation::Over })
    }

    async fn pause(&mut self, projection: &str) -> anyhow::Result<PauseProgress> {
        self.call(&Call::get(&at(projection, "/pause")))
    }

    async fn hosts(&mut self) -> anyhow::Result<Hosts> {
        self.call(&Call::get(&format!("{BASE}/hosts")))
    }

    async fn reports_take_up(&mut self) -> anyhow::Result<bool> {
        Ok(true)
    }

    async fn deployments(&mut self, projection: &str, limit: u32) -> anyhow::Result<Deployments> {
        self.call(&Call::get(&at(projection, &format!("/deployments?limit={limit}"))))
    }

    async fn generations(&mut self, projection: &str) -> anyhow::Result<Generations> {
        self.call(&Call::get(&at(projection, "/generations")))
    }

    async fn why(&mut self, asked: AskedAggregate<'_>) -> anyhow::Result<Why> {
        let AskedAggregate { projection, aggregate, from, limit } = asked;
        let (before, after) = match from {
            PageFrom::Newest => (None, None),
            PageFrom::Before(mark) => (Some(mark.to_string()), None),
            PageFrom::After(mark) => (None, Some(mark.to_string())),
        };
        let which = query(&[
            ("aggregate", Some(aggregate.to_string())),
            ("before", before),
            ("after", after),
            ("limit", Some(limit.to_string())),
        ]);
        self.call(&Call::get(&at(projection, &format!("/aggregates{which}"))).long())
    }

    /// The host loads and checks it, and stores it.
    async fn candidate(&mut self, file: CandidateFile<'_>) -> anyhow::Result<Uploaded> {
        let CandidateFile { projection, file, without_upcaster } = file;
        let bytes = load::read(file)?;
        let path = at(projection, &format!("/components?without_upcaster={without_upcaster}"));
        let sent = self.call(&Call::component(&path, bytes));
        sent.map_err(|error| NotDeployable::of(file, error.to_string().lines()).into())
    }

    fn told<'c>(&self, candidate: &'c Uploaded) -> &'c Uploaded {
        candidate
    }

    async fn dry_deployment(
        &mut self,
        projection: &str,
        candidate: &Uploaded,
        canary_seconds: u32,
    ) -> anyhow::Result<DryDeployment> {
        let body = json!({ "digest": candidate.digest, "canary_seconds": canary_seconds });
        self.call(&Call::post(&at(projection, "/deployments?dry_run=true"), &body).long())
    }

    async fn shadow(
        &mut self,
        projection: &str,
        candidate: &Uploaded,
        documents: u32,
    ) -> anyhow::Result<ShadowReport> {
        let body = json!({ "digest": candidate.digest, "documents": documents });
        self.call(&Call::post(&at(projection, "/shadow"), &body).long())
    }

    async fn store(&mut self, _: &str, candidate: Uploaded) -> anyhow::Result<String> {
        Ok(candidate.digest)
    }
}
