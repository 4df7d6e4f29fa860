//! The tokens of `host.tokens`: a file in TOML with one `[[token]]` for each caller. Only their hashes are kept.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The shortest token, in characters: so much of what `openssl rand -hex` gives has 96 bits.
const CHARACTERS_MIN: usize = 24;
const CHARACTERS_MAX: usize = 1_000;

/// The longest name, in characters.
const NAME_MAX: usize = 100;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallerRole {
    /// Sees everything but what events hold.
    Viewer,
    Operator,
}

/// The tokens that are taken; without any, none is needed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tokens(Vec<ApiToken>);

/// The tokens in force, which a reload replaces.
#[derive(Debug, Clone)]
pub struct TokensInForce(Arc<RwLock<Arc<Tokens>>>);

impl TokensInForce {
    pub fn new(tokens: Tokens) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(tokens))))
    }

    pub fn get(&self) -> Arc<Tokens> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts others in force. Returns true where they are others.
    pub fn replace(&self, tokens: Tokens) -> bool {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let differ = **known != tokens;
        *known = Arc::new(tokens);
        differ
    }
}

#[derive(Debug, PartialEq, Eq)]
struct ApiToken {
    name: String,
    role: CallerRole,
    hash: [u8; 32],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    #[serde(default)]
    token: Vec<TokenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenEntry {
    name: String,
    role: CallerRole,
    token: SecretString,
}

impl Tokens {
    /// Reads the file, where one is named. What is wrong with it is told without a word of any token.
    pub fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else { return Ok(Self::default()) };
        let hashed = |entry: TokenEntry| ApiToken {
            hash: hash(entry.token.expose_secret().as_bytes()),
            name: entry.name,
            role: entry.role,
        };
        Ok(Self(entries(file)?.into_iter().map(hashed).collect()))
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token this is. Every one is compared, to its end: how long it takes says nothing of any.
    pub fn find(&self, given: &[u8]) -> Option<(&str, CallerRole)> {
        let given = hash(given);
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.hash.ct_eq(&given)) {
                found = Some((token.name.as_str(), token.role));
            }
        }
        found
    }
}

/// A token with which this machine's command line asks, where a file is named and this account may read it.
pub fn own(file: Option<&Path>) -> Option<SecretString> {
    let mut entries = entries(file?).ok()?;
    entries.sort_by_key(|entry| entry.role == CallerRole::Viewer);
    entries.into_iter().next().map(|entry| entry.token)
}

fn entries(file: &Path) -> anyhow::Result<Vec<TokenEntry>> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read `host.tokens` {shown}"))?;
    let form = |error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        anyhow::anyhow!(
            "`host.tokens` {shown}, line {line}: not as it has to be; each [[token]] has a `name`, a `role` (\"viewer\" or \
             \"operator\") and a `token`, all in quotation marks"
        )
    };
    let TokenFile { token: entries } = toml::from_str(&text).map_err(form)?;
    let mut names = BTreeSet::new();
    for TokenEntry { name, token, .. } in &entries {
        if name.is_empty() || name.chars().count() > NAME_MAX || name.chars().any(crate::text::is_harmful) {
            bail!(
                "`host.tokens` {shown}: the name {name:?} must have 1 to {NAME_MAX} characters, all of them visible"
            );
        }
        if !names.insert(name.as_str()) {
            bail!("`host.tokens` {shown}: two tokens are called `{name}`; a name stands for one");
        }
        let token = token.expose_secret();
        let is_visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || !(CHARACTERS_MIN..=CHARACTERS_MAX).contains(&token.len()) {
            bail!(
                "`host.tokens` {shown}: the token of `{name}` must have {CHARACTERS_MIN} to {CHARACTERS_MAX} visible ASCII \
                 characters and no space; `openssl rand -hex 32` makes a good one"
            );
        }
    }
    if entries.is_empty() {
        bail!("`host.tokens` {shown} has no [[token]]: add one, or take the setting away");
    }
    Ok(entries)
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn read(text: &str) -> anyhow::Result<Tokens> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("tokens.toml");
        std::fs::write(&file, text)?;
        Tokens::read(Some(&file))
    }

    fn token(name: &str, role: &str, token: &str) -> String {
        format!("[[token]]\nname = {name:?}\nrole = {role:?}\ntoken = {token:?}\n")
    }

    #[test]
    fn a_token_is_found_whole_and_no_other_one_is() {
        let other = SECRET.replace('0', "1");
        let tokens = token("dashboard", "viewer", &other) + &token("on call", "operator", SECRET);
        let tokens = read(&tokens).expect("it is valid");
        assert_eq!(tokens.find(SECRET.as_bytes()), Some(("on call", CallerRole::Operator)));
        assert_eq!(tokens.find(other.as_bytes()), Some(("dashboard", CallerRole::Viewer)));
        for wrong in
            ["", "0", &SECRET[1..], &format!("{SECRET} "), &format!("{SECRET}0"), &SECRET.to_uppercase()]
        {
            assert_eq!(tokens.find(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_wrong_file_is_refused_without_a_word_of_its_tokens() {
        let short = &SECRET[..23];
        for (text, said) in [
            (String::new(), "no [[token]]"),
            (token("a", "admin", SECRET), "line 3"),
            (token("a", "viewer", short), "24 to 1000"),
            (token("a", "viewer", &format!("{SECRET} {SECRET}")), "no space"),
            (token("", "viewer", SECRET), "1 to 100"),
            (token("a#[2J", "viewer", SECRET).replace('#', r"\u001b"), "visible"),
            (token("a", "viewer", SECRET).repeat(2), "two tokens"),
            (token("a", "viewer", SECRET).replace('"', ""), "line 2"),
            (token("a", "viewer", SECRET) + "tokn = \"0123456789abcdef\"\n", "line 5"),
        ] {
            let refused = format!("{:#}", read(&text).expect_err("it is wrong"));
            assert!(refused.contains(said) && refused.contains("`host.tokens`"), "{text}\n{refused}");
            assert!(!refused.contains("0123456789"), "{refused}");
        }
    }
}
