//! The index in whose order history is read: which one it is, or why none of the outbox's will do.
//!
//! Every message that asks for an index prints a command that no write of the outbox can fail for.

use bson::{Bson, Document};
use mongodb::IndexModel;
use mongodb::options::Collation;

use crate::failure::Failure;
use crate::source::{Fields, Outbox};

/// An index that gives every document a place of its own: by `_id`, or by being unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryIndex {
    pub name: String,
    pub fields: Vec<String>,
}

impl Outbox {
    pub async fn history_index(&self, fields: &Fields) -> Result<HistoryIndex, Failure> {
        let indexes = self.indexes().await?;
        if let Some(index) = choose(&indexes, fields) {
            return Ok(index);
        }
        let newest = self.last(1).await?.pop();
        if newest.is_some_and(|document| matches!(document.get(&fields.sequence), Ok(None))) {
            return Err(Failure::Misconfigured {
                reason: format!(
                    "the newest document of the outbox has no `{}`, so the order of history is unknown; add it to the \
                     documents, or begin with `start = \"now\"`",
                    fields.sequence
                ),
            });
        }
        Err(Failure::Misconfigured { reason: missing(&indexes, fields, self.name()) })
    }
}

/// The fields that order history: those of a unique index, and with `_id` behind them those of any.
fn orders(fields: &Fields) -> [Vec<String>; 2] {
    let order = [&fields.aggregate_type, &fields.aggregate_id, &fields.sequence].map(Clone::clone).to_vec();
    let with_id = [&order[..], &["_id".to_owned()]].concat();
    [with_id, order]
}

fn choose(indexes: &[IndexModel], fields: &Fields) -> Option<HistoryIndex> {
    let [with_id, order] = orders(fields);
    let usable = |index: &&IndexModel| obstacle(index).is_none();
    let mut usable = indexes.iter().filter(usable).filter_map(|index| {
        let fits = has_keys(index, &with_id) || is_unique(index) && has_keys(index, &order);
        fits.then(|| HistoryIndex {
            name: name(index).to_owned(),
            fields: index.keys.keys().cloned().collect(),
        })
    });
    usable.next()
}

/// What to say where no index will do: what the nearest one lacks, and the command that makes one.
fn missing(indexes: &[IndexModel], fields: &Fields, collection: &str) -> String {
    let [with_id, order] = orders(fields);
    let nearest = indexes.iter().find(|index| has_keys(index, &with_id) || has_keys(index, &order));
    let lacks = nearest.map_or(String::new(), |index| {
        let why = obstacle(index).unwrap_or("it is not unique and does not end with `_id`");
        format!(" (the index \"{}\" cannot serve: {why})", name(index))
    });
    // MongoDB takes a second index with the same keys only where their collations differ.
    let in_the_way = nearest.filter(|index| has_keys(index, &with_id) && !has_collation(index));
    let drop = in_the_way.map_or(String::new(), |index| {
        format!("db.getCollection(\"{collection}\").dropIndex(\"{}\"), then ", name(index))
    });
    let options = [
        has_default_collation(indexes).then_some("collation: { locale: \"simple\" }"),
        nearest.is_some().then_some("name: \"laterna_history\""),
    ];
    let options: Vec<&str> = options.into_iter().flatten().collect();
    let options = if options.is_empty() { String::new() } else { format!(", {{ {} }}", options.join(", ")) };
    let keys = with_id.iter().map(|name| format!("\"{name}\": 1")).collect::<Vec<_>>().join(", ");
    format!(
        "the order of events in history is unknown without an index on it{lacks}; create it with: {drop}\
         db.getCollection(\"{collection}\").createIndex({{ {keys} }}{options})"
    )
}

/// Why an index does not have every document in plain ascending order.
fn obstacle(index: &IndexModel) -> Option<&'static str> {
    let options = index.options.as_ref()?;
    let obstacles = [
        (options.sparse == Some(true), "it is sparse"),
        (options.partial_filter_expression.is_some(), "it is partial"),
        (has_collation(index), "it has a collation, which sorts ids otherwise than by their bytes"),
        (options.hidden == Some(true), "it is hidden"),
    ];
    obstacles.into_iter().find(|(is_so, _)| *is_so).map(|(_, why)| why)
}

/// Whether the collection was created with a collation, which its indexes have unless they name another one.
fn has_default_collation(indexes: &[IndexModel]) -> bool {
    let of_ids: Document = [("_id".to_owned(), Bson::Int32(1))].into_iter().collect();
    indexes.iter().any(|index| index.keys == of_ids && has_collation(index))
}

fn has_collation(index: &IndexModel) -> bool {
    let collation: Option<&Collation> = index.options.as_ref().and_then(|options| options.collation.as_ref());
    collation.is_some()
}

/// Every index of a server has a name.
fn name(index: &IndexModel) -> &str {
    index.options.as_ref().and_then(|options| options.name.as_deref()).unwrap_or_default()
}

fn is_unique(index: &IndexModel) -> bool {
    index.options.as_ref().is_some_and(|options| options.unique == Some(true))
}

fn has_keys(index: &IndexModel, names: &[String]) -> bool {
    index.keys.keys().eq(names) && index.keys.values().all(is_ascending)
}

fn is_ascending(direction: &Bson) -> bool {
    direction.as_i32() == Some(1) || direction.as_i64() == Some(1) || direction.as_f64() == Some(1.0)
}

#[cfg(test)]
mod tests {
    use bson::doc;
    use mongodb::options::IndexOptions;

    use super::*;

    fn index(keys: Document, options: IndexOptions) -> IndexModel {
        IndexModel::builder().keys(keys).options(options).build()
    }

    fn named(name: &str) -> IndexOptions {
        IndexOptions::builder().name(name.to_owned()).build()
    }

    fn with(name: &str, change: impl FnOnce(&mut IndexOptions)) -> IndexOptions {
        let mut options = named(name);
        change(&mut options);
        options
    }

    fn order() -> Document {
        doc! { "aggregateType": 1, "aggregateId": 1, "sequence": 1 }
    }

    fn with_id() -> Document {
        doc! { "aggregateType": 1, "aggregateId": 1.0, "sequence": 1_i64, "_id": 1 }
    }

    #[test]
    fn an_index_serves_that_is_unique_or_ends_with_the_id() {
        let fields = Fields::default();
        let unique = with("u", |options| options.unique = Some(true));
        assert_eq!(choose(&[index(order(), unique)], &fields).map(|index| index.name), Some("u".into()));
        assert_eq!(
            choose(&[index(with_id(), named("i"))], &fields).map(|index| index.name),
            Some("i".into())
        );
        assert_eq!(choose(&[index(order(), named("o"))], &fields), None);
        let sparse = with("s", |options| options.sparse = Some(true));
        assert_eq!(choose(&[index(with_id(), sparse)], &fields), None);
    }

    #[test]
    fn the_printed_command_makes_an_index_that_no_write_can_fail_for() {
        let says = missing(&[], &Fields::debezium(), "outbox");
        let command =
            "createIndex({ \"aggregatetype\": 1, \"aggregateid\": 1, \"sequence\": 1, \"_id\": 1 })";
        assert!(says.ends_with(command), "{says}");
    }

    #[test]
    fn an_index_that_comes_near_is_named_with_what_it_lacks() {
        let fields = Fields::default();
        let says = missing(&[index(order(), named("mine"))], &fields, "outbox");
        assert!(says.contains("the index \"mine\" cannot serve: it is not unique"), "{says}");
        assert!(!says.contains("dropIndex"), "{says}");
        let partial = with("part", |options| options.partial_filter_expression = Some(doc! { "a": 1 }));
        let says = missing(&[index(with_id(), partial)], &fields, "outbox");
        assert!(says.contains("it is partial") && says.contains("dropIndex(\"part\"), then "), "{says}");
    }

    #[test]
    fn where_the_collection_has_a_collation_the_command_names_the_simple_one() {
        let german = || Collation::builder().locale("de".to_owned()).build();
        let ids = index(doc! { "_id": 1 }, with("_id_", |options| options.collation = Some(german())));
        let inherited = index(with_id(), with("mine", |options| options.collation = Some(german())));
        let says = missing(&[ids, inherited], &Fields::default(), "outbox");
        let options = "{ collation: { locale: \"simple\" }, name: \"laterna_history\" })";
        assert!(says.contains("it has a collation") && says.ends_with(options), "{says}");
    }
}
