//! The threads on which generations are built and compared: a runtime of their own, whose threads go behind those of the live lanes.

use std::sync::LazyLock;

use tokio::runtime::{Builder, Handle, Runtime};

/// The `nice` value of these threads: a quarter of the processor where the live lanes want all of it, so that a busy machine still builds.
const NICENESS: i32 = 5;

/// Lives as long as the process.
static BACKGROUND: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let built =
        Builder::new_multi_thread().enable_all().thread_name("generations").on_thread_start(give_way).build();
    if let Err(error) = &built {
        tracing::warn!("generations are built on the threads of the live lanes: {error}");
    }
    built.ok()
});

/// The runtime in the background; the caller's own one where the system has no threads for it.
pub fn handle() -> Handle {
    BACKGROUND.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
}

/// Lets the live lanes go first. Threads that are started from these, such as those of projectors, do so, too.
fn give_way() {
    if cfg!(target_os = "linux") {
        // Only here is the priority a thread's own. Without it, a rebuild costs the live lanes more, and nothing else.
        let _ = rustix::process::nice(NICENESS);
    }
}
