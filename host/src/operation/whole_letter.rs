//! A dead letter with everything that is stored of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ask::{self, Refusal};
use super::choice;
use crate::failure::remedy_of_letters;
use crate::readmodel::lane::dead_letter::{self, Content, Letter};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// A letter with everything that is stored of it.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WholeLetter {
    #[serde(flatten)]
    pub letter: Letter,
    /// What to do about it, as its class says; none for a letter that waits behind another one.
    pub remedy: Option<String>,
    /// The document as canonical Extended JSON; none where it was erased, is masked, or is no valid BSON.
    pub document: Option<Value>,
    /// Its bytes where they are no valid BSON.
    pub document_base64: Option<Value>,
    /// The operations that the read model refused.
    pub operations: Option<String>,
}

impl WholeLetter {
    /// Takes out what the event, the projector or the row said.
    pub fn mask(&mut self) {
        self.letter.mask();
        (self.document, self.document_base64, self.operations) = (None, None, None);
    }
}

/// A letter and what is stored of it, not decoded yet: a large document takes seconds, and whoever shares a session gives it
/// back first.
#[derive(Debug)]
pub struct StoredLetter {
    letter: Letter,
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
    Ok(StoredLetter { letter, content: contents.pop().flatten() })
}

impl StoredLetter {
    /// Decodes it. Asks no server.
    pub fn whole(self) -> WholeLetter {
        let Self { letter, content } = self;
        let is_erased = letter.erased_at.is_some();
        let remedy = letter.class.as_deref().and_then(remedy_of_letters).map(str::to_owned);
        let mut whole =
            WholeLetter { letter, remedy, document: None, document_base64: None, operations: None };
        if let Some(Content { document, operations, .. }) = content.filter(|_| !is_erased) {
            whole.operations = operations;
            match dead_letter::shown_document(document) {
                ("document", document) => whole.document = Some(document),
                (_, bytes) => whole.document_base64 = Some(bytes),
            }
        }
        whole
    }
}
