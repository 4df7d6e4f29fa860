//! The metrics as `OpenMetrics` text, for whoever asks for it: the same as in the format of Prometheus, and exemplars.

use std::collections::BTreeMap;
use std::fmt::Write;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

use crate::status::exemplars::Exemplar;
use crate::status::measures::LATENCY;

pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How the names of counters' samples end; those of their families do not.
const COUNTER: &str = "_total";

/// The exemplars of each projection.
pub type ExemplarsBy = BTreeMap<String, Vec<Exemplar>>;

/// Returns true where whoever asks takes `OpenMetrics` text.
pub fn is_asked_for(headers: &HeaderMap) -> bool {
    let takes = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    takes
        .flat_map(|value| value.split(','))
        .any(|kind| kind.trim().starts_with("application/openmetrics-text"))
}

/// Makes `OpenMetrics` text of a text in the format of Prometheus.
pub fn render(text: &str, exemplars: &ExemplarsBy) -> String {
    let mut rendered = String::with_capacity(text.len() + 1024);
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(told) => rendered.push_str(&metadata(told)),
            None => rendered.push_str(line),
        }
        if let Some(exemplar) = of_bucket(line, exemplars) {
            let Exemplar { trace_id, took, at, .. } = exemplar;
            let (id, took, at) = (hex::encode(trace_id), took.as_secs_f64(), at.as_secs_f64());
            // Writing to a text does not fail.
            let _ = write!(rendered, " # {{trace_id=\"{id}\"}} {took} {at:.3}");
        }
        rendered.push('\n');
    }
    rendered + "# EOF\n"
}

/// A line about a family, without the end that only samples of counters have.
fn metadata(told: &str) -> String {
    let mut words = told.splitn(3, ' ');
    let (what, name, rest) = (words.next(), words.next().unwrap_or_default(), words.next());
    let name = name.strip_suffix(COUNTER).unwrap_or(name);
    format!("# {} {name} {}", what.unwrap_or_default(), rest.unwrap_or_default())
}

/// The exemplar of the bucket that a sample is of.
fn of_bucket<'a>(line: &str, exemplars: &'a ExemplarsBy) -> Option<&'a Exemplar> {
    let labels = line.strip_prefix(LATENCY)?.strip_prefix("_bucket{")?;
    let of = |name: &str| labels.split_once(&format!("{name}=\""))?.1.split('"').next();
    let bucket: f64 = of("le")?.parse().ok()?;
    let own = exemplars.get(of("projection")?)?;
    own.iter().find(|exemplar| exemplar.bucket.to_bits() == bucket.to_bits())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn counters_lose_their_end_in_their_family_and_a_bucket_has_its_exemplar() {
        let text = "# HELP laterna_batches_total Transactions.\n# TYPE laterna_batches_total counter\n\
            laterna_batches_total{projection=\"a\"} 5\n\n# TYPE laterna_commit_latency_seconds histogram\n\
            laterna_commit_latency_seconds_bucket{projection=\"a\",le=\"0.01\"} 1\n\
            laterna_commit_latency_seconds_bucket{projection=\"a\",le=\"+Inf\"} 2\n\
            laterna_commit_latency_seconds_bucket{projection=\"b\",le=\"+Inf\"} 2\n";
        let exemplar = |bucket, took| Exemplar {
            bucket,
            trace_id: [0xab; 16],
            took: Duration::from_millis(took),
            at: Duration::from_millis(1_764_203_462_500),
        };
        let own = vec![exemplar(0.01, 7), exemplar(f64::INFINITY, 9_000_000)];
        let rendered = render(text, &BTreeMap::from([("a".to_owned(), own)]));
        let id = "ab".repeat(16);
        let expected = format!(
            "# HELP laterna_batches Transactions.\n# TYPE laterna_batches counter\nlaterna_batches_total{{projection=\"a\"}} 5\n\
             # TYPE laterna_commit_latency_seconds histogram\n\
             laterna_commit_latency_seconds_bucket{{projection=\"a\",le=\"0.01\"}} 1 # {{trace_id=\"{id}\"}} 0.007 1764203462.500\n\
             laterna_commit_latency_seconds_bucket{{projection=\"a\",le=\"+Inf\"}} 2 # {{trace_id=\"{id}\"}} 9000 1764203462.500\n\
             laterna_commit_latency_seconds_bucket{{projection=\"b\",le=\"+Inf\"}} 2\n# EOF\n"
        );
        assert_eq!(rendered, expected);
    }

    #[test]
    fn only_whoever_asks_for_it_gets_it() {
        let asks = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().expect("a value"));
            is_asked_for(&headers)
        };
        assert!(asks(
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        ));
        assert!(!asks("text/plain;version=0.0.4") && !asks("*/*") && !is_asked_for(&HeaderMap::new()));
    }
}
