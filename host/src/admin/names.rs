//! Which names the endpoint answers to. A browser sends the name that it was told: where a foreign page makes its own
//! name point to this machine, its requests come from here, and bear that name. It does not look at paths.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use crate::text::is_this_machine;

/// The longest name that is repeated in an answer, in characters.
const TOLD_MAX: usize = 100;

/// Answers what is asked of a name of this endpoint, and refuses everything else.
pub async fn guard(State(names): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    match foreign_name(&names, request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(name) => {
            let name: String = name.chars().take(TOLD_MAX).collect();
            Problem::foreign_name(&name).into_response()
        }
    }
}

/// The name that a request is sent to, where it is none of the endpoint's.
fn foreign_name(names: &[String], uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let hosts =
        headers.get_all(HOST).iter().map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let mut asked: Vec<String> = hosts.collect();
    if asked.len() != 1 {
        return Some(asked.join(", "));
    }
    asked.extend(uri.authority().map(ToString::to_string));
    asked.into_iter().find(|authority| !is_ours(names, authority))
}

fn is_ours(names: &[String], authority: &str) -> bool {
    let Ok(parsed) = authority.parse::<Authority>() else { return false };
    if authority.contains('@') {
        return false;
    }
    let host = parsed.host();
    is_this_machine(host) || names.iter().any(|name| host.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_and_configured_ones_are_ours() {
        let names = ["laterna.internal".to_owned()];
        for host in [
            "localhost",
            "LocalHost:7420",
            "127.0.0.1",
            "127.0.0.1:7420",
            "127.8.9.1",
            "[::1]:7420",
            "[::ffff:127.0.0.1]",
            "laterna.internal",
            "LATERNA.internal:80",
        ] {
            assert!(is_ours(&names, host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7420",
            "localhost.evil.example",
            "evil.localhost",
            "laterna.internal.evil",
            "10.0.0.1",
            "127.0.0.1.evil.example",
            "evil@localhost",
            "localhost, evil.example",
            "localhost/evil",
            "[::2]",
            "0.0.0.0",
            "127.0.0.1:7420:1",
            "laterna",
            "2130706433",
        ] {
            assert!(!is_ours(&names, host), "{host}");
        }
    }

    #[test]
    fn a_request_has_one_name_in_all_places_where_it_can_have_one() {
        let request = |uri: &str, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().expect("a value"));
            }
            foreign_name(&[], &uri.parse().expect("a URI"), &headers)
        };
        assert_eq!(request("/dlq", &["localhost"]), None);
        assert_eq!(request("http://localhost/dlq", &["localhost"]), None);
        assert_eq!(request("/dlq", &[]).as_deref(), Some(""));
        assert_eq!(
            request("/dlq", &["localhost", "evil.example"]).as_deref(),
            Some("localhost, evil.example")
        );
        assert_eq!(request("http://evil.example/dlq", &["localhost"]).as_deref(), Some("evil.example"));
    }
}
