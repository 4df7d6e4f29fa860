//! The same projector in three languages gives the same rows.

use bank::{Generator, Model};

use crate::support::{Options, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_same_projector_in_rust_javascript_and_python_gives_the_same_rows() {
    let events: Vec<_> = Generator::new(7, 200).take(3000).collect();
    for component in ["accounts", "accounts-js", "accounts-py"] {
        let world = World::with(&[("accounts", component)], Options::mysql()).await;
        world.writer.insert_history(events.iter().cloned()).await.expect("history is written");
        let host = world.start();
        world.until_committed("accounts", 3000).await;
        world.assert_accounts(&Model::from_iter(&events)).await;
        assert_eq!(world.letters().await, (0, 0), "{component}");
        assert!(host.stop().await.success());
    }
}
