//! Checks an operator's request against how the projection stands, and makes a command of it, or says why it cannot. Nothing is written
//! here.

use super::ask::{self, Refusal};
use super::choice::{LetterChoice, choose};
use crate::readmodel::control::command::Request;
use crate::readmodel::control::generation::{self, Change, Generation};
use crate::readmodel::mysql::session::Session;
use crate::servers::Servers;

/// A wish.
#[derive(Debug, Clone)]
pub enum Wish {
    Pause {
        why: String,
    },
    Resume,
    Deploy {
        digest: String,
        canary_seconds: u32,
    },
    Rollback,
    Rebuild {
        accept: bool,
        until: Option<String>,
        aggregate: Option<String>,
    },
    Verify {
        repair: bool,
    },
    /// `shown`: what the generation was shown to lack.
    Accept {
        generation: u32,
        shown: String,
    },
    Return {
        generation: u32,
    },
    Drop {
        generation: u32,
    },
    Letters {
        what: LetterWish,
        choice: LetterChoice,
        limits: Shown,
    },
}

/// What is to become of letters.
#[derive(Debug, Clone)]
pub enum LetterWish {
    Replay,
    Rehearse,
    Discard { why: String },
    Erase { why: String },
}

/// What was shown to whoever wishes something of letters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown {
    /// The live generation.
    pub generation: Option<u32>,
    /// How many letters they were.
    pub count: Option<u64>,
}

/// What a wish comes to.
#[derive(Debug)]
pub struct Wished {
    pub request: Request,
    /// How many letters it is about.
    pub letters: Option<u64>,
}

impl Wish {
    /// The command for it.
    pub async fn request(
        self,
        session: &mut Session,
        servers: &Servers,
        projection: &str,
    ) -> Result<Wished, Refusal> {
        let live = ask::registered(session, servers, projection).await?.live_generation;
        let mut checked = Checked { session, servers, projection };
        let request = match self {
            Self::Letters { what, choice, limits } => {
                return checked.letters(live, what, choice, limits).await;
            }
            Self::Pause { why } => Request::Pause { why: said(&why)? },
            Self::Resume => checked.resume().await?,
            Self::Deploy { digest, canary_seconds } => checked.deploy(digest, canary_seconds).await?,
            Self::Rollback => checked.rollback().await?,
            Self::Rebuild { accept, until, aggregate } => checked.rebuild(accept, until, aggregate).await?,
            Self::Verify { repair } => {
                checked.room_for_another().await?;
                Request::Verify { repair }
            }
            Self::Accept { generation, shown } => {
                let change = Change::Accept { shown: Some(shown.clone()) };
                checked.change(generation, &change).await?;
                Request::AcceptGeneration { generation, shown: Some(shown) }
            }
            Self::Return { generation } => {
                checked.change(generation, &Change::Return).await?;
                Request::ReturnGeneration { generation }
            }
            Self::Drop { generation } => {
                checked.change(generation, &Change::Drop).await?;
                Request::DropGeneration { generation }
            }
        };
        Ok(Wished { request, letters: None })
    }
}

/// What is looked at before a wish becomes a command. What stands in the way only until an earlier command is carried out
/// stands in no way.
struct Checked<'a> {
    session: &'a mut Session,
    servers: &'a Servers,
    projection: &'a str,
}

impl Checked<'_> {
    async fn letters(
        &mut self,
        live: u32,
        what: LetterWish,
        choice: LetterChoice,
        Shown { generation, count }: Shown,
    ) -> Result<Wished, Refusal> {
        if let Some(shown) = generation.filter(|shown| *shown != live) {
            return Err(Refusal::InTheWay(format!(
                "generation {shown} was live when the letters were shown, and {live} is now: its letters are others; list them \
                 again"
            )));
        }
        let heads_only = !matches!(what, LetterWish::Erase { .. });
        let expected = choice.among.as_ref().map(|ids| ids.len() as u64).or(count);
        let choice = LetterChoice { heads_only, ..choice };
        let (letters, found) = choose(self.session, self.servers, self.projection, choice).await?;
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(Refusal::InTheWay(format!(
                "{expected} letter(s) were meant, and {found} fit now: others are gone, or held behind an older one; list them \
                 again"
            )));
        }
        let request = match what {
            LetterWish::Replay => Request::Replay { letters },
            LetterWish::Rehearse => Request::Rehearse { letters },
            LetterWish::Discard { why } => Request::Discard { letters, why: said(&why)? },
            LetterWish::Erase { why } => Request::Erase { letters, why: said(&why)? },
        };
        Ok(Wished { request, letters: Some(found) })
    }

    async fn resume(&mut self) -> Result<Request, Refusal> {
        let (control, projection) = (&self.servers.control, self.projection);
        let is_running = control.of(self.session, projection).find_pause().await?.is_none();
        if is_running && self.is_idle().await? {
            let told = format!("nothing pauses `{projection}`: neither an operator nor its breaker");
            return Err(Refusal::InTheWay(told));
        }
        Ok(Request::Resume)
    }

    async fn deploy(&mut self, digest: String, canary_seconds: u32) -> Result<Request, Refusal> {
        let mut db = self.servers.control.on(self.session);
        let halves = db.halves(&digest).await?;
        for half in [Some(halves.projector), halves.upcaster].into_iter().flatten() {
            if !db.is_component_stored(&half).await? {
                return Err(Refusal::NotThere(format!(
                    "no component {half} is in the control schema; upload it first"
                )));
            }
        }
        Ok(Request::Deploy { digest, canary_seconds })
    }

    async fn rollback(&mut self) -> Result<Request, Refusal> {
        let projection = self.projection;
        let in_force = self.servers.control.of(self.session, projection).deployment_in_force().await?;
        let is_first = in_force.is_none_or(|in_force| in_force.previous.is_none());
        if is_first && self.is_idle().await? && self.standing().await?.is_empty() {
            let told = format!("`{projection}` has had one component only: there is none to go back to");
            return Err(Refusal::InTheWay(told));
        }
        Ok(Request::Rollback)
    }

    async fn rebuild(
        &mut self,
        accept: bool,
        until: Option<String>,
        aggregate: Option<String>,
    ) -> Result<Request, Refusal> {
        let moment = |text: String| {
            let wrong = || format!("`until` is {text:?}; it must be like 2026-01-31T12:00:00Z");
            ask::moment(&text).ok_or_else(|| Refusal::Wrong(wrong()))
        };
        let until = until.map(moment).transpose()?;
        let named = |text: String| {
            ask::aggregate(&text).map_err(|wrong| Refusal::Wrong(format!("`aggregate`: {wrong}")))
        };
        let aggregate = aggregate.map(named).transpose()?;
        if accept && (until.is_some() || aggregate.is_some()) {
            let told = "`accept` is for tables that are swapped in; those of a part of history never are";
            return Err(Refusal::Wrong(told.to_owned()));
        }
        self.room_for_another().await?;
        Ok(Request::Rebuild { accept, until, aggregate })
    }

    /// One generation is built at a time.
    async fn room_for_another(&mut self) -> Result<(), Refusal> {
        let standing = self.standing().await?;
        match generation::opening(&standing, false) {
            Err(why) if self.is_idle().await? => Err(Refusal::InTheWay(why)),
            _ => Ok(()),
        }
    }

    async fn change(&mut self, number: u32, change: &Change) -> Result<(), Refusal> {
        let standing = self.standing().await?;
        let is_there = standing.iter().any(|one| one.generation == number);
        match generation::changing(&standing, self.projection, number, change) {
            Err(why) if !is_there => Err(Refusal::NotThere(why)),
            Err(why) if self.is_idle().await? => Err(Refusal::InTheWay(why)),
            _ => Ok(()),
        }
    }

    async fn standing(&mut self) -> Result<Vec<Generation>, Refusal> {
        Ok(self.servers.control.of(self.session, self.projection).generations().await?)
    }

    /// Whether no command is still to be carried out.
    async fn is_idle(&mut self) -> Result<bool, Refusal> {
        let waiting = self.servers.control.of(self.session, self.projection).waiting_commands().await?;
        Ok(waiting.is_empty())
    }
}

/// A reason that says nothing is none.
fn said(why: &str) -> Result<String, Refusal> {
    match why.trim() {
        "" => Err(Refusal::Wrong("`why` is empty; it is recorded, so say why".to_owned())),
        why => Ok(why.to_owned()),
    }
}
