//! Random tables with a key of any kind, columns of every type, and what makes rows depend on each other.

use laterna::sql;
use laterna::statement::{
    FittedOperation, Manifest, Ordering, Schema, StatementDeclaration, TableDeclaration,
};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Keys: the columns' types.
const KEYS: &[&[&str]] = &[
    &["BIGINT"],
    &["INT UNSIGNED"],
    &["BIGINT UNSIGNED"],
    &["VARCHAR(12)"],
    &["VARCHAR(12) COLLATE utf8mb4_general_ci"],
    &["VARCHAR(12) COLLATE utf8mb4_bin"],
    &["CHAR(8) CHARACTER SET ascii"],
    &["VARCHAR(8) CHARACTER SET latin1"],
    &["CHAR(8)"],
    &["VARBINARY(8)"],
    &["BINARY(4)"],
    &["DECIMAL(6,2)"],
    &["DATETIME(3)"],
    &["BIGINT", "VARCHAR(8)"],
    &["VARCHAR(8)", "SMALLINT"],
    &["VARCHAR(8) COLLATE utf8mb4_general_ci", "INT"],
];

const COLUMNS: &[&str] = &[
    "TINYINT",
    "INT",
    "BIGINT",
    "SMALLINT UNSIGNED",
    "BIGINT UNSIGNED",
    "DECIMAL(6,2)",
    "DECIMAL(30,10)",
    "FLOAT",
    "DOUBLE",
    "BIT(5)",
    "YEAR",
    "VARCHAR(6)",
    "VARCHAR(6) CHARACTER SET latin1",
    "TEXT",
    "VARBINARY(4)",
    "BLOB",
    "JSON",
    "DATE",
    "DATETIME",
    "DATETIME(6)",
    "ENUM('a','B','c')",
    "SET('a','b')",
];

/// A column of the table, with its type.
pub struct MadeColumn {
    pub name: String,
    pub kind: &'static str,
}

/// A random schema.
pub struct Made {
    manifest: Manifest,
    pub keys: Vec<MadeColumn>,
    columns: Vec<MadeColumn>,
    tables: Vec<(String, Vec<MadeColumn>)>,
}

impl Made {
    pub fn checked(&self) -> Schema {
        sql::check(&self.manifest).unwrap_or_else(|refusals| panic!("{refusals:?}: {:?}", self.manifest))
    }

    /// The type of a column of any table.
    pub fn kind(&self, column: &str) -> &'static str {
        let name = column.rsplit('.').next().unwrap_or_default();
        let mut columns =
            self.tables.iter().flat_map(|(_, columns)| columns).chain(&self.keys).chain(&self.columns);
        columns.find(|column| column.name == name).map_or("BIGINT", |column| column.kind)
    }

    /// A query of every row as one text.
    pub fn look(&self) -> String {
        let shown = |column: &MadeColumn| {
            let name = &column.name;
            let is_bytes = column.kind.contains("BINARY") || column.kind == "BLOB";
            if is_bytes {
                format!("IFNULL(HEX(`{name}`), '-')")
            } else if column.kind.starts_with("BIT") {
                format!("IFNULL(CONVERT(`{name}` + 0 USING utf8mb4), '-')")
            } else {
                format!("IFNULL(QUOTE(CONVERT(`{name}` USING utf8mb4)), '-')")
            }
        };
        let one = |(table, columns): &(String, Vec<MadeColumn>)| {
            let shown: Vec<String> = columns.iter().map(shown).collect();
            format!("SELECT CONCAT_WS(' ', '{table}', {}) AS r FROM `{table}`", shown.join(", "))
        };
        let all: Vec<String> = self.tables.iter().map(one).collect();
        format!("SELECT CAST(r AS BINARY) FROM ({}) x ORDER BY 1", all.join(" UNION ALL "))
    }

    pub fn tell(&self, batch: &[Vec<FittedOperation>]) -> String {
        let ddl: Vec<&str> = self.manifest.tables.iter().map(|table| table.ddl.as_str()).collect();
        let told = |one: &FittedOperation| {
            let sql = &self.manifest.statements[one.statement as usize].sql;
            format!("  {sql} {:?}", one.parameters)
        };
        let entry = |(at, entry): (usize, &Vec<FittedOperation>)| {
            format!("entry {at}\n{}", entry.iter().map(told).collect::<Vec<_>>().join("\n"))
        };
        let entries: Vec<String> = batch.iter().enumerate().map(entry).collect();
        format!("\n{}\n{}", ddl.join("\n"), entries.join("\n"))
    }
}

fn manifest(tables: Vec<TableDeclaration>, statements: Vec<String>) -> Manifest {
    let statement = |(at, sql)| StatementDeclaration { name: format!("s{at}"), sql };
    Manifest {
        name: "keyed".into(),
        version: "1".into(),
        event_types: vec![],
        ordering: Ordering::Aggregate,
        commutative: false,
        tables,
        statements: statements.into_iter().enumerate().map(statement).collect(),
    }
}

/// A schema of a table `t`, perhaps with rows that point at it, and with rows that it points at.
pub fn make(number: usize, rng: &mut StdRng, is_mysql: bool) -> Made {
    let name = format!("t{number}");
    let kinds = KEYS.choose(rng).expect("there are some");
    let key = |(at, kind): (usize, &&'static str)| MadeColumn { name: format!("k{at}"), kind };
    let keys: Vec<MadeColumn> = kinds.iter().enumerate().map(key).collect();
    let count = rng.random_range(1..5);
    let columns: Vec<MadeColumn> = (0..count)
        .map(|at| MadeColumn {
            name: format!("c{at}"),
            kind: if at == 0 {
                ["INT", "TINYINT", "DECIMAL(6,2)"][rng.random_range(0..3)]
            } else {
                COLUMNS.choose(rng).expect("some")
            },
        })
        .collect();
    let mut lines: Vec<String> =
        keys.iter().map(|key| format!("`{}` {} NOT NULL", key.name, key.kind)).collect();
    lines.extend(columns.iter().map(|column| {
        let required = if rng.random_bool(0.3) { "" } else { " NULL" };
        let required =
            if required.is_empty() && column.name == "c0" { " NOT NULL DEFAULT 0" } else { required };
        format!("`{}` {}{required}", column.name, column.kind)
    }));
    let mut shown: Vec<MadeColumn> =
        keys.iter().chain(&columns).map(|it| MadeColumn { name: it.name.clone(), kind: it.kind }).collect();
    let by_key: Vec<String> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
    let mut rules = vec![format!("PRIMARY KEY ({})", by_key.join(", "))];
    match rng.random_range(0..10) {
        0 => rules.push("UNIQUE KEY u (c0)".to_owned()),
        1 => {
            lines.push("g BIGINT AS (c0 * 2) STORED".to_owned());
            rules.push("UNIQUE KEY u (g)".to_owned());
            shown.push(MadeColumn { name: "g".to_owned(), kind: "BIGINT" });
        }
        2 => {
            lines.push("g BIGINT AS (c0 * 3) VIRTUAL".to_owned());
            shown.push(MadeColumn { name: "g".to_owned(), kind: "BIGINT" });
        }
        3 => rules.push("CHECK (c0 <> 7)".to_owned()),
        4 if is_mysql => rules.push("UNIQUE KEY u ((c0 % 5))".to_owned()),
        _ => {}
    }
    let has_parent = rng.random_bool(0.2);
    let has_child = !has_parent && keys.len() == 1 && rng.random_bool(0.3);
    let mut tables = Vec::new();
    if has_parent {
        tables.push((
            format!("p{number}"),
            format!("CREATE TABLE p{number} (id BIGINT PRIMARY KEY)"),
            vec![MadeColumn { name: "id".to_owned(), kind: "BIGINT" }],
        ));
        lines.push("pid BIGINT NULL".to_owned());
        rules.push(format!("FOREIGN KEY (pid) REFERENCES p{number} (id)"));
        shown.push(MadeColumn { name: "pid".to_owned(), kind: "BIGINT" });
    }
    tables.push((
        name.clone(),
        format!("CREATE TABLE {name} ({})", [lines, rules.clone()].concat().join(", ")),
        shown,
    ));
    if has_child {
        let rule = ["", " ON DELETE CASCADE"][rng.random_range(0..2)];
        let key = &keys[0];
        let columns = vec![
            MadeColumn { name: "id".to_owned(), kind: "BIGINT" },
            MadeColumn { name: "parent".to_owned(), kind: key.kind },
        ];
        let ddl = format!(
            "CREATE TABLE h{number} (id BIGINT PRIMARY KEY, parent {} NOT NULL, FOREIGN KEY (parent) REFERENCES {name} (k0){rule})",
            key.kind
        );
        tables.push((format!("h{number}"), ddl, columns));
    }
    let mut statements = statements(&name, &keys, &columns, rng);
    if has_parent {
        statements.push(format!("INSERT INTO p{number} (id) VALUES (?) ON DUPLICATE KEY UPDATE id = id"));
        statements.push(format!("DELETE FROM p{number} WHERE id = ?"));
        statements.push(format!("UPDATE {name} SET pid = ? WHERE {}", named(&keys)));
    }
    if has_child {
        statements.push(format!(
            "INSERT INTO h{number} (id, parent) VALUES (?, ?) ON DUPLICATE KEY UPDATE parent = VALUES(parent)"
        ));
        statements.push(format!("DELETE FROM h{number} WHERE id = ?"));
    }
    if rules.iter().any(|rule| rule.contains("UNIQUE KEY u")) {
        statements.retain(|sql| !sql.starts_with("REPLACE"));
    }
    let declared =
        tables.iter().map(|(name, ddl, _)| TableDeclaration { name: name.clone(), ddl: ddl.clone() });
    let manifest = manifest(declared.collect(), statements);
    let tables = tables.into_iter().map(|(name, _, columns)| (name, columns)).collect();
    Made { manifest, keys, columns, tables }
}

fn named(keys: &[MadeColumn]) -> String {
    let named: Vec<String> = keys.iter().map(|key| format!("{} = ?", key.name)).collect();
    named.join(" AND ")
}

fn is_exact(kind: &str) -> bool {
    kind.contains("INT") || kind.starts_with("DECIMAL")
}

fn statements(name: &str, keys: &[MadeColumn], columns: &[MadeColumn], rng: &mut StdRng) -> Vec<String> {
    let all: Vec<&str> = keys.iter().chain(columns).map(|column| column.name.as_str()).collect();
    let marks = vec!["?"; all.len()].join(", ");
    let by_key = named(keys);
    let set = |value: fn(&str) -> String| {
        columns
            .iter()
            .map(|column| format!("{} = {}", column.name, value(&column.name)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let exact: Vec<&MadeColumn> = columns.iter().filter(|column| is_exact(column.kind)).collect();
    let added = exact
        .iter()
        .map(|column| format!("{0} = {0} {1} ?", column.name, if rng.random_bool(0.7) { "+" } else { "-" }));
    let added = added.collect::<Vec<_>>().join(", ");
    let insert = format!("INSERT INTO {name} ({}) VALUES ({marks})", all.join(", "));
    let some = &columns[rng.random_range(0..columns.len())].name;
    let other = &columns[rng.random_range(0..columns.len())].name;
    let mut statements = vec![
        format!("DELETE FROM {name} WHERE {by_key}"),
        format!("UPDATE {name} SET {added} WHERE {by_key}"),
        format!("UPDATE {name} SET {} WHERE {by_key}", set(|_| "?".to_owned())),
        format!("{insert} ON DUPLICATE KEY UPDATE {}", set(|name| format!("VALUES({name})"))),
        format!("{insert} ON DUPLICATE KEY UPDATE c0 = c0 + VALUES(c0)"),
        format!("UPDATE {name} SET {some} = ? WHERE {by_key}"),
        format!("UPDATE {name} SET c0 = c0 + 1 WHERE {by_key}"),
        format!("REPLACE INTO {name} ({}) VALUES ({marks})", all.join(", ")),
        insert,
        format!("UPDATE {name} SET c0 = c0 + ?, {other} = NULL WHERE {by_key}")
            .replace("c0 = c0 + ?, c0 = NULL", "c0 = c0 - ?"),
        format!("DELETE FROM {name} WHERE c0 = ?"),
        format!("DELETE FROM {name} WHERE {}", named(&keys[..1])),
        format!("UPDATE {name} SET c0 = ? WHERE c0 = ?"),
    ];
    // Few, so that they meet.
    while statements.len() > 6 {
        let at = rng.random_range(0..statements.len());
        statements.remove(at);
    }
    statements
}
