//! The record of what a projector looked for in vain: files and the environment are empty, and the author learns of it
//! when an event fails.

const FILES: &str = "it looked for files, and a projector has none: build what it reads into the component, as \
                     `include_str!` does";
const ENVIRONMENT: &str = "it looked at the environment, and a projector has none: write constants into its code, and \
                           what changes into the events";

/// The things that a guest looked for in vain, since its run began.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Missed {
    pub(super) files: bool,
    pub(super) environment: bool,
}

impl Missed {
    /// Advice for a guest that trapped. Languages look at the environment before they show a panic, so that is no sign.
    pub(super) fn trapped(self) -> Option<&'static str> {
        self.files.then_some(FILES)
    }

    /// Advice for a guest that rejected an event.
    pub(super) fn rejected(self) -> Option<&'static str> {
        self.trapped().or_else(|| self.environment.then_some(ENVIRONMENT))
    }
}
