//! Asks the host to read its configuration anew, and says what came of it.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// How many may ask at a time.
const ASKED_MAX: usize = 4;

/// The result of a reload.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Reloaded {
    /// What differed and is in force now; of a dry run: would be.
    pub applied: Vec<String>,
    /// What differs and is taken over when the host starts again.
    pub needs_restart: Vec<String>,
}

impl Reloaded {
    /// The result in one line.
    pub fn told(&self) -> String {
        let list = |names: &[String], what: &str| {
            (!names.is_empty()).then(|| format!("{}: {what}", names.join(", ")))
        };
        let parts = [list(&self.applied, "taken over"), list(&self.needs_restart, "needs a restart")];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "nothing differs".to_owned() } else { parts.join("; ") }
    }
}

/// Somebody's wish to have the configuration read anew.
pub struct ReloadRequest {
    /// Only tells what would be done.
    pub is_dry: bool,
    /// Who asks, for the log and the audit.
    pub by: String,
    /// What came of it, or why nothing changed.
    pub answer: oneshot::Sender<Result<Reloaded, String>>,
}

/// Where reloads are asked for.
#[derive(Debug, Clone)]
pub struct ReloadDesk(mpsc::Sender<ReloadRequest>);

impl ReloadDesk {
    /// A desk, and the requests that are put on it.
    pub fn new() -> (Self, mpsc::Receiver<ReloadRequest>) {
        let (asked, requests) = mpsc::channel(ASKED_MAX);
        (Self(asked), requests)
    }

    /// Asks, and waits for the answer; none where the host is stopping.
    pub async fn ask(&self, is_dry: bool, by: &str) -> Option<Result<Reloaded, String>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(ReloadRequest { is_dry, by: by.to_owned(), answer }).await.ok()?;
        answered.await.ok()
    }
}
