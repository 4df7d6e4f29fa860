//! Does with each event what its payload says, with values that a server may refuse: `{"do": "path", "text": "$.*"}`.

use laterna_sdk::{Event, Manifest, Operation, Projector, Rejection, Value, statements};

struct Unfit;

laterna_sdk::export_projector!(Unfit);

statements! {
    KEEP = "INSERT INTO kept (event_id, text) VALUES (?, ?)";
    NUMBER = "INSERT INTO kept (event_id, number) VALUES (?, JSON_EXTRACT(?, '$.qty'))";
    OBJECT = "INSERT INTO kept (event_id, document) VALUES (?, JSON_OBJECT(?, 1))";
    MERGE = "INSERT INTO kept (event_id, document) VALUES (?, JSON_MERGE_PATCH('{}', ?))";
    PATH = "INSERT INTO kept (event_id, document) VALUES (?, JSON_SET('{}', ?, 1))";
    CUT = "INSERT INTO kept (event_id, document) VALUES (?, JSON_REMOVE('{}', ?))";
    CELL = "INSERT INTO kept (event_id, document) VALUES (?, JSON_ARRAY_INSERT(?, '$[0]', 1))";
    DAY = "INSERT INTO kept (event_id, text) VALUES (?, STR_TO_DATE(?, '%Y-%m-%d'))";
    LOG = "INSERT INTO kept (event_id, number) VALUES (?, LN(?))";
    POWER = "INSERT INTO kept (event_id, number) VALUES (?, POW(10, ?))";
    HALF = "INSERT INTO halved (event_id, document) VALUES (?, ?)";
    COUNT = "INSERT INTO counted (name, n) VALUES (?, ?) ON DUPLICATE KEY UPDATE n = n + VALUES(n)";
    HAS = "INSERT INTO kept (event_id, number) VALUES (?, JSON_CONTAINS_PATH('{}', ?, '$.a'))";
    CODE = "UPDATE kept SET number = 1 WHERE code = ?";
    CODES = "UPDATE kept SET number = 1 WHERE code IN (?, 'x')";
    BASE = "INSERT INTO kept (event_id, text) VALUES (?, FROM_BASE64(?))";
    GROW = "INSERT INTO node (id, up) VALUES (?, ?)";
    FELL = "DELETE FROM node WHERE id = ?";
}

#[derive(serde::Deserialize)]
struct Payload {
    r#do: String,
    text: Option<String>,
    /// How many rows; each of a kilobyte, or below the one before.
    #[serde(default)]
    size: i64,
}

impl Projector for Unfit {
    fn manifest() -> Manifest {
        let kept = "CREATE TABLE kept (
            event_id VARCHAR(64) NOT NULL PRIMARY KEY,
            code VARCHAR(9) CHARACTER SET ascii COLLATE ascii_general_ci NULL,
            number INT NULL,
            document JSON NULL,
            text LONGTEXT NULL
        )";
        let node = "CREATE TABLE node (
            id INT NOT NULL PRIMARY KEY,
            up INT NULL,
            FOREIGN KEY (up) REFERENCES node (id) ON DELETE CASCADE
        )";
        let halved = "CREATE TABLE halved (
            event_id VARCHAR(64) NOT NULL PRIMARY KEY,
            document JSON NULL,
            half INT AS (JSON_UNQUOTE(JSON_EXTRACT(document, '$.half')) / 2) STORED,
            UNIQUE KEY by_half (half)
        )";
        let counted = "CREATE TABLE counted (name VARCHAR(64) NOT NULL PRIMARY KEY, n INT UNSIGNED NOT NULL)";
        Manifest::new("unfit", env!("CARGO_PKG_VERSION"))
            .table("kept", kept)
            .table("node", node)
            .table("halved", halved)
            .table("counted", counted)
            .statements(STATEMENTS)
    }

    fn project(event: &Event) -> Result<Vec<Operation>, Rejection> {
        let Payload { r#do, text, size } = event.payload()?;
        let text = text.as_deref();
        let (id, kilobyte) = (&event.id, "x".repeat(1000));
        Ok(match r#do.as_str() {
            "keep" => vec![KEEP.with((id, text))],
            "many" => (0..size).map(|n| KEEP.with((format!("{id}-{n}"), &kilobyte))).collect(),
            "number" => vec![NUMBER.with((id, text.map_or(Value::Null, |text| Value::Json(text.into()))))],
            "object" => vec![OBJECT.with((id, text))],
            "merge" => vec![MERGE.with((id, text))],
            "path" => vec![PATH.with((id, text))],
            "cut" => vec![CUT.with((id, text))],
            "cell" => vec![CELL.with((id, text))],
            "day" => vec![DAY.with((id, text))],
            "log" => vec![LOG.with((id, text))],
            "power" => vec![POWER.with((id, text))],
            "half" => vec![HALF.with((id, text.map_or(Value::Null, |text| Value::Json(text.into()))))],
            "count" => vec![COUNT.with(("all", text))],
            "has" => vec![HAS.with((id, text))],
            "code" => vec![CODE.with((text,))],
            "codes" => vec![CODES.with((text,))],
            "base" => vec![BASE.with((id, text))],
            "grow" => (1..=size).map(|n| GROW.with((n, Some(n - 1).filter(|up| *up > 0)))).collect(),
            "fell" => vec![FELL.with((1_i64,))],
            other => return Err(Rejection::invalid(format!("nobody told me how to {other}"))),
        })
    }
}
