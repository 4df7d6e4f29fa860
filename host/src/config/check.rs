//! Checks that serde cannot do: ranges, names, and settings that do not go together. Reports all problems at once.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tracing_subscriber::filter::Targets;

use super::{Acknowledging, Config, HostSettings, Mongodb, Projection, Start};
use crate::readmodel::lane::acknowledge::Acknowledge;
use crate::source::{MARK_FIELD, OnLost};

/// Every problem, each in one line that names the setting and the remedy.
pub fn problems(config: &Config) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(config.mongodb.uri().err().map(|error| format!("{error:#}")));
    problems.extend(config.mysql.url().err().map(|error| format!("{error:#}")));
    problems.extend(config.mysql.ddl_url().err().map(|error| format!("{error:#}")));
    range(&mut problems, "host.lease_seconds", config.host.lease_seconds.into(), 2, 300);
    range(&mut problems, "mysql.statement_seconds", config.mysql.statement_seconds.into(), 2, 600);
    range(&mut problems, "host.stop_seconds", config.host.stop_seconds.into(), 1, 600);
    range(&mut problems, "host.memory_bytes", config.host.memory_bytes.into(), 16 << 20, 2 << 30);
    range(&mut problems, "host.audit_retention_days", config.host.audit_retention_days.into(), 0, 36_500);
    range(
        &mut problems,
        "host.component_retention_days",
        config.host.component_retention_days.into(),
        0,
        36_500,
    );
    range(&mut problems, "mongodb.payload_bytes_max", size(config.mongodb.payload_bytes_max), 1024, 32 << 20);
    check_acknowledging(&mut problems, &config.mongodb);
    check_fields(&mut problems, &config.mongodb);
    if config.host.id.is_empty() || config.host.id.len() > 200 {
        problems.push("`host.id` must have 1 to 200 bytes".to_owned());
    }
    check_listeners(&mut problems, &config.host);
    check_otlp(&mut problems, config.host.otlp.as_deref());
    if config.host.log_filter.parse::<Targets>().is_err() {
        problems.push(format!(
            "`host.log_filter` is {:?}; it must be like \"info\" or \"info,laterna::source=debug\"",
            config.host.log_filter
        ));
    }
    let is_host =
        |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    for name in config.host.admin_names().into_iter().filter(|name| !is_host(name)) {
        problems.push(format!(
            "`host.admin_names` has {name:?}; it takes host names without ports, with commas between"
        ));
    }
    if !is_schema_name(&config.mysql.control_schema) {
        problems.push(format!(
            "`mysql.control_schema` is {:?}; it must be a lower-case letter, then up to 40 of a-z, 0-9 and _",
            config.mysql.control_schema
        ));
    }
    if config.projection.is_empty() {
        problems.push("there is no projection: add [projection.NAME] with `component`".to_owned());
    }
    for (name, projection) in &config.projection {
        check_projection(&mut problems, name, projection);
    }
    problems
}

/// Advice about secrets in files that everybody can read, as mounted ones often are inside of a container.
pub fn advice(config: &Config) -> Vec<String> {
    let secrets = [
        ("mongodb.uri_file", config.mongodb.uri_file.as_deref()),
        ("mysql.url_file", config.mysql.url_file.as_deref()),
        ("mysql.ddl_url_file", config.mysql.ddl_url_file.as_deref()),
        ("host.tokens", config.host.tokens.as_deref()),
    ];
    secrets.into_iter().filter_map(|(name, file)| open_to_all(name, file?)).collect()
}

fn open_to_all(name: &str, file: &Path) -> Option<String> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    (mode & 0o004 != 0).then(|| {
        format!("`{name}` {} can be read by every account here (mode {mode:o}): chmod 600 it", file.display())
    })
}

/// Whoever reaches the API from another machine needs a token.
fn check_listeners(problems: &mut Vec<String>, host: &HostSettings) {
    let HostSettings { admin, health, tokens, .. } = host;
    if !admin.ip().is_loopback() && tokens.is_none() {
        problems.push(format!(
            "`host.admin` is {admin}, where other machines reach it, and nobody needs a token: name a file of tokens with \
             `host.tokens`, or listen on the loopback (127.0.0.1:{})",
            admin.port()
        ));
    }
    if admin == health && admin.port() != 0 {
        problems
            .push(format!("`host.admin` and `host.health` are both {admin}; each needs a port of its own"));
    }
}

/// Credentials belong into a header, which no log repeats.
fn check_otlp(problems: &mut Vec<String>, otlp: Option<&str>) {
    let Some(given) = otlp else { return };
    let is_plain = |url: &url::Url| {
        ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
    };
    if !url::Url::parse(given).is_ok_and(|url| is_plain(&url)) {
        problems.push(
            "`host.otlp` must be like \"http://collector:4318\"; credentials go into OTEL_EXPORTER_OTLP_HEADERS"
                .to_owned(),
        );
    }
}

fn check_acknowledging(problems: &mut Vec<String>, mongodb: &Mongodb) {
    const RETAIN_MAX: Duration = Duration::from_hours(87_600);
    range(problems, "mongodb.delete_after_seconds", mongodb.delete_after_seconds.into(), 0, 31 * 86_400);
    match mongodb.acknowledging() {
        Err(error) => problems.push(format!("{error:#}")),
        Ok(Acknowledge::Delete { age }) if mongodb.acknowledge == Acknowledging::Retain => {
            if age < Duration::from_secs(1) || age > RETAIN_MAX {
                problems.push("`mongodb.retain` must be 1 s to 10 years".to_owned());
            }
        }
        Ok(_) if mongodb.retain.is_some() => {
            problems.push("`mongodb.retain` needs `mongodb.acknowledge = \"retain\"`".to_owned());
        }
        Ok(_) => {}
    }
}

fn check_fields(problems: &mut Vec<String>, mongodb: &Mongodb) {
    let fields = mongodb.field_names();
    let names = fields.all();
    for (at, name) in names.iter().enumerate() {
        if name.is_empty() || *name == "_id" {
            problems.push(format!("`mongodb.fields` names {name:?}, which is no field of its own"));
        } else if names[..at].contains(name) {
            problems.push(format!("`mongodb.fields` names `{name}` twice: each field has a name of its own"));
        }
    }
    if names.contains(&MARK_FIELD) {
        problems.push(format!("`mongodb.fields` names `{MARK_FIELD}`, which is reserved for marks"));
    }
}

fn check_projection(problems: &mut Vec<String>, name: &str, projection: &Projection) {
    if !is_projection_name(name) {
        problems.push(format!(
            "`projection.{name}`: a name is a lower-case letter, then up to 47 of a-z, 0-9, _ and -"
        ));
    }
    let setting = |key: &str| format!("projection.{name}.{key}");
    if projection.resume_lost == OnLost::Rebuild && projection.start == Start::Now {
        problems.push(format!(
            "`{}` is \"rebuild\", but `{}` is \"now\": a rebuild would add the events from before; use \"pause\"",
            setting("resume_lost"),
            setting("start")
        ));
    }
    range(problems, &setting("lanes"), projection.lanes.into(), 1, 64);
    range(problems, &setting("batch_max"), size(projection.batch_max), 1, 5000);
    range(problems, &setting("dedupe_window"), size(projection.dedupe_window), 1000, 1_000_000);
    range(problems, &setting("dead_letters_max"), projection.dead_letters_max, 1, 10_000_000);
    // A document has up to 16 MiB: one letter always has room.
    range(problems, &setting("dead_letter_bytes_max"), projection.dead_letter_bytes_max, 17 << 20, 1 << 40);
    range(problems, &setting("letter_retention_days"), projection.letter_retention_days.into(), 0, 36_500);
    range(problems, &setting("breaker.aggregates"), size(projection.breaker.aggregates), 0, 100_000);
    range(problems, &setting("breaker.seconds"), projection.breaker.seconds.into(), 1, 3600);
    range(problems, &setting("rebuild_percent"), projection.rebuild_percent.into(), 1, 100);
    range(problems, &setting("breaker.percent"), projection.breaker.percent.into(), 0, 99);
    range(problems, &setting("budget.fuel"), projection.budget.fuel, 1_000_000, 1_000_000_000_000);
    range(problems, &setting("budget.memory_bytes"), size(projection.budget.memory_bytes), 1 << 20, 4 << 30);
    range(problems, &setting("budget.operations"), size(projection.budget.operations), 1, 100_000);
    range(problems, &setting("budget.output_bytes"), size(projection.budget.output_bytes), 1024, 12 << 20);
    range(problems, &setting("budget.compare_every"), projection.budget.compare_every, 1, 1_000_000);
}

fn range(problems: &mut Vec<String>, name: &str, value: u64, min: u64, max: u64) {
    if !(min..=max).contains(&value) {
        problems.push(format!("`{name}` is {value}; it must be {min} to {max}"));
    }
}

fn size(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn is_schema_name(name: &str) -> bool {
    starts_with_letter(name)
        && name.len() <= 41
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_projection_name(name: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-');
    starts_with_letter(name) && name.len() <= 48 && name.bytes().all(allowed)
}

fn starts_with_letter(name: &str) -> bool {
    name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_from_both_sides() {
        let refused = |value| {
            let mut problems = vec![];
            range(&mut problems, "x", value, 2, 5);
            !problems.is_empty()
        };
        assert_eq!([1, 2, 5, 6].map(refused), [true, false, false, true]);
    }

    #[test]
    fn names_that_could_be_sql_are_refused() {
        for name in ["", "1a", "Laterna", "a`b", "a b", "a;b", &"a".repeat(42)] {
            assert!(!is_schema_name(name), "{name}");
        }
        assert!(is_schema_name("laterna_2"));
        assert!(is_projection_name("open-accounts_2"));
        assert!(!is_projection_name(&"a".repeat(49)));
    }
}
