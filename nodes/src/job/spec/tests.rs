use super::*;
use std::num::NonZeroU32;
use trefoil_circuits::aes::KeySize;

fn alice() -> ClientName {
    "alice".parse().unwrap()
}

fn bob() -> ClientName {
    "bob".parse().unwrap()
}

fn aes(blocks: u64) -> JobSpec {
    let aes = AesCtrSpec { key_bits: KeySize::Aes192, counter: 255, blocks };
    JobSpec::new(ProgramSpec::AesCtr(aes), ModeSpec::SemiHonest)
}

fn circuit(bytes: u64, wires: u32, instances: u32) -> JobSpec {
    let instances = NonZeroU32::new(instances).unwrap();
    let spec =
        CircuitSpec { sha256: Sha256Hex::of(b""), bytes, input_wires: wires, output_wires: wires / 2, instances };
    JobSpec::new(ProgramSpec::Circuit(spec), ModeSpec::SemiHonest)
}

#[test]
fn the_canonical_form_is_fixed() {
    // Nodes of different builds compare its digest: this text is part of the protocol.
    let text = r#"{"program":{"aes-ctr":{"key_bits":192,"counter":"000000000000000000000000000000ff","blocks":7}},"mode":"semi-honest"}"#;
    assert_eq!(aes(7).canonical(), text.as_bytes());
    let text = r#"{"program":{"circuit":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","bytes":9,"input_wires":4,"output_wires":2,"instances":3}},"mode":"semi-honest"}"#;
    assert_eq!(circuit(9, 4, 3).canonical(), text.as_bytes());
}

#[test]
fn spelling_does_not_change_the_digest_and_content_does() {
    let spaced = r#" { "mode" : "semi-honest", "program": {"aes-ctr": {"blocks": 7, "counter":
        "000000000000000000000000000000ff", "key_bits": 192}}}"#;
    let parsed: JobSpec = serde_json::from_str(spaced).unwrap();
    assert_eq!(parsed.digest(&alice()), aes(7).digest(&alice()));
    assert_ne!(aes(8).digest(&alice()), aes(7).digest(&alice()));
    assert_ne!(aes(7).digest(&bob()), aes(7).digest(&alice()));
}

#[test]
fn without_a_mode_a_job_is_malicious_and_the_mode_is_part_of_the_digest() {
    let named = JobSpec { mode: ModeSpec::Malicious, ..aes(7) };
    let text = String::from_utf8(named.canonical()).unwrap();
    assert!(text.ends_with(r#","mode":"malicious"}"#), "{text}");
    let unnamed: JobSpec = serde_json::from_str(&text.replace(r#","mode":"malicious""#, "")).unwrap();
    assert_eq!(unnamed, named);
    assert_eq!(unnamed.digest(&alice()), named.digest(&alice()));
    assert_ne!(named.digest(&alice()), aes(7).digest(&alice()), "a node that is told another mode does not join");
}

#[test]
fn what_is_not_understood_is_refused() {
    let good = String::from_utf8(aes(7).canonical()).unwrap();
    for (from, to) in [
        ("192", "160"),
        ("192", "-1"),
        ("\"blocks\":7", "\"blocks\":7,\"extra\":1"),
        ("\"mode\"", "\"seed\":1,\"mode\""),
        ("semi-honest", "none"),
        ("aes-ctr", "aes-ecb"),
        ("ff\"", "FF\""),
        ("ff\"", "f\""),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good);
        assert!(serde_json::from_str::<JobSpec>(&bad).is_err(), "{bad}");
    }
}

#[test]
fn sizes_follow_from_the_specification() {
    let sizes = aes(7).sizes().unwrap();
    assert_eq!(sizes.inputs, [Shape::bits(192)]);
    assert_eq!((&sizes.uploads, &sizes.outputs), (&sizes.inputs, &vec![Shape::bits(7 * 128)]));
    assert_eq!((sizes.attachment_bytes, sizes.upload_bytes(), sizes.output_bytes()), (0, 48, 112));
    let sizes = circuit(1000, 65, 2).sizes().unwrap();
    assert_eq!((sizes.inputs[0].elements(), sizes.outputs[0].elements(), sizes.port_wires), (3, 1, 97));
    assert_eq!(sizes.held_bytes(), 20_000 + 32 * 97 + 4 * 24 + 16);
}

#[test]
fn sizes_that_overflow_are_refused() {
    for spec in [aes(u64::MAX), aes(1 << 58), aes(1 << 50), circuit(u64::MAX, 1, 1), circuit(1, u32::MAX, u32::MAX)] {
        assert_eq!(spec.sizes(), Err(SpecFault::Oversized));
    }
}

#[test]
fn every_output_names_its_recipients_or_goes_to_the_submitter() {
    let spec = aes(7);
    let recipients = |spec: &JobSpec| spec.terms(&alice()).map(|terms| terms.outputs[0].recipients.clone());
    assert_eq!(recipients(&spec), Ok(vec![alice()]));
    let text = String::from_utf8(spec.canonical()).unwrap();
    let read = |more: &str| {
        let text = format!("{},{more}}}", &text[..text.len() - 1]);
        serde_json::from_str::<JobSpec>(&text).map_err(|e| e.to_string())
    };
    let to_bob = read(r#""outputs":[{"recipients":["bob"]}]"#).unwrap();
    assert_eq!(recipients(&to_bob), Ok(vec![bob()]));
    assert_ne!(to_bob.digest(&alice()), spec.digest(&alice()));
    for (outputs, fault) in [
        (r#"{"recipients":[]}"#, SpecFault::Recipients(0)),
        (r#"{"recipients":["bob","bob"]}"#, SpecFault::Recipients(0)),
        (r#"{"recipients":["bob"]},{"recipients":["bob"]}"#, SpecFault::Count { what: "outputs", expected: 1, got: 2 }),
    ] {
        assert_eq!(recipients(&read(&format!(r#""outputs":[{outputs}]"#)).unwrap()), Err(fault));
    }
    for bad in [r#""outputs":[{"recipients":["b b"]}]"#, r#""outputs":["bob"]"#, r#""inputs":["download"]"#] {
        assert!(read(bad).is_err(), "{bad}");
    }
    // Where inputs come with the job, it does not matter whether that is said.
    let said = read(r#""inputs":["upload"]"#).unwrap();
    assert_eq!(said.digest(&alice()), spec.digest(&alice()));
    assert_eq!(
        read(r#""inputs":["upload","upload"]"#).unwrap().sizes(),
        Err(SpecFault::Count { what: "inputs", expected: 1, got: 2 })
    );
}

#[test]
fn the_tables_of_a_job_are_part_of_its_digest() {
    let text = r#"{"program":{"moments":{"columns":2,"rows":[5,7]}},"mode":"malicious","inputs":[{"table":{"owner":"alice","name":"loans","version":3,"columns":["age","income"]}},"upload"]}"#;
    let spec: JobSpec = serde_json::from_str(text).unwrap();
    assert_eq!(spec.canonical(), text.as_bytes());
    let sizes = spec.sizes().unwrap();
    assert_eq!((sizes.inputs, sizes.uploads), (vec![Shape::z64(10), Shape::z64(14)], vec![Shape::z64(14)]));
    assert_eq!(sizes.outputs, [Shape::z64(2); 2]);
    for (from, to) in [
        (r#""version":3"#, r#""version":4"#),
        (r#""owner":"alice""#, r#""owner":"bob""#),
        (r#"["age","income"]"#, r#"["income","age"]"#),
        (r#","columns":["age","income"]"#, ""),
    ] {
        let other: JobSpec = serde_json::from_str(&text.replace(from, to)).unwrap();
        assert_ne!(other.digest(&alice()), spec.digest(&alice()), "{to}");
    }
    for bad in [r#""version":-1"#, r#""version":3,"rows":1"#, r#""version":"3""#] {
        assert!(serde_json::from_str::<JobSpec>(&text.replace(r#""version":3"#, bad)).is_err(), "{bad}");
    }
}

fn credit(program: &str) -> Result<JobSpec, String> {
    let text = format!(r#"{{"program":{program},"mode":"malicious"}}"#);
    let spec: JobSpec = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    assert_eq!(String::from_utf8(spec.canonical()).unwrap(), text, "this text is part of the protocol");
    Ok(spec)
}

#[test]
fn the_programs_of_credit_analysis_have_one_form_and_sizes() {
    let score = r#"{"credit-score":{"table":{"vertical":{"rows":70,"columns":[2,1]}},"model":"shared","reports":["logit",{"decision":2147483648}]}}"#;
    let sizes = credit(score).unwrap().sizes().unwrap();
    assert_eq!(sizes.inputs, [140, 70, 4].map(Shape::z64));
    assert_eq!(sizes.outputs, [Shape::z64(70), Shape::bits(70)]);
    let train = r#"{"credit-train":{"table":{"horizontal":{"columns":3,"rows":[5,70]}},"method":{"descent":{"rate":1048576,"momentum":0,"epochs":9,"batch":10}},"l2":0}}"#;
    let sizes = credit(train).unwrap().sizes().unwrap();
    assert_eq!(sizes.inputs, [Shape::z64(15), Shape::z64(210), Shape::bits(5), Shape::bits(70)]);
    assert_eq!(sizes.outputs, [Shape::z64(4)], "the range bit is for the nodes");
    let counts =
        r#"{"credit-counts":{"rows":[5,70],"cuts":[-1048576,0],"on_cut":"lower","by_label":true,"minimum":10}}"#;
    let sizes = credit(counts).unwrap().sizes().unwrap();
    assert_eq!(sizes.inputs, [Shape::z64(5), Shape::z64(70), Shape::bits(5), Shape::bits(70)]);
    assert_eq!(sizes.outputs, [Shape::z64(3); 2]);
    let around = counts.replace("\"minimum\":10", "\"minimum\":10,\"around\":2");
    // It is left out if it is not given.
    for counts in [counts, &around] {
        let written = serde_json::to_string(&credit(counts).unwrap()).unwrap();
        assert!(written.contains(counts), "{written}");
    }
    assert!(credit(&around.replace("\"around\":2", "\"around\":3")).unwrap().sizes().is_err());

    for (program, from, to, fault) in [
        (score, "\"rows\":70", "\"rows\":0", "the pooled table"),
        (score, "[2,1]", "[2,499]", "the pooled table"),
        (score, "[2,1]", "[]", "the pooled table"),
        (score, "\"shared\"", "{\"public\":[1,2,3]}", "the number of weights is 2"),
        (score, "\"shared\"", "{\"public\":[1,2,3,40000000]}", "32"),
        (score, "2147483648", "0", "the threshold is 0"),
        (score, "\"logit\",{\"decision\":2147483648}", "", "the number of reports"),
        (train, "\"rate\":1048576", "\"rate\":17825792", "the learning rate is 17"),
        (train, "\"momentum\":0", "\"momentum\":1024", "the momentum is 1"),
        (train, "\"epochs\":9", "\"epochs\":1048577", "overflow"),
        (train, "\"batch\":10", "\"batch\":0", "the batch size"),
        (train, "[5,70]", "[5,4294967296]", "the pooled table"),
        (train, "[5,70]", "[18446744073709551615,18446744073709551615]", "overflow"),
        (
            train,
            "{\"descent\":{\"rate\":1048576,\"momentum\":0,\"epochs\":9,\"batch\":10}}",
            "{\"newton\":{\"iterations\":65}}",
            "the number of iterations",
        ),
        (counts, "[-1048576,0]", "[0,0]", "a cut point is 0"),
        (counts, "[-1048576,0]", "[]", "the number of cut points"),
    ] {
        assert!(program.contains(from), "{from}");
        let fault_found = credit(&program.replacen(from, to, 1)).unwrap().sizes().unwrap_err().to_string();
        assert!(fault_found.contains(fault), "{fault_found}");
    }
    for (from, to) in [("\"epochs\":9", "\"epochs\":9.5"), ("\"l2\":0", "\"l2\":-1"), ("\"l2\":0", "\"l2\":0,\"x\":1")]
    {
        assert!(credit(&train.replacen(from, to, 1)).is_err(), "{to}");
    }
}

#[test]
fn an_output_may_stay_as_a_table_of_its_own() {
    let text = r#"{"program":{"moments":{"columns":2,"rows":[5]}},"mode":"malicious","outputs":[{"table":{"name":"sums","version":1,"columns":["sum"]}},{"recipients":["bob"]}]}"#;
    let spec: JobSpec = serde_json::from_str(text).unwrap();
    assert_eq!(spec.canonical(), text.as_bytes());
    let terms = spec.terms(&alice()).unwrap();
    assert_eq!((terms.outputs[0].recipients.len(), &terms.outputs[1].recipients), (0, &vec![bob()]));
    assert_eq!(spec.recipients(&alice()), vec![bob()], "alice learns nothing");
    let with = |columns: &str| {
        let second = format!(r#"{{"table":{{"name":"sums","version":1,"columns":{columns}}}}}"#);
        let both: JobSpec = serde_json::from_str(&text.replace(r#"{"recipients":["bob"]}"#, &second)).unwrap();
        both.sizes().map(|sizes| sizes.outputs.len())
    };
    assert_eq!(with(r#"["x"]"#), Ok(2), "both are columns of one table");
    for columns in [r#"["sum"]"#, "[]", r#"["x","y"]"#, r#"["x","y","z"]"#] {
        assert!(matches!(with(columns), Err(SpecFault::Table { .. })), "{columns}");
    }
    let other: JobSpec = serde_json::from_str(&text.replace(r#""version":1"#, r#""version":2"#)).unwrap();
    assert_ne!(other.digest(&alice()), spec.digest(&alice()));
}

#[test]
fn what_is_joined_stays_at_the_nodes_as_one_table() {
    let text = r#"{"program":{"credit-join":{"tables":[{"rows":5,"columns":2},{"rows":9,"columns":1}],"labels":1,"minimum":2}},"mode":"malicious","outputs":[{"table":{"name":"j","version":1,"columns":["a","b","c"]}},{"table":{"name":"j","version":1,"columns":["label"]}}]}"#;
    let read = |text: &str| serde_json::from_str::<JobSpec>(text).map(|spec| spec.sizes());
    let spec: JobSpec = serde_json::from_str(text).unwrap();
    assert_eq!(spec.canonical(), text.as_bytes());
    let sizes = spec.sizes().unwrap();
    assert_eq!(sizes.inputs, [Shape::z64(20), Shape::z64(27), Shape::bits(9)]);
    assert_eq!(sizes.outputs, [Shape::z64(15), Shape::bits(5)], "at the most");
    for (from, to) in [
        ("\"rows\":5", "\"rows\":0"),
        ("\"rows\":5", "\"rows\":1048577"),
        ("\"rows\":5", "\"rows\":18446744073709551615"),
        ("\"columns\":2", "\"columns\":500"),
        ("\"columns\":2", "\"columns\":4294967295"),
        (",{\"rows\":9,\"columns\":1}", ""),
        ("\"labels\":1", "\"labels\":2"),
        ("\"minimum\":2", "\"minimum\":0"),
    ] {
        assert!(text.contains(from), "{from}");
        assert_eq!(read(&text.replacen(from, to, 1)).unwrap(), Err(SpecFault::Join), "{to}");
    }
    let outputs = text.find(",\"outputs\"").unwrap();
    for (from, to) in [
        (&text[outputs..], "}"),
        ("{\"table\":{\"name\":\"j\",\"version\":1,\"columns\":[\"label\"]}}", "{\"recipients\":[\"bob\"]}"),
        ("\"version\":1,\"columns\":[\"label\"]", "\"version\":2,\"columns\":[\"label\"]"),
    ] {
        assert_eq!(read(&text.replacen(from, to, 1)).unwrap(), Err(SpecFault::JoinedFor), "{to}");
    }
    assert!(read(&text.replace("\"minimum\":2", "\"minimum\":2,\"x\":1")).is_err());
}
