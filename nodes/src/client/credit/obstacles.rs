//! What stands in the way of a job, in terms of the options that permit it.

use super::{evaluate::TIMES, find::named};
use crate::{
    job::{ModeSpec, ProgramKind},
    pki::ClientName,
    tables::{Permit, ScoreDetail, TableStatus},
};
use std::{collections::BTreeSet, fmt};

/// A job as the owners of its tables see it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The program.
    pub program: ProgramKind,
    /// Who submits it.
    pub requester: &'a ClientName,
    /// Who receives outputs. Scores for nobody stay at the nodes, where they are counted.
    pub recipients: &'a [ClientName],
    /// The least count that it tells.
    pub minimum: u64,
    /// What it tells of scores.
    pub tell: ScoreDetail,
    /// Its mode.
    pub mode: ModeSpec,
    /// How many jobs of this kind are submitted over each table.
    pub times: u32,
}

/// Why an owner does not permit a job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Obstacle {
    /// The option, what it says, and what is asked for.
    lacks: String,
    /// Who can say otherwise, and how.
    remedy: String,
}

/// All that is in the way, each thing once, and then the remedies.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Obstacles(Vec<Obstacle>);

/// Why owners do not permit a job over tables of customers, and the table of a model, if there is one: what can be seen of their permits, each with the option that says otherwise. The nodes decide; how often a
/// client has submitted jobs already is not known.
pub fn obstacles(tables: &[TableStatus], model: Option<&TableStatus>, asked: &Asked<'_>) -> Obstacles {
    let all: BTreeSet<&ClientName> = tables.iter().flat_map(customers).collect();
    let of_tables = tables.iter().map(|table| (table, Of::Customers));
    let of_all = of_tables.chain(model.map(|model| (model, Of::Model)));
    let obstacle = |(table, of): (&TableStatus, Of)| {
        let lacks = of.lacks(table, &all, asked)?;
        Some(Obstacle { lacks, remedy: of.remedy(table, asked.requester) })
    };
    Obstacles(of_all.filter_map(obstacle).collect())
}

impl Obstacles {
    /// Whether nothing is in the way.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, and others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }
}

impl fmt::Display for Obstacles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let once = |of: fn(&Obstacle) -> &String| {
            let mut all: Vec<&str> = Vec::new();
            for text in self.0.iter().map(of) {
                if !all.contains(&text.as_str()) {
                    all.push(text);
                }
            }
            all.join("; ")
        };
        write!(f, "{}: {}", once(|obstacle| &obstacle.lacks), once(|obstacle| &obstacle.remedy))
    }
}

/// Whose customers a table tells of. A joined table is of those whom its permits name.
fn customers(table: &TableStatus) -> Vec<&ClientName> {
    let with: Vec<_> = table.permits.iter().flat_map(|permit| &permit.with).collect();
    if with.is_empty() || with.contains(&&table.owner) { vec![&table.owner] } else { with }
}

/// What a table is in a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Of {
    Customers,
    Model,
}

impl Of {
    /// What the permits of a table lack, if one thing can be named.
    fn lacks(self, table: &TableStatus, all: &BTreeSet<&ClientName>, asked: &Asked<'_>) -> Option<String> {
        let permits: Vec<&Permit> =
            table.permits.iter().filter(|permit| permit.programs.contains(&asked.program)).collect();
        let Some(first) = permits.first() else {
            return Some(format!("{} is not shared for {}", named(table), word(asked.program)));
        };
        // Any of them would do.
        let lacks = |permit: &Permit| self.lacks_of(permit, table, all, asked);
        permits.iter().map(|permit| lacks(permit)).min_by_key(Option::is_some).unwrap_or_else(|| lacks(first))
    }

    fn lacks_of(
        self,
        permit: &Permit,
        table: &TableStatus,
        all: &BTreeSet<&ClientName>,
        asked: &Asked<'_>,
    ) -> Option<String> {
        let Asked { program, requester, recipients, minimum, tell, mode, times } = asked;
        let name = named(table);
        let to = match program {
            ProgramKind::CreditTrain => "--model-to",
            ProgramKind::CreditScore => "--scores-to",
            _ => "--analyst",
        };
        if !permit.requesters.contains(requester) {
            return Some(format!("--analyst of {name} names {}, and {requester} asks", listed(&permit.requesters)));
        }
        if !permit.modes.contains(mode) {
            return Some(format!("--mode of {name} is not {mode}"));
        }
        if let Some(other) = recipients.iter().find(|other| !permit.recipients.contains(other)) {
            return Some(format!("{to} of {name} names {}, and {other} would receive", listed(&permit.recipients)));
        }
        if self == Self::Customers {
            let any = permit.with.is_empty() && matches!(program, ProgramKind::CreditScore | ProgramKind::Moments);
            if let Some(lacks) = pooled(permit, table, all).filter(|_| !any) {
                return Some(lacks);
            }
        }
        if *program == ProgramKind::CreditCounts && *minimum < permit.minimum {
            return Some(format!("--minimum of {name} is {}, and {minimum} is asked for", permit.minimum));
        }
        if *program == ProgramKind::Moments && *minimum < permit.minimum {
            return Some(format!("--minimum of {name} is {}, and a table has {minimum} rows", permit.minimum));
        }
        if *program == ProgramKind::CreditScore && *tell > permit.tell {
            return Some(format!(
                "--scores of {name} is decision: one decision may be told, so ask with --tell decision"
            ));
        }
        if (1..*times).contains(&permit.times) {
            let what = word(*program);
            return Some(format!("--times of {name} is {}, and {times} jobs for {what} are needed", permit.times));
        }
        if *program != ProgramKind::CreditScore || !recipients.is_empty() {
            return None;
        }
        let often = permit.keep.iter().find(|kept| (1..TIMES).contains(&kept.times));
        match (often, self) {
            (Some(kept), _) => {
                Some(format!("--times of {name} is {}, and `trefoil credit evaluate` takes {TIMES}", kept.times))
            }
            (None, Self::Model) => not_counted(permit, table, all, asked),
            (None, Self::Customers) => None,
        }
    }

    /// Who can permit more with this table, and how.
    fn remedy(self, table: &TableStatus, requester: &ClientName) -> String {
        let (owner, own) = (&table.owner, table.owner == *requester);
        let does = |what: &str| if own { format!("have it {what}") } else { format!("{owner} has it {what}") };
        if self == Self::Model && is_trained(table) {
            format!(
                "{} again with other options of `trefoil credit train`, within what the owners of the tables permit with --model-scores-to, --model-scores and --times",
                does("trained")
            )
        } else if self == Self::Customers && !customers(table).contains(&owner) {
            format!("{} again of tables that their owners share otherwise", does("joined"))
        } else if own {
            "share it otherwise, as another --version".to_owned()
        } else {
            "the owner may share it otherwise, as another --version".to_owned()
        }
    }
}

/// Whose tables are missing beside a table of customers, or too many.
fn pooled(permit: &Permit, table: &TableStatus, all: &BTreeSet<&ClientName>) -> Option<String> {
    let of = || format!("--pooled-with of {} names {}", named(table), listed(&permit.with));
    if let Some(missing) = permit.with.iter().find(|with| !all.contains(with)) {
        return Some(format!("{}, and no table of {missing} is there", of()));
    }
    let joined = !customers(table).contains(&&table.owner);
    let mut others = all.iter().filter(|owner| ***owner != table.owner && !joined);
    let more = others.find(|owner| !permit.with.contains(owner))?;
    Some(format!("{}, and a table of {more} is there", of()))
}

/// Why scores by a model may not be counted, as far as that can be told.
fn not_counted(permit: &Permit, model: &TableStatus, all: &BTreeSet<&ClientName>, asked: &Asked<'_>) -> Option<String> {
    let name = named(model);
    let counts = |kept: &&Permit| kept.programs.contains(&ProgramKind::CreditCounts);
    let Some(kept) = permit.keep.iter().find(counts) else {
        return Some(format!("--scores of {name} is decision: scores by it are not counted"));
    };
    if !kept.requesters.contains(asked.requester) {
        let requester = asked.requester;
        return Some(format!("--analyst of {name} names {}, and {requester} counts", listed(&kept.requesters)));
    }
    if asked.minimum < kept.minimum {
        return Some(format!("--minimum of {name} is {}, and {} is asked for", kept.minimum, asked.minimum));
    }
    let trained: BTreeSet<&ClientName> = kept.with.iter().collect();
    if !trained.is_empty() && trained != *all {
        let all: Vec<_> = all.iter().map(|owner| (*owner).clone()).collect();
        return Some(format!(
            "{name} was trained on customers of {}, for counts of these, and the tables are of {}",
            listed(&kept.with),
            listed(&all)
        ));
    }
    None
}

/// Whether a model was trained at the nodes: scores by it are counted for the customers of some owners alone.
fn is_trained(model: &TableStatus) -> bool {
    model.permits.iter().flat_map(|permit| &permit.keep).any(|kept| !kept.with.is_empty())
}

/// What a program does, for people.
fn word(program: ProgramKind) -> &'static str {
    match program {
        ProgramKind::CreditTrain => "training",
        ProgramKind::CreditScore => "scores",
        ProgramKind::CreditCounts => "counts",
        ProgramKind::CreditJoin => "joins",
        ProgramKind::Moments => "moments",
        ProgramKind::AesCtr | ProgramKind::Circuit => "other programs",
    }
}

fn listed(names: &[ClientName]) -> String {
    if names.is_empty() {
        return "nobody".to_owned();
    }
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::credit::Purpose, job::Sha256Hex};

    fn name(text: &str) -> ClientName {
        text.parse().expect("a name")
    }

    fn table(owner: &str, purpose: &Purpose, permits: fn(&Purpose) -> Vec<Permit>) -> TableStatus {
        TableStatus {
            owner: name(owner),
            name: "loans".parse().expect("a name"),
            version: 1,
            sha256: Sha256Hex::of(b""),
            rows: 100,
            columns: Vec::new(),
            permits: permits(&purpose.clone().of_owner(&name(owner))),
            epoch: 0,
            expires: None,
        }
    }

    #[test]
    fn what_is_in_the_way_is_named_by_its_option() {
        let (lead, bank) = (name("lead"), [name("bank-a")]);
        let purpose = Purpose {
            pooled_with: vec![name("bank-a"), name("bank-b")],
            scores_to: bank.to_vec(),
            ..Purpose::new(vec![lead.clone()], 10, ModeSpec::Malicious)
        };
        let both = ["bank-a", "bank-b"].map(|owner| table(owner, &purpose, Purpose::customers));
        let asked = |program| Asked {
            program,
            requester: &lead,
            recipients: &[],
            minimum: 10,
            tell: ScoreDetail::Decision,
            mode: ModeSpec::Malicious,
            times: 1,
        };
        let train = asked(ProgramKind::CreditTrain);
        assert!(obstacles(&both, None, &train).is_empty());
        let told = |tables: &[TableStatus], asked: &Asked<'_>| obstacles(tables, None, asked).to_string();
        let alone = told(&both[..1], &train);
        assert_eq!(
            alone,
            "--pooled-with of bank-a/loans@1 names bank-a, bank-b, and no table of bank-b is there: the owner may share it otherwise, as another --version"
        );
        let more =
            [&both[..], &[table("eve", &Purpose { pooled_with: Vec::new(), ..purpose.clone() }, Purpose::customers)]];
        assert!(told(&more.concat(), &train).contains("and a table of eve is there"));
        let eve = name("eve");
        assert!(told(&both, &Asked { requester: &eve, ..train }).contains("names lead, and eve asks"));
        assert!(told(&both, &Asked { mode: ModeSpec::SemiHonest, ..train }).contains("--mode of bank-a/loans@1"));
        let release = told(&both, &Asked { recipients: &bank, ..train });
        assert!(
            release.starts_with("--model-to of bank-a/loans@1 names nobody, and bank-a would receive"),
            "{release}"
        );
        let counts = Asked { minimum: 5, recipients: std::slice::from_ref(&lead), ..asked(ProgramKind::CreditCounts) };
        assert!(told(&both, &counts).contains("--minimum of bank-a/loans@1 is 10, and 5 is asked for"));
        let score = Asked { recipients: &bank, ..asked(ProgramKind::CreditScore) };
        assert!(obstacles(&both[..1], None, &score).is_empty());
        let number = told(&both[..1], &Asked { tell: ScoreDetail::Number, ..score });
        assert!(number.contains("--scores of bank-a/loans@1 is decision"), "{number}");
        let model = table("lead", &Purpose { model_scores_to: Vec::new(), ..purpose.clone() }, Purpose::model);
        let by_model = obstacles(&both[..1], Some(&model), &score).to_string();
        assert!(by_model.starts_with("--scores-to of lead/loans@1 names nobody, and bank-a would receive: have it trained again with other options of `trefoil credit train`"), "{by_model}");
        let raw = [table("bank-a", &purpose, Purpose::moments)];
        assert!(told(&raw, &train).contains("is not shared for training"));
    }
    #[test]
    fn what_keeps_scores_from_being_counted_is_named() {
        let lead = name("lead");
        let purpose = Purpose {
            pooled_with: vec![name("bank-a"), name("bank-b")],
            ..Purpose::new(vec![lead.clone()], 10, ModeSpec::Malicious)
        };
        let both = ["bank-a", "bank-b"].map(|owner| table(owner, &purpose, Purpose::customers));
        let kept = Asked {
            program: ProgramKind::CreditScore,
            requester: &lead,
            recipients: &[],
            minimum: 10,
            tell: ScoreDetail::Decision,
            mode: ModeSpec::Malicious,
            times: 3,
        };
        let trained = TableStatus { permits: purpose.model(), ..table("lead", &purpose, Purpose::model) };
        assert!(obstacles(&both, Some(&trained), &kept).is_empty());
        let told = |tables: &[TableStatus], model: &TableStatus, asked: &Asked<'_>| {
            obstacles(tables, Some(model), asked).to_string()
        };
        let few = told(&both, &trained, &Asked { minimum: 5, ..kept });
        assert!(few.starts_with("--minimum of lead/loans@1 is 10, and 5 is asked for"), "{few}");
        let some = told(&both[..1], &trained, &kept);
        assert!(some.contains("was trained on customers of bank-a, bank-b, for counts of these"), "{some}");
        let secret = table("bank-b", &purpose, Purpose::secret_model);
        let decisions = told(&both, &secret, &kept);
        assert!(
            decisions.contains("--scores of bank-b/loans@1 is decision: scores by it are not counted"),
            "{decisions}"
        );
        let bounded = |times| {
            let purpose = Purpose { times, ..purpose.clone() };
            [table("bank-a", &purpose, Purpose::customers), both[1].clone()]
        };
        let often = told(&bounded(2), &trained, &Asked { times: 1, ..kept });
        assert!(often.starts_with("--times of bank-a/loans@1 is 2, and `trefoil credit evaluate` takes 3"), "{often}");
        assert!(obstacles(&bounded(3), Some(&trained), &kept).is_empty());
        let oftener = told(&bounded(3), &trained, &Asked { times: 4, ..kept });
        assert!(oftener.starts_with("--times of bank-a/loans@1 is 3, and 4 jobs for scores are needed"), "{oftener}");
    }
}
