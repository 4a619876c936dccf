//! What a client may ask of a node beside jobs.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Kinds of requests that change something, sign, or hand out a whole table, beside jobs. To look at one's own things, and to fetch what a job has for one, needs no rule.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Store and delete tables
    Tables,
    /// Fetch tables that one has uploaded
    Downloads,
    /// Enrol, refresh, recover and delete signing keys
    Keys,
    /// Sign with a key
    Sign,
    /// Enrol, refresh and erase templates, and store and forget credentials and issuers
    Templates,
    /// Log in with a device
    Logins,
    /// Have tokens signed
    Tokens,
    /// Search a probe among one's users
    Searches,
    /// Have the nodes compare, refresh and rebuild their stores
    Upkeep,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Tables,
        Self::Downloads,
        Self::Keys,
        Self::Sign,
        Self::Templates,
        Self::Logins,
        Self::Tokens,
        Self::Searches,
        Self::Upkeep,
    ];

    /// As policies write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tables => "tables",
            Self::Downloads => "downloads",
            Self::Keys => "keys",
            Self::Sign => "sign",
            Self::Templates => "templates",
            Self::Logins => "logins",
            Self::Tokens => "tokens",
            Self::Searches => "searches",
            Self::Upkeep => "upkeep",
        }
    }

    /// What a request that changes nothing at a route of the API does, if that is more than to look.
    #[must_use]
    pub fn of_look(route: &str) -> Option<Self> {
        (route == "/v1/tables/{name}/{version}").then_some(Self::Downloads)
    }

    /// What a request for a route of the API does, other than to look.
    #[must_use]
    pub fn of_route(route: &str) -> Option<Self> {
        let rest = route.strip_prefix("/v1/")?;
        let first = rest.split('/').next().unwrap_or_default();
        match (first, rest.strip_prefix("auth/").and_then(|rest| rest.split('/').next())) {
            ("tables", _) => Some(Self::Tables),
            ("keys", _) if rest.ends_with("/sign") => Some(Self::Sign),
            ("keys", _) => Some(Self::Keys),
            ("upkeep", _) => Some(Self::Upkeep),
            (_, Some("users" | "credentials" | "issuers")) => Some(Self::Templates),
            (_, Some("logins")) => Some(Self::Logins),
            (_, Some("tokens")) => Some(Self::Tokens),
            (_, Some("searches")) => Some(Self::Searches),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
