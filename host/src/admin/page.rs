//! The page at `/`: its files, as they stand in the folder beside this one. They hold no secret, so everybody who reaches the
//! listener gets them; what the page shows it asks the API for, as any other client does.

mod headers;

use std::sync::Arc;

use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use sha2::{Digest, Sha256};
use tower_http::compression::CompressionLayer;

use super::AdminContext;
use headers::HEADERS;

/// A file of the page.
struct PageFile {
    path: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($path:expr, $media_type:expr, $file:literal) => {
        PageFile { path: $path, media_type: $media_type, bytes: include_bytes!(concat!("page/", $file)) }
    };
    ($file:literal, $media_type:expr) => {
        file!(concat!("/page/", $file), $media_type, $file)
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static FILES: [PageFile; 26] = [
    file!("/", HTML, "index.html"),
    file!("lantern.svg", SVG),
    file!("style.css", CSS),
    file!("vendor/uPlot.min.css", CSS),
    file!("vendor/uPlot.iife.min.js", SCRIPT),
    file!("vendor/preact-htm.js", SCRIPT),
    file!("aggregate.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("chart.js", SCRIPT),
    file!("deployments.js", SCRIPT),
    file!("dialog.js", SCRIPT),
    file!("diff.js", SCRIPT),
    file!("draw.js", SCRIPT),
    file!("hosts.js", SCRIPT),
    file!("json.js", SCRIPT),
    file!("lantern.js", SCRIPT),
    file!("letter.js", SCRIPT),
    file!("letters.js", SCRIPT),
    file!("main.js", SCRIPT),
    file!("operations.js", SCRIPT),
    file!("overview.js", SCRIPT),
    file!("projection.js", SCRIPT),
    file!("state.js", SCRIPT),
    file!("tables.js", SCRIPT),
    file!("typed.js", SCRIPT),
    file!("words.js", SCRIPT),
];

/// The routes of all files.
pub fn routes() -> Router<AdminContext> {
    let routes = FILES.iter().fold(Router::new(), |routes, file| {
        let tag: Arc<str> = format!("W/\"{}\"", hex::encode(&Sha256::digest(file.bytes)[..16])).into();
        routes.route(file.path, get(async move |asked: HeaderMap| file.answer(&asked, &tag)))
    });
    routes.layer(CompressionLayer::new()).layer(middleware::map_response(described))
}

impl PageFile {
    /// The file, or that it is still the one that whoever asks has.
    fn answer(&self, asked: &HeaderMap, tag: &str) -> Response {
        let known = asked.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let told = [(CONTENT_TYPE, self.media_type), (ETAG, tag)];
        if known {
            return (StatusCode::NOT_MODIFIED, told).into_response();
        }
        (told, self.bytes).into_response()
    }
}

async fn described(response: Response) -> Response {
    (HEADERS, response).into_response()
}
