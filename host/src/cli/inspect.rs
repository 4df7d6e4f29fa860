//! `laterna inspect`: what a component is, what it asks for and what it declares, and why it cannot be deployed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{component, output, table};
use crate::component::version::{Loaded, LoadedComponent};
use crate::projector::{Budget, Outline};
use crate::statement::{Manifest, Ordering, UpcasterManifest};

#[derive(Debug, Args)]
pub struct InspectArguments {
    /// File of the component (`.wasm`).
    component: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Exit code 1 when a host would not run it.
pub fn inspect(arguments: &InspectArguments) -> anyhow::Result<ExitCode> {
    let path = &arguments.component;
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let outline =
        Outline::read(&bytes).map_err(|refusal| anyhow::anyhow!("{}: {refusal}", path.display()))?;
    let digest = hex::encode(Sha256::digest(&bytes));
    let loaded = component::load_either(path, &Budget::default());
    if arguments.json {
        output::line(format_args!(
            "{:#}",
            as_json(&digest, bytes.len(), &outline, loaded.as_ref().map_err(ToString::to_string))
        ));
    } else {
        print(&digest, bytes.len(), &outline);
        match &loaded {
            Ok(LoadedComponent::Projector(loaded)) => print_manifest(loaded),
            Ok(LoadedComponent::Upcaster(upcaster)) => print_upcaster(upcaster.component.manifest()),
            Err(refused) => row("refused", refused),
        }
    }
    Ok(if loaded.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line of what a component is; what goes on in further lines stands below.
pub fn row(name: &str, text: impl std::fmt::Display) {
    for (at, line) in text.to_string().lines().enumerate() {
        let name = if at == 0 { name } else { "" };
        output::line(format_args!("{name:<11} {line}"));
    }
}

fn print(digest: &str, bytes: usize, outline: &Outline) {
    row("digest", digest);
    row("size", format_args!("{} bytes", table::number(bytes as u64)));
    row("exports", outline.exports.join("\n"));
    row("imports", outline.imports.join("\n"));
}

fn print_manifest(loaded: &Loaded) {
    let manifest = &loaded.deployed.manifest;
    row("projector", format_args!("{} {}", manifest.name, manifest.version));
    row("ordering", ordering(manifest));
    row("events", event_types(&manifest.event_types));
    for table in &loaded.deployed.schema.tables {
        row("table", &table.name);
        row("", &table.ddl);
    }
    for statement in &loaded.deployed.schema.statements {
        let together = if statement.multi_row.is_some() { ", rows of several events together" } else { "" };
        let count = statement.parameters.len();
        row("statement", format_args!("{}, {count} parameters{together}", statement.name));
        row("", &statement.sql);
        for (number, parameter) in statement.parameters.iter().enumerate() {
            row("", format_args!("  parameter {number}: {parameter}"));
        }
    }
    loaded.deployed.schema.notes().iter().for_each(|note| row("note", note));
}

fn print_upcaster(manifest: &UpcasterManifest) {
    row("upcaster", format_args!("{} {}", manifest.name, manifest.version));
    row("events", event_types(&manifest.event_types));
}

fn event_types(types: &[String]) -> String {
    if types.is_empty() { "all".to_owned() } else { types.join(", ") }
}

fn ordering(manifest: &Manifest) -> &'static str {
    match (manifest.ordering, manifest.commutative) {
        (Ordering::Aggregate, false) => "aggregate",
        (Ordering::Aggregate, true) => "aggregate, commutative",
        (Ordering::Stream, false) => "stream",
        (Ordering::Stream, true) => "stream, commutative",
    }
}

fn as_json(
    digest: &str,
    bytes: usize,
    outline: &Outline,
    loaded: Result<&LoadedComponent, String>,
) -> serde_json::Value {
    let mut shown = json!({
        "digest": digest, "bytes": bytes, "exports": outline.exports, "imports": outline.imports,
    });
    match loaded {
        Ok(LoadedComponent::Upcaster(upcaster)) => {
            let manifest = upcaster.component.manifest();
            shown["upcaster"] = json!({
                "name": manifest.name, "version": manifest.version, "event_types": manifest.event_types,
            });
        }
        Ok(LoadedComponent::Projector(loaded)) => {
            let (manifest, schema) = (&loaded.deployed.manifest, &loaded.deployed.schema);
            let tables = schema.tables.iter().map(|table| json!({ "name": table.name, "ddl": table.ddl }));
            let statements = schema.statements.iter().map(|statement| {
                json!({
                    "name": statement.name, "sql": statement.sql, "table": statement.table,
                    "parameters": statement.parameters.len(), "multi_row": statement.multi_row.is_some(),
                    "types": statement.parameters.iter().map(ToString::to_string).collect::<Vec<_>>(),
                })
            });
            shown["manifest"] = json!({
                "name": manifest.name, "version": manifest.version, "event_types": manifest.event_types,
                "ordering": if manifest.ordering == Ordering::Stream { "stream" } else { "aggregate" },
                "commutative": manifest.commutative,
                "tables": tables.collect::<Vec<_>>(), "statements": statements.collect::<Vec<_>>(),
                "notes": schema.notes(),
            });
        }
        Err(refused) => shown["refused"] = json!(refused),
    }
    shown
}
