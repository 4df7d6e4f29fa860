//! The paths that a configuration names: a relative one starts at the configuration's folder, wherever the host was
//! started. What it does not name stays relative to the working directory.

use std::path::{Path, PathBuf};

use super::Config;

impl Config {
    pub(super) fn resolve_paths(&mut self, folder: &Path) {
        let files = [&mut self.mongodb.uri_file, &mut self.mysql.url_file, &mut self.mysql.ddl_url_file];
        let upcaster = self.upcaster.iter_mut().map(|upcaster| &mut upcaster.component);
        let components = self.projection.values_mut().map(|projection| &mut projection.component);
        let named = files.into_iter().chain([&mut self.host.state, &mut self.host.tokens]).flatten();
        for path in named.chain(upcaster).chain(components) {
            *path = folder.join(&path);
        }
    }

    /// Where compiled components are kept.
    pub fn state(&self) -> PathBuf {
        self.host.state.clone().unwrap_or_else(|| ".laterna".into())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::{VALID, load};

    #[test]
    fn a_relative_path_starts_at_the_configuration() {
        let config = load(VALID, &[]).expect("it is valid");
        let component = &config.projection["accounts"].component;
        assert!(component.is_absolute() && component.ends_with("accounts.wasm"), "{}", component.display());
        assert_eq!(config.state().to_str(), Some(".laterna"));
        let text = VALID.replace("accounts.wasm", "/plugins/accounts.wasm");
        let overrides = [("LATERNA_HOST__STATE", "kept")];
        let config = load(&text, &overrides).expect("it is valid");
        assert_eq!(config.projection["accounts"].component.to_str(), Some("/plugins/accounts.wasm"));
        assert!(config.state().is_absolute() && config.state().ends_with("kept"));
    }

    #[test]
    fn a_secret_beside_the_configuration_is_found_from_anywhere() {
        let text =
            VALID.replace("url = \"mysql://app:hunter2@127.0.0.1/bank\"", "url_file = \"laterna.toml\"");
        load(&text, &[]).expect("the file beside it is read, whatever is in it");
    }
}
