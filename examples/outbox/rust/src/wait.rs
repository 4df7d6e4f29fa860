//! Reading one's own writes: waits until the tables of a projection have an event. docs/reading-your-writes.md

use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::{Error, Result};

/// For how long one answer is waited for, so that a connection through others is not cut.
const AT_A_TIME: Duration = Duration::from_secs(2);

/// The API of a host.
#[derive(Debug, Clone)]
pub struct Projections {
    url: String,
    token: Option<String>,
}

struct Answer {
    status: u16,
    again: Duration,
    told: Value,
}

impl Projections {
    /// Its address, e.g. `http://127.0.0.1:7420`, and a token of it.
    pub fn new(url: &str, token: Option<&str>) -> Self {
        let url = format!("{}/api/v1/projections", url.trim_end_matches('/'));
        Self { url, token: token.map(ToOwned::to_owned) }
    }

    /// Waits for an event by its id, and gives what became of it: `applied`, `ignored`, `discarded` or `passed`.
    pub async fn wait(&self, projection: &str, id: &str, patience: Duration) -> Result<String> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Answer { status, again, told } = self.ask(projection, id, left.min(AT_A_TIME)).await?;
            let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
            match status {
                200 => return Ok(text("state")),
                409 => {
                    let letter = told["letter"].clone();
                    return Err(Error::DeadLetter { detail: text("detail"), state: text("state"), letter });
                }
                // 429: this one asks too often; 503: too many wait.
                202 | 429 | 503 => {}
                other => {
                    return Err(Error::NoAnswer(format!("the host answered {other}: {}", text("detail"))));
                }
            }
            if Instant::now() + again >= until {
                return Err(Error::StillPending(format!(
                    "{projection} does not have {id} after {patience:?}"
                )));
            }
            tokio::time::sleep(again).await;
        }
    }

    async fn ask(&self, projection: &str, id: &str, wait: Duration) -> Result<Answer> {
        let [projection, id] = [projection, id].map(|part| utf8_percent_encode(part, NON_ALPHANUMERIC));
        let place = format!("{}/{projection}/events/{id}?wait={}ms", self.url, wait.as_millis());
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let asked = tokio::task::spawn_blocking(move || {
            let answer = get(&place, bearer.as_deref(), wait + Duration::from_secs(5));
            answer.map_err(|error| Error::NoAnswer(format!("{place}: {error}")))
        });
        asked.await.map_err(|error| Error::NoAnswer(error.to_string()))?
    }
}

fn get(place: &str, bearer: Option<&str>, patience: Duration) -> std::result::Result<Answer, ureq::Error> {
    let settings = ureq::Agent::config_builder().timeout_global(Some(patience)).http_status_as_error(false);
    let mut request = ureq::Agent::from(settings.build()).get(place);
    if let Some(bearer) = bearer {
        request = request.header("Authorization", bearer);
    }
    let mut answer = request.call()?;
    let again = answer.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse().ok());
    let again = Duration::from_secs(again.unwrap_or(1));
    Ok(Answer { status: answer.status().as_u16(), again, told: answer.body_mut().read_json()? })
}
