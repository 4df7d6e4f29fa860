//! Statements that grant an account what the host needs of it.

use super::literal::quoted;

/// What the account needs that changes rows.
pub const ROWS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// What the account needs that makes tables, in the host's own schemas.
pub const TABLES: [&str; 9] =
    ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "DROP", "INDEX", "REFERENCES"];

/// The statement that grants privileges on all of a schema to an account, `NAME@HOST` as the server names it.
pub fn grant(verbs: &str, schema: &str, account: &str) -> String {
    let (name, host) = account.rsplit_once('@').unwrap_or((account, "%"));
    format!("GRANT {verbs} ON `{}`.* TO {}@{};", pattern(schema), quoted(name), quoted(host))
}

/// A schema's name where MySQL takes a pattern: no character of it stands for another.
pub fn pattern(name: &str) -> String {
    name.replace('`', "``").replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_for_one_schema_and_one_account() {
        assert_eq!(
            grant("SELECT, DELETE", "my_bank", "it's@10.0.0.%"),
            r"GRANT SELECT, DELETE ON `my\_bank`.* TO 'it''s'@'10.0.0.%';"
        );
    }
}
