//! What requests hold, read strictly: a body is one JSON object, and numbers are those that the description says.

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// A body that is one JSON object. A list of values in the order of its fields, which the derived readers take, is none.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let read = Json::<Map<String, Value>>::from_request(request, state).await;
        let Json(object) = read.map_err(IntoResponse::into_response)?;
        let told = |wrong: serde_json::Error| {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("the body is not as it has to be: {wrong}"))
                .into_response()
        };
        serde_json::from_value(Value::Object(object)).map(Self).map_err(told)
    }
}

/// A part of a body that is an object, or is not there.
pub fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let object = Option::<Map<String, Value>>::deserialize(from)?;
    object.map(|object| serde_json::from_value(Value::Object(object))).transpose().map_err(Error::custom)
}

/// A number of 63 bits, as descriptions have them.
pub fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let number = i64::deserialize(from)?;
    u64::try_from(number).map_err(|_| Error::custom("a number of 0 or more is expected"))
}

/// The same, where it is given.
pub fn number_if_any<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    number(from).map(Some)
}
