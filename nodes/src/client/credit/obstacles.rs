//! What stands in the way of a job, in terms of `trefoil credit share`.

use super::find::named;
use crate::{
    job::{ModeSpec, ProgramKind},
    pki::ClientName,
    tables::{Permit, ScoreDetail, TableStatus},
};
use std::collections::BTreeSet;

/// A job as the owners of its tables see it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The program.
    pub program: ProgramKind,
    /// Who submits it.
    pub requester: &'a ClientName,
    /// Who receives outputs.
    pub recipients: &'a [ClientName],
    /// The least count that it tells.
    pub minimum: u64,
    /// What it tells of scores.
    pub tell: ScoreDetail,
    /// Its mode.
    pub mode: ModeSpec,
}

/// Why owners do not permit a job over tables of customers, and the table of a model, if there is one: what can be seen of their permits, each with the option that says otherwise. The nodes decide; what stays there of a
/// job, and how often it was submitted, is not looked at.
pub fn obstacles(tables: &[TableStatus], model: Option<&TableStatus>, asked: &Asked<'_>) -> Vec<String> {
    let all: BTreeSet<&ClientName> = tables.iter().flat_map(customers).collect();
    let of_tables = tables.iter().filter_map(|table| obstacle(table, Some(&all), asked));
    of_tables.chain(model.and_then(|model| obstacle(model, None, asked))).collect()
}

/// Whose customers a table tells of. A joined table is of those whom its permits name.
fn customers(table: &TableStatus) -> Vec<&ClientName> {
    let with: Vec<_> = table.permits.iter().flat_map(|permit| &permit.with).collect();
    if with.is_empty() || with.contains(&&table.owner) { vec![&table.owner] } else { with }
}

/// What the permits of one table lack, if one thing can be named.
fn obstacle(table: &TableStatus, all: Option<&BTreeSet<&ClientName>>, asked: &Asked<'_>) -> Option<String> {
    let Asked { program, requester, recipients, minimum, tell, mode } = asked;
    let name = named(table);
    let permits: Vec<&Permit> = table.permits.iter().filter(|permit| permit.programs.contains(program)).collect();
    let Some(first) = permits.first() else {
        return Some(format!("{name} is not shared for {}", word(*program)));
    };
    let (to, detail) = match (program, all) {
        (ProgramKind::CreditTrain, _) => ("--model-to", ""),
        (ProgramKind::CreditScore, Some(_)) => ("--scores-to", "--scores"),
        // Of the model of an institution, `--scores-to` and `--scores`.
        (ProgramKind::CreditScore, None) => ("--model-scores-to or --scores-to", "--model-scores or --scores"),
        _ => ("--analyst", ""),
    };
    let lacks = |permit: &Permit| {
        if !permit.requesters.contains(requester) {
            return Some(format!("--analyst of {name} names {}, and {requester} asks", listed(&permit.requesters)));
        }
        if !permit.modes.contains(mode) {
            return Some(format!("--mode of {name} is not {mode}"));
        }
        if let Some(other) = recipients.iter().find(|other| !permit.recipients.contains(other)) {
            return Some(format!("{to} of {name} names {}, and {other} would receive", listed(&permit.recipients)));
        }
        let others: Vec<_> = all.into_iter().flatten().filter(|owner| ***owner != table.owner).collect();
        let any = permit.with.is_empty() && matches!(program, ProgramKind::CreditScore | ProgramKind::Moments);
        let missing = permit.with.iter().find(|with| all.is_some_and(|all| !all.contains(with)));
        let joined = !customers(table).contains(&&table.owner);
        let more = others.iter().find(|owner| !permit.with.contains(owner)).filter(|_| !any && !joined);
        match (missing, more) {
            (Some(missing), _) => {
                return Some(format!(
                    "--pooled-with of {name} names {}, and no table of {missing} is there",
                    listed(&permit.with)
                ));
            }
            (None, Some(more)) => {
                return Some(format!(
                    "--pooled-with of {name} names {}, and a table of {more} is there",
                    listed(&permit.with)
                ));
            }
            (None, None) => {}
        }
        if *program == ProgramKind::CreditCounts && *minimum < permit.minimum {
            return Some(format!("--minimum of {name} is {}, and {minimum} is asked for", permit.minimum));
        }
        if *program == ProgramKind::Moments && *minimum < permit.minimum {
            return Some(format!("--minimum of {name} is {}, and a table has {minimum} rows", permit.minimum));
        }
        if *program == ProgramKind::CreditScore && *tell > permit.tell {
            return Some(format!(
                "{detail} of {name} is decision: one decision may be told, so ask with --tell decision"
            ));
        }
        None
    };
    // Any of them would do.
    permits.iter().map(|permit| lacks(permit)).min_by_key(Option::is_some).unwrap_or_else(|| lacks(first))
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
        };
        let train = asked(ProgramKind::CreditTrain);
        assert!(obstacles(&both, None, &train).is_empty());
        let told = |tables: &[TableStatus], asked: &Asked<'_>| obstacles(tables, None, asked).join("; ");
        let alone = told(&both[..1], &train);
        assert_eq!(alone, "--pooled-with of bank-a/loans@1 names bank-a, bank-b, and no table of bank-b is there");
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
        let by_model = obstacles(&both[..1], Some(&model), &score).join("; ");
        assert_eq!(by_model, "--model-scores-to or --scores-to of lead/loans@1 names nobody, and bank-a would receive");
        let raw = [table("bank-a", &purpose, Purpose::moments)];
        assert!(told(&raw, &train).contains("is not shared for training"));
    }
}
