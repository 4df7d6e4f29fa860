//! A dead letter with everything that is stored of it.

use bson::RawDocument;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ask::{self, Refusal};
use super::choice;
use crate::failure::remedy_of_letters;
use crate::readmodel::lane::dead_letter::{self, Content, Letter};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;
use crate::source::Decoder;

/// A letter with everything that is stored of it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WholeLetter {
    #[serde(flatten)]
    pub letter: Letter,
    /// What to do about it, as its class says; none for a letter that waits behind another one.
    pub remedy: Option<String>,
    /// The trace that its event belongs to, by the `traceparent` of whoever wrote it; none where the document was erased.
    #[serde(default)]
    pub trace_id: Option<String>,
    /// The document as canonical Extended JSON; none where it was erased, is masked, or is no valid BSON.
    pub document: Option<Value>,
    /// Its bytes where they are no valid BSON.
    pub document_base64: Option<Value>,
    /// The operations that the read model refused.
    pub operations: Option<String>,
}

impl WholeLetter {
    /// Takes out what the event, the projector or the row said. The id of its trace is none of that.
    pub fn mask(&mut self) {
        self.letter.mask();
        (self.document, self.document_base64, self.operations) = (None, None, None);
    }
}

/// A letter and what is stored of it, not decoded yet: a large document takes seconds, and whoever shares a session gives it
/// back first.
pub struct StoredLetter {
    letter: Letter,
    decoder: Decoder,
    /// None where it may have been replayed or discarded in between.
    content: Option<Content>,
}

/// Reads one letter.
pub async fn read(
    session: &mut Session,
    servers: &Servers,
    projection: &str,
    id: u64,
) -> Result<StoredLetter, Refusal> {
    ask::registered(session, servers, projection).await?;
    let letter = choice::find(session, servers, projection, id).await?;
    let mut contents = servers.control.on(session).letter_contents(std::slice::from_ref(&letter)).await?;
    let decoder = servers.decoder.clone();
    Ok(StoredLetter { letter, decoder, content: contents.pop().flatten() })
}

impl StoredLetter {
    /// Decodes it. Asks no server.
    pub fn whole(self) -> WholeLetter {
        let Self { letter, decoder, content } = self;
        let is_erased = letter.erased_at.is_some();
        let remedy = letter.class.as_deref().and_then(remedy_of_letters).map(str::to_owned);
        let (document, document_base64, operations) = (None, None, None);
        let mut whole = WholeLetter { letter, remedy, trace_id: None, document, document_base64, operations };
        if let Some(Content { document, operations, .. }) = content.filter(|_| !is_erased) {
            whole.operations = operations;
            whole.trace_id = trace_id(&decoder, &document);
            match dead_letter::shown_document(document) {
                ("document", document) => whole.document = Some(document),
                (_, bytes) => whole.document_base64 = Some(bytes),
            }
        }
        whole
    }
}

/// The trace of a document's event, as its spans have it.
fn trace_id(decoder: &Decoder, document: &[u8]) -> Option<String> {
    let document = RawDocument::from_bytes(document).ok()?;
    let parent = decoder.decode(document).ok()?.trace_parent()?;
    Some(hex::encode(parent.trace_id))
}
