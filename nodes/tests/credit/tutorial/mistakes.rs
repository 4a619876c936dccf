//! Mistakes that people make, and what they are told.

use super::{json, shell};
use std::{fs, path::Path};

const LEAD: &str = "--cluster demo/cluster.toml --identity demo/lead.crt";
const BANK: &str = "--cluster demo/cluster.toml --identity demo/bank-a.crt --schema nodes/data/credit/schema.toml";
const TRAIN: &str = "trefoil credit train --cluster demo/cluster.toml --identity demo/lead.crt --moments moments.json --tables bank-a/loans,bank-b/loans,bank-c/loans --iterations 1";

/// Commands that fail, and what they say.
fn refused(dir: &Path, cases: &[(String, &str)]) {
    for (command, told) in cases {
        let output = shell(&format!("! {{ {command} 2>&1; }}"), dir);
        assert!(output.contains(told), "{command}\n{output}");
    }
}

/// Tables of another schema are refused where they would be pooled, and what changes no number is not.
pub(crate) fn schemas_are_compared(dir: &Path) {
    let text = fs::read_to_string(dir.join("nodes/data/credit/schema.toml")).expect("a schema");
    fs::write(dir.join("wider.toml"), text.replace("max = 10_000_000", "max = 20_000_000")).expect("written");
    fs::write(dir.join("turned.toml"), text.replace("bad = \"1\"\ngood = \"0\"", "bad = \"0\"\ngood = \"1\""))
        .expect("written");
    fs::write(dir.join("commented.toml"), format!("# As agreed.\n{text}")).expect("written");
    let mut without = json(dir, "moments.json");
    without.as_object_mut().and_then(|file| file.remove("schema")).expect("a digest");
    fs::write(dir.join("without.json"), without.to_string()).expect("written");
    let share = "trefoil credit share --cluster demo/cluster.toml --identity demo/bank-a.crt --data bank-a.csv --analyst lead --pooled-with bank-b --mode semi-honest";
    let refused = |command: &str| shell(&format!("! {{ {command} 2>&1; }}"), dir);
    for (schema, named) in [("wider", "`person_income` has another"), ("turned", "the label `loan_status`")] {
        let told = refused(&format!("{share} --table x --schema {schema}.toml --moments moments.json"));
        assert!(told.contains("not the one that the moments were made with") && told.contains(named), "{told}");
        shell(&format!("{share} --table {schema} --schema {schema}.toml"), dir);
        let told = refused(&format!(
            "trefoil credit moments --cluster demo/cluster.toml --identity demo/lead.crt --schema commented.toml --tables bank-b/loans-raw,bank-a/{schema} --out x.json"
        ));
        assert!(
            told.contains(&format!("not shared with this schema: bank-a/{schema}@1; nothing was computed: compare")),
            "{told}"
        );
    }
    shell(&format!("{share} --table x --schema commented.toml --moments moments.json"), dir);
    // Nothing is known of a file that was made by other means, which is said, until a schema is written in.
    let warned = shell(&format!("{share} --table y --schema wider.toml --moments without.json 2>&1"), dir);
    assert!(warned.contains("without.json does not say with which schema"), "{warned}");
    shell("trefoil credit schema commented.toml --moments without.json --out with.json", dir);
    assert_eq!(json(dir, "with.json"), json(dir, "moments.json"));
    let told = refused("trefoil credit schema wider.toml --moments with.json");
    assert!(told.contains("`person_income` has another"), "{told}");
}

pub(crate) fn what_is_not_permitted_is_named(dir: &Path) {
    let alone = TRAIN.replace(",bank-b/loans,bank-c/loans", "");
    let cases = [
        (
            format!(
                "sed '17s/,A,/,H,/; 17s/,[B-G],/,H,/' bank-a.csv > bad.csv; trefoil credit share {BANK} --data bad.csv --table bad --analyst lead"
            ),
            "line 17, column `loan_grade`",
        ),
        (
            format!(
                "trefoil credit share {BANK} --data bank-a.csv --table loans --moments moments.json --analyst lead"
            ),
            "`trefoil credit delete --table NAME` deletes a table; --version 2",
        ),
        (
            format!("{TRAIN} --release-to lead --out model.json"),
            "--model-to of bank-a/loans@1 names nobody, and lead would receive",
        ),
        (format!("{TRAIN} --model-table other --scores-to lead"), "may not be used"),
        (
            format!("{alone} --model-table other"),
            "--pooled-with of bank-a/loans@1 names bank-a, bank-b, bank-c, and no table of bank-b is there",
        ),
        (format!("{TRAIN} --model-table model"), "is there already"),
        (
            format!(
                "trefoil credit evaluate {LEAD} --moments moments.json --tables bank-a/loans-test,bank-b/loans-test,bank-c/loans-test --model-table lead/model --minimum 5"
            ),
            "error: the tables may not be used for this: --minimum of lead/model@1 is 10, and 5 is asked for; --minimum of bank-a/loans-test@1 is 10",
        ),
        // Nothing is scored before.
        (
            format!(
                "trefoil credit evaluate {LEAD} --moments moments.json --tables bank-a/loans-test --model-table lead/model"
            ),
            "error: the tables may not be used for this: lead/model@1 was trained on customers of bank-a, bank-b, bank-c, for counts of these, and the tables are of bank-a; --pooled-with of bank-a/loans-test@1 names bank-a, bank-b, bank-c, and no table of bank-b is there: have it trained again",
        ),
        (
            format!("trefoil credit train {LEAD} --moments moments.json --tables bank-b/loans-raw --model-table x"),
            "bank-b/loans-raw@1 was shared for `trefoil credit moments` alone; bank-b shares its customers with --moments",
        ),
        (
            format!(
                "trefoil credit moments {LEAD} --schema nodes/data/credit/schema.toml --tables bank-b/loans-raw,bank-c/loans --out x.json"
            ),
            "not shared for moments: bank-c/loans@1; their owners",
        ),
        (
            format!(
                "trefoil credit score {LEAD} --moments moments.json --model-table lead/model --tables bank-a/loans-test --to bank-a"
            ),
            "--scores of bank-a/loans-test@1 is decision: one decision may be told, so ask with --tell decision",
        ),
    ];
    refused(dir, &cases);
}

pub(crate) fn what_is_mistyped_is_named(dir: &Path) {
    let cases = [
        // It is not trained only to find that it cannot be written.
        (format!("{TRAIN} --release-to lead --out moments.json"), "is there already"),
        (format!("{TRAIN} --release-to bank-a --out model.json"), "name it with --release-to"),
        (format!("{TRAIN} --tables bank-a/loans --model-table other"), "twice"),
        (
            format!(
                "sed 's/mean/mean/; 0,/[0-9]\\.[0-9]/s//9.9/' moments.json > other.json; trefoil credit train {LEAD} --moments other.json --tables bank-a/loans --model-table x"
            ),
            "was not made with these features and moments",
        ),
        (
            format!(
                "trefoil credit evaluate {LEAD} --moments moments.json --tables bank-a/nothing --model-table lead/model"
            ),
            "has no table bank-a/nothing@1 that lead may use: bank-a shares it with `trefoil credit share --analyst lead`",
        ),
        (
            format!(
                "trefoil credit evaluate {LEAD} --moments moments.json --tables bank-a/loan-test --model-table lead/model"
            ),
            "of bank-a, lead may use bank-a/loans-test@1, bank-a/loans@1, bank-a/turned@1",
        ),
        (
            format!(
                "trefoil credit evaluate {LEAD} --moments moments.json --tables bank-a/loans-test --model-table bank-a/loans"
            ),
            "bank-a/loans@1 is no model",
        ),
        (
            format!(
                "trefoil credit evaluate {LEAD} --moments moments.json --tables lead/model --model-table lead/model"
            ),
            "lead/model@1 is a model, and --tables names tables of customers",
        ),
        (
            format!(
                "trefoil credit share {} --data bank-a.csv --table x --analyst lead",
                BANK.replace("bank-a.crt", "bnk-a.crt")
            ),
            "--identity names NAME.crt, beside which NAME.key lies, as `trefoil cluster client --name NAME` writes them; beside demo/cluster.toml are bank-a.crt, bank-b.crt",
        ),
        (
            format!("trefoil credit score {LEAD} --moments moments.json --model-table lead/model"),
            "say who is scored: --data",
        ),
        (
            format!("trefoil credit evaluate {LEAD} --moments moments.json --tables bank-a/loans-test"),
            "give a model: its file with --model FILE, or its table at the nodes with --model-table OWNER/NAME",
        ),
        (TRAIN.to_owned(), "say what becomes of the model: --model-table NAME"),
        (
            format!("trefoil credit share {LEAD} --table x --analyst lead"),
            "say what is shared: customers, with --schema FILE and --data FILE, or a model, with --model FILE",
        ),
        (
            format!("{TRAIN} --release-to lead --out nodir/model.json"),
            "cannot create nodir/model.json: No such file or directory (os error 2)\n",
        ),
        (format!("{TRAIN} --model-table x --l2=-1"), "--l2, the L2 penalty, is -1"),
        (format!("trefoil credit delete {LEAD} --table loans"), "no node has the table lead/loans@1"),
        ("trefoil plan".to_owned(), "one of aes-128, aes-192, aes-256, moments, credit-join, credit-train"),
    ];
    refused(dir, &cases);
    let unsaid = shell(
        "trefoil credit share --cluster demo/cluster.toml --schema nodes/data/credit/schema.toml --data bank-a.csv --table unsaid --analyst lead --pooled-with bank-a 2>&1",
        dir,
    );
    assert!(
        unsaid.contains("no --identity is given: the owner is client, by the certificate client.crt beside demo/cluster.toml\n--pooled-with does not name client"),
        "{unsaid}"
    );
    let stranger =
        shell(&format!("trefoil credit share {BANK} --data bank-a.csv --table lost --analyst laed 2>&1"), dir);
    assert!(
        stranger.contains("warning: --analyst names laed, and no laed.crt lies beside demo/cluster.toml"),
        "{stranger}"
    );
}

pub(crate) fn tables_are_listed_and_deleted(dir: &Path) {
    let own = "--cluster demo/cluster.toml --identity demo/bank-a.crt";
    let listed = shell(&format!("trefoil credit list {own}"), dir);
    assert!(
        listed.contains("features, for laed\n") && listed.contains("features and labels, for bank-a, lead\n"),
        "{listed}"
    );
    assert!(shell(&format!("trefoil credit list {LEAD}"), dir).contains("lead/model@1: a model of 26 features, for "));
    shell(&format!("trefoil credit delete {own} --table lost"), dir);
    let left = shell(&format!("trefoil credit list {own}"), dir);
    assert!(!left.contains("/lost@1") && left.lines().count() + 1 == listed.lines().count(), "{left}");
    let permitted = shell(&format!("trefoil credit list {LEAD} --permitted --json"), dir);
    assert!(permitted.contains(r#""table":"bank-b/loans@1""#) && permitted.contains(r#""usable":true"#), "{permitted}");
}
