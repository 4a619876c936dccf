//! What a policy says to a question, and why.

use super::{Bounds, DataPattern, Effect, JobQuestion, Policy, Question, Recipient, RecipientPattern, Rule, Scope};
use crate::pki::ClientName;
use serde::Serialize;
use std::fmt;

/// What a policy says, but for counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision<'a> {
    /// Permitted by each of these rules, in the order of the file; by those with bounds as long as there is room.
    Allowed(Vec<&'a Rule>),
    /// Not permitted.
    Denied(Denial),
}

/// By which rule something was permitted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// Its name.
    pub rule: String,
}

/// Why something is not permitted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "denied", rename_all = "kebab-case")]
pub enum Denial {
    /// The node has no policy.
    NoPolicy,
    /// A rule denies it.
    Rule {
        /// Its name.
        rule: String,
    },
    /// No rule allows it.
    Nothing {
        /// The rule that lacks least, and what.
        nearest: Option<(String, Vec<Fit>)>,
    },
    /// No rule allows this client any job.
    Requester {
        /// The client.
        requester: ClientName,
    },
    /// The requester has had as many jobs as the rule allows.
    Spent {
        /// The rule that was used up last.
        rule: String,
        /// What it allows.
        bounds: Bounds,
    },
}

/// Something that a rule looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dimension {
    /// What is computed.
    Program,
    /// Of what.
    Data,
    /// Who asks.
    Requester,
    /// For whom.
    Recipients,
    /// Against whom it is secure.
    Mode,
    /// What is asked for beside jobs.
    Action,
}

/// Whether a question fits a rule in one dimension.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Fit {
    /// Which.
    pub dimension: Dimension,
    /// What the rule does not cover; empty if it fits.
    pub lacking: Vec<String>,
}

impl Policy {
    /// Decides: a rule that denies any part of it wins, else one that allows all of it is enough.
    #[must_use]
    pub fn decide(&self, question: &Question) -> Decision<'_> {
        if let Some(rule) = self.rules.iter().find(|rule| rule.effect == Effect::Deny && rule.touches(question)) {
            return Decision::Denied(Denial::Rule { rule: rule.name.clone() });
        }
        let allows = || self.rules.iter().filter(|rule| rule.effect == Effect::Allow);
        let covering: Vec<_> = allows().filter(|rule| rule.covers(question)).collect();
        if !covering.is_empty() {
            return Decision::Allowed(covering);
        }
        let fits = allows().filter_map(|rule| Some((rule.name.clone(), rule.fits(question)?)));
        // The first of those that lack least; who asks counts more than what for.
        let lack = |(_, fits): &(String, Vec<Fit>)| {
            let lacks = |fit: &&Fit| !fit.lacking.is_empty();
            let requester = fits.iter().filter(lacks).any(|fit| fit.dimension == Dimension::Requester);
            (fits.iter().filter(lacks).count(), requester)
        };
        Decision::Denied(Denial::Nothing { nearest: fits.min_by_key(lack) })
    }

    /// Whether there is a rule that allows this client any job: known before the job is.
    #[must_use]
    pub fn knows_requester(&self, requester: &ClientName) -> bool {
        let allows = |rule: &Rule| {
            rule.effect == Effect::Allow && matches!(rule.scope, Scope::Jobs { .. }) && rule.is_for(requester)
        };
        self.rules.iter().any(allows)
    }
}

impl Rule {
    /// Whether all of it is covered.
    fn covers(&self, question: &Question) -> bool {
        self.fits(question).is_some_and(|fits| fits.iter().all(|fit| fit.lacking.is_empty()))
    }

    /// Whether any part of it is covered: one data set and one recipient are enough.
    fn touches(&self, question: &Question) -> bool {
        if !self.is_for(question.requester()) {
            return false;
        }
        match (&self.scope, question) {
            (Scope::Actions(actions), Question::Action { action, .. }) => actions.contains(action),
            (Scope::Jobs { programs, data, recipients, modes }, Question::Job(job)) => {
                let any_data = |rule: &[DataPattern]| {
                    job.data.iter().any(|set| rule.iter().any(|pattern| self.covers_data(pattern, set, &job.requester)))
                };
                let any_recipient = |rule: &[RecipientPattern]| {
                    job.recipients.iter().any(|recipient| {
                        rule.iter().any(|pattern| self.covers_recipient(pattern, recipient, &job.requester))
                    })
                };
                programs.as_ref().is_none_or(|programs| programs.contains(&job.program))
                    && data.as_deref().is_none_or(any_data)
                    && recipients.as_deref().is_none_or(any_recipient)
                    && modes.as_ref().is_none_or(|modes| modes.contains(&job.mode))
            }
            _ => false,
        }
    }

    /// How it fits in each dimension; `None` if it is about something else.
    fn fits(&self, question: &Question) -> Option<Vec<Fit>> {
        let fit = |dimension, lacking: Vec<String>| Fit { dimension, lacking };
        let lacking = |there: bool, what: String| if there { Vec::new() } else { vec![what] };
        let requester = question.requester();
        let who = fit(Dimension::Requester, lacking(self.is_for(requester), requester.to_string()));
        match (&self.scope, question) {
            (Scope::Actions(actions), Question::Action { action, .. }) => {
                Some(vec![fit(Dimension::Action, lacking(actions.contains(action), action.to_string())), who])
            }
            (Scope::Jobs { programs, data, recipients, modes }, Question::Job(job)) => {
                let JobQuestion { program, mode, .. } = job;
                let covered = |set: &_| data.iter().flatten().any(|pattern| self.covers_data(pattern, set, requester));
                let without: Vec<_> =
                    job.data.iter().filter(|set| data.is_some() && !covered(*set)).map(ToString::to_string).collect();
                let covered = |recipient: &Recipient| {
                    recipients.iter().flatten().any(|pattern| self.covers_recipient(pattern, recipient, requester))
                };
                let untold = job.recipients.iter().filter(|who| recipients.is_some() && !covered(who));
                let untold: Vec<_> = untold.map(ToString::to_string).collect();
                let program_fits = programs.as_ref().is_none_or(|programs| programs.contains(program));
                let mode_fits = modes.as_ref().is_none_or(|modes| modes.contains(mode));
                Some(vec![
                    fit(Dimension::Program, lacking(program_fits, written(program))),
                    fit(Dimension::Data, without),
                    who,
                    fit(Dimension::Recipients, untold),
                    fit(Dimension::Mode, lacking(mode_fits, mode.to_string())),
                ])
            }
            _ => None,
        }
    }
}

/// As files and requests write it.
pub(super) fn written(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Program => "program",
            Self::Data => "data",
            Self::Requester => "requester",
            Self::Recipients => "recipients",
            Self::Mode => "mode",
            Self::Action => "action",
        })
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicy => f.write_str(
                "this node has no policy, and without one nothing is permitted; its operator makes one with `trefoil policy init`",
            ),
            Self::Rule { rule } => write!(f, "rule `{rule}` denies it"),
            Self::Requester { requester } => write!(f, "no rule allows any job to `{requester}`"),
            Self::Nothing { nearest: None } => f.write_str("no rule allows such a thing to anybody"),
            Self::Nothing { nearest: Some((rule, fits)) } => {
                let named = |fit: &&Fit| fit.dimension.to_string();
                let (fit, lack): (Vec<_>, Vec<_>) = fits.iter().partition(|fit| fit.lacking.is_empty());
                let lack: Vec<_> =
                    lack.iter().map(|fit| format!("{} (`{}`)", fit.dimension, fit.lacking.join("`, `"))).collect();
                write!(f, "no rule allows it; the nearest is `{rule}`, which does not cover {}", lack.join(", "))?;
                if fit.is_empty() {
                    return Ok(());
                }
                write!(f, "; {} fit", fit.iter().map(named).collect::<Vec<_>>().join(", "))
            }
            Self::Spent { rule, bounds } => {
                write!(f, "the jobs that rule `{rule}` allows are used up: {bounds}, by hours and days of UTC")
            }
        }
    }
}
