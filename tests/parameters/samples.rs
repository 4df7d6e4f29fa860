//! Values of every kind, each with what it says as text, as a number, as JSON and as a moment: a model that knows
//! nothing of servers.

use laterna::statement::Value;

/// The columns that are not the key.
pub const COLUMNS: [(&str, &str); 12] = [
    ("words", "VARCHAR(60)"),
    ("whole", "BIGINT"),
    ("small", "TINYINT UNSIGNED"),
    ("large", "BIGINT UNSIGNED"),
    ("price", "DECIMAL(30,6)"),
    ("real_", "DOUBLE"),
    ("single", "FLOAT"),
    ("doc", "JSON"),
    ("raw", "VARBINARY(60)"),
    ("day", "DATE"),
    ("at", "DATETIME"),
    ("choice", "ENUM('0', '1', '5', 'no')"),
];

pub struct Sample {
    pub value: Value,
    pub text: Option<&'static str>,
    pub whole: Option<i64>,
    /// With at most six digits behind the point.
    pub exact: Option<&'static str>,
    pub double: Option<&'static str>,
    pub member: Option<&'static str>,
    pub document: Option<&'static str>,
    /// Up to the second.
    pub moment: Option<&'static str>,
}

fn sample(value: Value, text: &'static str) -> Sample {
    let text = Some(text);
    Sample { value, text, whole: None, exact: None, double: None, member: None, document: None, moment: None }
}

impl Sample {
    fn whole(self, whole: i64, digits: &'static str) -> Self {
        Self { whole: Some(whole), ..self.exact(digits) }
    }

    fn exact(self, digits: &'static str) -> Self {
        Self { exact: Some(digits), double: Some(digits), ..self }
    }

    fn json(self, text: &'static str) -> Self {
        Self { member: Some(text), document: Some(text), ..self }
    }

    fn moment(self, moment: &'static str) -> Self {
        Self { moment: Some(moment), ..self }
    }
}

pub fn samples() -> Vec<Sample> {
    let decimal = |digits: &str| Value::Decimal(digits.to_owned());
    let words = |words: &str| Value::Text(words.to_owned());
    let json = |text: &str| Value::Json(text.to_owned());
    let moment = |text: &str| Value::Timestamp(text.to_owned());
    let member = |sample: Sample, member: &'static str| Sample { member: Some(member), ..sample };
    vec![
        Sample { text: None, ..sample(Value::Null, "") },
        sample(Value::Boolean(true), "1").whole(1, "1").json("true"),
        sample(Value::Boolean(false), "0").whole(0, "0").json("false"),
        sample(Value::Integer(5), "5").whole(5, "5").json("5"),
        sample(Value::Integer(-7), "-7").whole(-7, "-7").json("-7"),
        sample(Value::Integer(9_007_199_254_740_993), "9007199254740993")
            .whole(9_007_199_254_740_993, "9007199254740993")
            .json("9007199254740993"),
        sample(Value::Number(5.0), "5").whole(5, "5").json("5"),
        sample(Value::Number(0.25), "0.25").exact("0.25").json("0.25"),
        // Rounded to the column's digits, as a binary fraction is.
        Sample {
            exact: Some("0.333333"),
            ..sample(Value::Number(1.0 / 3.0), "0.3333333333333333").json("0.3333333333333333")
        }
        .double("0.3333333333333333"),
        sample(Value::Number(1e300), "1e300").json("1e300").double("1e300"),
        sample(decimal("12.30"), "12.30").exact("12.3").json("12.3"),
        sample(decimal("5"), "5").whole(5, "5").json("5"),
        sample(decimal("5.00"), "5.00").whole(5, "5").json("5"),
        sample(decimal("1E+3"), "1000").whole(1000, "1000").json("1000"),
        sample(decimal("0E-8"), "0.00000000").whole(0, "0").json("0"),
        sample(decimal("1E-6"), "0.000001").exact("0.000001").json("0.000001"),
        sample(decimal("0.00000001"), "0.00000001").json("0.00000001").double("0.00000001"),
        sample(decimal("123456789012345678901.123456"), "123456789012345678901.123456")
            .double("123456789012345678901.123456")
            .large("123456789012345678901.123456"),
        member(sample(words("007"), "007").whole(7, "7"), "\"007\""),
        Sample { document: Some("5"), ..member(sample(words("5"), "5").whole(5, "5"), "\"5\"") },
        member(sample(words("05"), "05").whole(5, "5"), "\"05\""),
        member(sample(words("Dresden"), "Dresden"), "\"Dresden\""),
        member(sample(words("no"), "no"), "\"no\""),
        member(sample(words("it's \\ \"é\""), "it's \\ \"é\""), r#""it's \\ \"é\"""#),
        member(sample(words("2026-12-31"), "2026-12-31").moment("2026-12-31 00:00:00"), "\"2026-12-31\""),
        Sample { document: Some("[1]"), ..member(sample(words("[1]"), "[1]"), "\"[1]\"") },
        sample(json(r#"{"sku":"a","n":[1,null,true]}"#), r#"{"sku":"a","n":[1,null,true]}"#)
            .json(r#"{"sku":"a","n":[1,null,true]}"#),
        sample(json("\"no\""), "\"no\"").json("\"no\""),
        sample(Value::Bytes(b"raw".to_vec()), "raw"),
        sample(Value::Bytes(b"5".to_vec()), "5"),
        sample(moment("2026-12-31T23:59:59.700Z"), "2026-12-31T23:59:59.700Z")
            .json("\"2026-12-31T23:59:59.700Z\"")
            .moment("2026-12-31 23:59:59"),
        sample(moment("2027-01-01T01:30:00.000600+02:00"), "2026-12-31T23:30:00.000600Z")
            .json("\"2026-12-31T23:30:00.000600Z\"")
            .moment("2026-12-31 23:30:00"),
    ]
}

impl Sample {
    fn double(self, double: &'static str) -> Self {
        Self { double: Some(double), ..self }
    }

    /// More digits than a binary fraction has.
    fn large(self, exact: &'static str) -> Self {
        Self { exact: Some(exact), ..self }
    }
}

/// What a column holds of a sample; none where it is NULL or does not fit.
pub fn read(column: &str, sample: &Sample) -> Option<String> {
    let whole =
        |fits: fn(i64) -> bool| sample.whole.filter(|whole| fits(*whole)).map(|whole| whole.to_string());
    match column {
        "words" => sample.text.map(str::to_owned),
        "whole" => whole(|_| true),
        "small" => whole(|whole| (0..256).contains(&whole)),
        "large" => whole(|whole| whole >= 0),
        "price" => {
            let (before, behind) = sample.exact?.split_once('.').unwrap_or((sample.exact?, ""));
            Some(format!("{before}.{behind:0<6}"))
        }
        "real_" => sample.double.map(str::to_owned),
        // What 32 bits keep.
        "single" => {
            let single = sample.double?.parse::<f32>().ok()?;
            single.is_finite().then(|| f64::from(single).to_string())
        }
        "doc" => sample.document.map(str::to_owned),
        "raw" => sample.text.map(hex::encode_upper),
        "day" => sample.moment.map(|moment| moment[..10].to_owned()),
        "at" => sample.moment.map(str::to_owned),
        "choice" => {
            let name = sample.text.filter(|text| ["0", "1", "5", "no"].contains(text))?;
            (!matches!(sample.value, Value::Boolean(_))).then(|| name.to_owned())
        }
        other => panic!("no column {other}"),
    }
}
