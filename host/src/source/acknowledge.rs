//! Acknowledging the outbox's documents: a mark in each, or its deletion. All that is ever written to MongoDB,
//! and only where the configuration asks for it.
//!
//! Everything here may be repeated, also late and by two hosts at once.

use std::time::Duration;

use bson::{Bson, Document, doc};

use super::error::{by_code, classify};
use super::reply::malformed;
use super::{Outbox, SourceIdentity};
use crate::event::Id;
use crate::failure::Failure;

/// The field that marks stand in, one for each projection. The decoder does not read it.
pub const MARK_FIELD: &str = "laterna";

/// How many documents one statement is about, and how many one command.
const STATEMENT_IDS_MAX: usize = 1000;
const COMMAND_IDS_MAX: usize = 5000;

/// How long a write may take until a majority has it, and until it is given up.
const MAJORITY_TIMEOUT_MS: i64 = 20_000;
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Codes of a single document that cannot take a mark: its field `laterna` is no document, or it is full (three codes).
const UNMARKABLE: [i32; 4] = [28, 10334, 17419, 17420];

/// How some events stand with a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentMark {
    pub status: &'static str,
    pub ids: Vec<Id>,
    /// The row of the dedupe window: a later one is never overwritten by an earlier one.
    pub row: u64,
    /// When it was committed, in milliseconds since 1970.
    pub committed_ms: i64,
}

impl Outbox {
    /// Marks documents. Answers how many cannot bear a mark; those are passed by.
    pub async fn mark(&self, projection: &str, marks: &[DocumentMark]) -> Result<u64, Failure> {
        let mut refused = 0;
        let (mut statements, mut ids) = (Vec::new(), 0);
        for mark in marks {
            for chunk in mark.ids.chunks(STATEMENT_IDS_MAX) {
                statements.push((mark, chunk));
                ids += chunk.len();
                if ids >= COMMAND_IDS_MAX {
                    refused += self.mark_some(projection, &statements).await?;
                    (statements, ids) = (Vec::new(), 0);
                }
            }
        }
        Ok(refused + self.mark_some(projection, &statements).await?)
    }

    async fn mark_some(
        &self,
        projection: &str,
        statements: &[(&DocumentMark, &[Id])],
    ) -> Result<u64, Failure> {
        if statements.is_empty() {
            return Ok(0);
        }
        let updates = statements.iter().map(|(mark, ids)| update(projection, mark, ids)).collect();
        let mut refused = 0;
        for (index, error) in self.update(updates).await? {
            if !UNMARKABLE.contains(&error.code) {
                return Err(error.failure("marking the outbox's documents"));
            }
            let (mark, ids) = statements[index];
            refused += match ids {
                [_] => 1,
                // The statement ended at the first such document.
                ids => self.mark_one_by_one(projection, mark, ids).await?,
            };
        }
        Ok(refused)
    }

    async fn mark_one_by_one(
        &self,
        projection: &str,
        mark: &DocumentMark,
        ids: &[Id],
    ) -> Result<u64, Failure> {
        let updates = ids.iter().map(|id| update(projection, mark, std::slice::from_ref(id))).collect();
        let errors = self.update(updates).await?;
        match errors.iter().find(|(_, error)| !UNMARKABLE.contains(&error.code)) {
            Some((_, error)) => Err(error.failure("marking the outbox's documents")),
            None => Ok(errors.len() as u64),
        }
    }

    /// Deletes documents. Answers how many there still were.
    pub async fn delete(&self, ids: &[Id]) -> Result<u64, Failure> {
        let mut deleted = 0;
        for chunk in ids.chunks(STATEMENT_IDS_MAX) {
            let delete = doc! { "q": one_of(chunk), "limit": 0 };
            let command = doc! { "delete": self.name(), "deletes": [delete], "ordered": false };
            let (reply, errors) = self.write("deleting from the outbox", command).await?;
            if let Some((_, error)) = errors.first() {
                return Err(error.failure("deleting from the outbox"));
            }
            deleted += number(&reply, "n");
        }
        Ok(deleted)
    }

    /// Records that documents of this outbox are deleted, before any of a round is. The note stands beside the outbox,
    /// so that it is backed up, restored and lost together with the documents it speaks of.
    pub async fn record_deletion(&self, identity: &SourceIdentity) -> Result<(), Failure> {
        let first = doc! { "$setOnInsert": { "historyDeletedSince": bson::DateTime::now() } };
        let upsert = doc! { "q": { "_id": &identity.collection }, "u": first, "upsert": true };
        let command = doc! { "update": self.notes(), "updates": [upsert] };
        let doing = "recording that the outbox's history is deleted";
        match self.write(doing, command).await?.1.first() {
            // 11000: another host was faster.
            Some((_, error)) if error.code != 11000 => Err(error.failure(doing)),
            _ => Ok(()),
        }
    }

    /// Since when documents of this outbox are deleted; none while its history is complete. Linearizable: whoever
    /// registers before it asks is seen by whoever records before it deletes.
    async fn history_deleted(&self, identity: &SourceIdentity) -> Result<Option<String>, Failure> {
        let doing = "asking whether the outbox's history is complete";
        let find = doc! {
            "find": self.notes(),
            "filter": { "_id": &identity.collection },
            "limit": 1,
            "singleBatch": true,
            "readConcern": { "level": "linearizable" },
            "maxTimeMS": MAJORITY_TIMEOUT_MS,
        };
        let is_direct = self.is_direct().await?;
        let failed = |error| match classify(doing, &error) {
            Failure::SourceUnavailable { message } if is_direct => Failure::NoPrimary {
                message: format!(
                    "{message}; only a primary knows: `mongodb.uri` says directConnection=true, leave that out and \
                     end it with ?replicaSet=NAME, so that the primary is found"
                ),
            },
            failure => failure,
        };
        let found = self.database().await?.run_command(find).await.map_err(failed)?;
        let notes = found.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        let note = notes.map_err(|_| malformed("it has no batch"))?.first().and_then(Bson::as_document);
        let since =
            |note: &Document| note.get_datetime("historyDeletedSince").ok()?.try_to_rfc3339_string().ok();
        Ok(note.map(|note| since(note).unwrap_or_else(|| "an unknown time".to_owned())))
    }

    /// Refuses history that is not complete: a read model built from it would lack what was deleted.
    pub async fn complete_history(&self, identity: &SourceIdentity) -> Result<(), Failure> {
        match self.history_deleted(identity).await? {
            None => Ok(()),
            Some(since) => Err(Failure::misconfigured(
                format!(
                    "documents of the outbox were deleted after they were projected (`mongodb.acknowledge`, first at \
                     {since}), so a read model that is built from its history would lack them"
                ),
                format!(
                    "begin with `start = \"now\"`, or bring the documents back and delete the note of {} in the \
                     collection `{}_laterna`",
                    identity.collection, identity.namespace
                ),
            )),
        }
    }

    /// Checks that this account may mark documents. Changes nothing.
    pub async fn may_mark(&self) -> Result<(), Failure> {
        let update = doc! { "q": one_of(&[]), "u": { "$set": { MARK_FIELD: {} } }, "multi": true };
        self.update(vec![update]).await.map(|_| ())
    }

    /// Checks that this account may delete documents, and record that it did. Changes nothing.
    pub async fn may_delete(&self) -> Result<(), Failure> {
        let delete = doc! { "q": one_of(&[]), "limit": 0 };
        let delete = doc! { "delete": self.name(), "deletes": [delete] };
        self.write("deleting from the outbox", delete).await?;
        let note =
            doc! { "q": one_of(&[]), "u": { "$set": { "historyDeletedSince": Bson::Null } }, "multi": true };
        let note = doc! { "update": self.notes(), "updates": [note] };
        self.write("recording that the outbox's history is deleted", note).await.map(|_| ())
    }

    /// The collection for what is to be known about the outbox.
    fn notes(&self) -> String {
        format!("{}_laterna", self.name())
    }

    async fn update(&self, updates: Vec<Document>) -> Result<Vec<(usize, WriteError)>, Failure> {
        let command = doc! { "update": self.name(), "updates": updates, "ordered": false };
        Ok(self.write("marking the outbox's documents", command).await?.1)
    }

    /// Writes until a majority has it, and gives the reply with the errors of single statements.
    async fn write(
        &self,
        doing: &str,
        mut command: Document,
    ) -> Result<(Document, Vec<(usize, WriteError)>), Failure> {
        command.insert("writeConcern", doc! { "w": "majority", "wtimeout": MAJORITY_TIMEOUT_MS });
        let silence = |_| Failure::SourceUnavailable {
            message: format!("{doing}: no answer within {} s", WRITE_TIMEOUT.as_secs()),
        };
        let database = self.database().await?;
        let writing = tokio::time::timeout(WRITE_TIMEOUT, database.run_command(command));
        let reply = writing.await.map_err(silence)?;
        let reply = reply.map_err(|error| with_remedy(classify(doing, &error)))?;
        if let Ok(error) = reply.get_document("writeConcernError") {
            return Err(WriteError::from(error).failure(doing));
        }
        let errors = reply.get_array("writeErrors").map(Vec::as_slice).unwrap_or_default();
        let errors = errors.iter().filter_map(Bson::as_document);
        let errors = errors
            .map(|error| {
                (usize::try_from(number(error, "index")).unwrap_or(usize::MAX), WriteError::from(error))
            })
            .collect();
        Ok((reply, errors))
    }
}

/// Why a statement was not carried out.
struct WriteError {
    code: i32,
    message: String,
}

impl From<&Document> for WriteError {
    fn from(error: &Document) -> Self {
        let code = i32::try_from(number(error, "code")).unwrap_or_default();
        Self { code, message: error.get_str("errmsg").unwrap_or_default().to_owned() }
    }
}

impl WriteError {
    fn failure(&self, doing: &str) -> Failure {
        let Self { code, message } = self;
        let message = format!("{doing}: {message} ({code})");
        match code {
            // DocumentValidationFailure.
            121 => Failure::misconfigured(
                message,
                format!("allow the field `{MARK_FIELD}` in the collection's validator"),
            ),
            code => with_remedy(by_code(*code, message)),
        }
    }
}

/// Adds the privileges that an account needs that may not write.
fn with_remedy(failure: Failure) -> Failure {
    match failure {
        Failure::AccessDenied { code, message } => Failure::AccessDenied {
            code,
            message: format!(
                "{message}; `mongodb.acknowledge` needs the role readWrite on the outbox's database"
            ),
        },
        failure => failure,
    }
}

/// The update that marks some documents, unless they bear a later mark. A row's number is later unless its time is
/// earlier: after a restore of MySQL, numbers begin again.
fn update(projection: &str, mark: &DocumentMark, ids: &[Id]) -> Document {
    let at = bson::DateTime::from_millis(mark.committed_ms);
    let row = i64::try_from(mark.row).unwrap_or(i64::MAX);
    let field = format!("{MARK_FIELD}.{projection}");
    let earlier = vec![
        doc! { format!("{field}.row"): { "$exists": false } },
        doc! { format!("{field}.row"): { "$lt": row } },
        doc! { format!("{field}.at"): { "$lt": at } },
    ];
    let mut query = one_of(ids);
    query.insert("$or", earlier);
    doc! { "q": query, "u": { "$set": { field: { "status": mark.status, "at": at, "row": row } } }, "multi": true }
}

fn one_of(ids: &[Id]) -> Document {
    doc! { "_id": { "$in": ids.iter().map(value).collect::<Vec<_>>() } }
}

/// An id as MongoDB compares it: numbers of all types are one.
fn value(id: &Id) -> Bson {
    match id {
        Id::Integer(number) => (*number).into(),
        Id::Text(text) => text.as_str().into(),
        Id::Uuid(bytes) => {
            bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: bytes.to_vec() }.into()
        }
        Id::ObjectId(bytes) => bson::oid::ObjectId::from_bytes(*bytes).into(),
    }
}

/// A number of a reply, whatever width it has there.
fn number(document: &Document, name: &str) -> u64 {
    let found = match document.get(name) {
        Some(Bson::Int32(number)) => u64::try_from(*number).ok(),
        Some(Bson::Int64(number)) => u64::try_from(*number).ok(),
        _ => None,
    };
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Fault;

    #[test]
    fn a_refusal_says_what_to_grant() {
        let error = WriteError { code: 13, message: "not authorized on bank to execute command".into() };
        let failure = error.failure("deleting");
        assert_eq!(failure.fault(), Fault::Setup);
        assert!(failure.to_string().contains("readWrite"), "{failure}");
    }

    #[test]
    fn a_majority_that_does_not_answer_is_waited_for() {
        for code in [64, 91, 100, 189, 11602] {
            let error = WriteError { code, message: String::new() };
            assert_eq!(error.failure("marking").fault(), Fault::Environment, "{code}");
        }
    }

    #[test]
    fn a_validator_that_refuses_marks_is_named() {
        let error = WriteError { code: 121, message: "Document failed validation".into() };
        assert!(error.failure("marking").to_string().contains("validator"));
    }
}
