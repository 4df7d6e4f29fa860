//! `laterna deploy --dry-run`: what a component is, what it declares otherwise than the one in force, and what it would
//! project otherwise. Nothing is deployed.

use std::collections::BTreeSet;
use std::process::ExitCode;

use serde_json::json;
use similar::{ChangeTag, TextDiff};

use super::DeployArguments;
use crate::cli::console::Console;
use crate::cli::{inspect, output};
use crate::operation::dry_run::DryDeployment;
use crate::operation::load::Uploaded;
use crate::operation::shadow::ShadowReport;
use crate::operation::sql_changes::{SqlChange, SqlKind};

/// Prints what would come of a deployment. Exit code 1 where the same without `--dry-run` would not deploy it.
pub async fn look<C: Console>(
    console: &mut C,
    candidate: &C::Candidate,
    arguments: &DeployArguments,
) -> anyhow::Result<ExitCode> {
    let DeployArguments { projection, shadow, anyway, canary, json, .. } = arguments;
    let dry = console.dry_deployment(projection, candidate, *canary).await?;
    let shadow = match shadow {
        Some(documents) => Some(console.shadow(projection, candidate, *documents).await?),
        None => None,
    };
    let told = console.told(candidate);
    let would_stop = !anyway && shadow.as_ref().is_some_and(ShadowReport::differs);
    if *json {
        output::line(json!({ "component": told, "deployment": dry, "shadow": shadow }));
    } else {
        print(told, &dry, shadow.as_ref());
        output::line(if would_stop {
            "\nNothing is deployed. The same without `--dry-run` would not deploy it either, unless `--anyway` is given."
        } else {
            "\nNothing is deployed. The same without `--dry-run` deploys it."
        });
    }
    Ok(if would_stop { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(told: &Uploaded, dry: &DryDeployment, shadow: Option<&ShadowReport>) {
    let Uploaded { digest, name, version, projector, upcaster, imports, tables, statements } = told;
    inspect::row("component", format_args!("{name} {version}"));
    inspect::row("digest", digest);
    if let Some(upcaster) = upcaster {
        inspect::row("projector", projector);
        inspect::row("upcaster", upcaster);
    }
    let packages: BTreeSet<&str> = imports.iter().filter_map(|one| one.split('/').next()).collect();
    let packages: Vec<&str> = packages.into_iter().collect();
    inspect::row("imports", if packages.is_empty() { "nothing".to_owned() } else { packages.join(", ") });
    inspect::row("tables", tables.join(", "));
    inspect::row("statements", format_args!("{statements}, each of them checked"));
    let fits = if dry.on_live_tables {
        "its tables are the live ones: the lanes take it up in a moment"
    } else {
        "its tables are others: they are built beside the live ones, which stay until these take their place"
    };
    inspect::row("fits", fits);
    let sql = match dry.sql.len() {
        0 => "declared as by the component in force".to_owned(),
        1 => "1 declaration differs from the component in force".to_owned(),
        count => format!("{count} declarations differ from the component in force"),
    };
    inspect::row("SQL", sql);
    for change in &dry.sql {
        output::line(format_args!("\n{}", changed(change)));
    }
    if let Some(shadow) = shadow {
        output::line(format_args!("\n{}", shadow.to_string().trim_end()));
    }
}

/// A declaration as it is and as it would be, line by line.
fn changed(SqlChange { kind, name, before, next }: &SqlChange) -> String {
    let kind = match kind {
        SqlKind::Table => "table",
        SqlKind::Statement => "statement",
    };
    let what = match (before, next) {
        (None, _) => "is new",
        (_, None) => "goes",
        _ => "changes",
    };
    let [before, next] = [before, next].map(|text| text.as_deref().unwrap_or_default());
    let difference = TextDiff::from_lines(before, next);
    let lines = difference.iter_all_changes().map(|line| {
        let sign = match line.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        format!("\n{sign} {}", line.value().trim_end_matches('\n'))
    });
    format!("{kind} {name} {what}{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declaration_is_shown_line_by_line_as_it_is_and_as_it_would_be() {
        let change = |before: Option<&str>, next: Option<&str>| {
            let [before, next] = [before, next].map(|text| text.map(str::to_owned));
            changed(&SqlChange { kind: SqlKind::Table, name: "a".to_owned(), before, next })
        };
        assert_eq!(
            change(Some("CREATE (\n  x INT,\n  y INT\n)"), Some("CREATE (\n  x BIGINT,\n  y INT\n)")),
            "table a changes\n  CREATE (\n-   x INT,\n+   x BIGINT,\n    y INT\n  )"
        );
        assert_eq!(change(None, Some("CREATE")), "table a is new\n+ CREATE");
        assert_eq!(change(Some("CREATE"), None), "table a goes\n- CREATE");
    }
}
