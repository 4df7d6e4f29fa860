//! Secrets: in the configuration itself, or in files of their own.

use std::path::Path;

use anyhow::{Context, bail};
use secrecy::SecretString;

/// A secret that stands in the configuration or in a file, without the line's end.
pub(super) fn secret(
    name: &str,
    value: Option<&SecretString>,
    file: Option<&Path>,
) -> anyhow::Result<SecretString> {
    match (value, file) {
        (Some(value), None) => Ok(value.clone()),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read `{name}_file` {}", file.display()))?;
            let text = text.trim_end_matches(['\r', '\n']);
            if text.is_empty() {
                bail!("`{name}_file` {} is empty", file.display());
            }
            Ok(text.into())
        }
        (Some(_), Some(_)) => bail!("`{name}` and `{name}_file` are both given; give one"),
        (None, None) => bail!("`{name}` is missing; give it, or `{name}_file`"),
    }
}
