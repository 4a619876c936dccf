use super::*;
use crate::Error;

fn refused<T>(outcome: Result<T, Error>) -> Error {
    outcome.map(|_| ()).expect_err("it has to be refused")
}

#[test]
fn origins_are_https_from_a_domain() {
    for good in ["https://example.org", "https://a.b-c.example.org:8443", "https://xn--bcher-kva.example"] {
        assert_eq!(Origin::parse(good, Hosts::Public).expect(good).as_str(), good);
    }
    for bad in [
        "http://example.org",
        "example.org",
        "https://",
        "https://Example.org",
        "https://example.org/",
        "https://example.org:443",
        "https://example.org:0",
        "https://example.org:080",
        "https://example.org:65536",
        "https://example.org:",
        "https://org",
        "https://-a.example.org",
        "https://a..org",
        "https://bücher.example",
        "https://127.0.0.1",
        "https://[::1]",
        "https://user@example.org",
        "https://example.org.",
        "wss://example.org",
        "http://localhost",
        "https://localhost:8080",
        "null",
    ] {
        assert!(matches!(refused(Origin::parse(bad, Hosts::Public)), Error::Origin { .. }), "{bad}");
    }
    for local in ["http://localhost", "http://localhost:8080", "https://localhost:8443"] {
        assert_eq!(Origin::parse(local, Hosts::AndLocalhost).expect(local).host(), "localhost");
    }
    for bad in ["http://localhost:80", "http://example.org", "http://a.localhost", "http://127.0.0.1:8080"] {
        assert!(Origin::parse(bad, Hosts::AndLocalhost).is_err(), "{bad}");
    }
}

#[test]
fn a_relying_party_is_the_page_or_a_registrable_domain_above_it() {
    let origin = |host: &str| page(&format!("https://{host}")).origin;
    for (id, host) in [
        (None, "login.example.org"),
        (Some("login.example.org"), "login.example.org"),
        (Some("example.org"), "a.login.example.org"),
        (Some("bank.co.uk"), "www.bank.co.uk"),
        (Some("me.github.io"), "me.github.io"),
    ] {
        assert_eq!(RpId::of(id, &origin(host)).expect(host).as_str(), id.unwrap_or(host));
    }
    for (id, host) in [
        (Some("org"), "example.org"),
        (Some("co.uk"), "bank.co.uk"),
        (Some("github.io"), "me.github.io"),
        (None, "co.uk"),
        (Some("ample.org"), "example.org"),
        (Some("login.example.org"), "example.org"),
        (Some("example.com"), "example.org"),
        (Some(""), "example.org"),
        (Some(".org"), "example.org"),
        (Some("Example.org"), "example.org"),
        (Some("localhost"), "example.org"),
        (Some("https://example.org"), "example.org"),
    ] {
        assert!(matches!(refused(RpId::of(id, &origin(host))), Error::RpId { .. }), "{id:?} on {host}");
    }
    let local = page("http://localhost:8080").origin;
    assert_eq!(RpId::of(None, &local).expect("its own").as_str(), "localhost");
}

#[test]
fn the_user_is_verified_by_the_match_of_this_ceremony_alone() {
    let (client, credential) = (page("https://example.org"), credential(1, Discoverable::Yes));
    let uv = |options: &RequestOptions, matched: Option<&Match>| {
        let assertion = Assertion::begin(options, &client, &credential, count(), matched)?;
        Ok::<_, Error>(assertion.message() == with_uv(options, &client, &credential))
    };
    for asked in ["required", "preferred", "discouraged", "of-level-4"] {
        let options = request(&format!(r#", "userVerification": "{asked}""#));
        let hash = ClientData::get(&options, &client).expect("a challenge").hash();
        assert_eq!(uv(&options, Some(&Match::opened(hash, Bit::One))), Ok(true), "{asked}");
        let wrong = refused(uv(&options, Some(&Match::opened(hash, Bit::Zero))));
        assert!(matches!(wrong, Error::Verification { .. }), "{asked}: a wrong biometric signs nothing");
        let foreign = refused(uv(&options, Some(&Match::opened([7; 32], Bit::One))));
        assert_eq!(foreign, Error::Foreign { what: "match", of: "ceremony" });
        match uv(&options, None) {
            Ok(set) => assert!(asked != "required" && !set),
            Err(error) => assert!(asked == "required" && matches!(error, Error::Verification { .. })),
        }
    }
}

fn with_uv(options: &RequestOptions, client: &Client, credential: &Credential) -> Result<crate::rsa::Message, Error> {
    let data = AuthenticatorData::assertion(&credential.rp_id, verification::Uv::Set, credential.backup, &count());
    crate::rsa::Message::webauthn(data.as_bytes(), &ClientData::get(options, client)?.hash())
}

#[test]
fn a_registration_names_what_cannot_be_met() {
    let client = page("https://example.org");
    let begin = |options: &CreationOptions| Registration::begin(options, &client, new(), &[], None);
    let member = |options: &CreationOptions| match refused(begin(options)) {
        Error::Options { member, .. } => member,
        other => panic!("{other}"),
    };
    let good = creation("");
    begin(&good).expect("all is met");
    let mut none = good.clone();
    none.pub_key_cred_params.clear();
    begin(&none).expect("the default has RS256");

    let mut wrong = good.clone();
    wrong.pub_key_cred_params.retain(|parameter| parameter.alg != RS256);
    assert_eq!(member(&wrong), "pubKeyCredParams");
    let mut unknown = good.clone();
    unknown.pub_key_cred_params.iter_mut().for_each(|parameter| parameter.kind = "password".into());
    assert_eq!(member(&unknown), "pubKeyCredParams");
    for length in [0, 65] {
        let mut wrong = good.clone();
        wrong.user.id = Bytes(vec![1; length]);
        assert_eq!(member(&wrong), "user.id");
    }
    let mut short = good.clone();
    short.challenge.0.pop();
    assert_eq!(member(&short), "challenge");
    let roaming = creation(r#", "authenticatorSelection": {"authenticatorAttachment": "cross-platform"}"#);
    assert_eq!(member(&roaming), "authenticatorSelection.authenticatorAttachment");
    let required = creation(r#", "authenticatorSelection": {"userVerification": "required"}"#);
    assert!(matches!(refused(begin(&required)), Error::Verification { .. }));
    let foreign = CreationOptions { rp: RelyingParty { id: Some("example.com".into()), name: String::new() }, ..good };
    assert!(matches!(refused(begin(&foreign)), Error::RpId { .. }));
}

#[test]
fn an_excluded_credential_hinders_a_second_one_of_its_relying_party() {
    let (client, options) = (page("https://example.org"), {
        let id = Bytes(vec![5; 32]).to_base64url();
        creation(&format!(
            r#", "excludeCredentials": [{{"type": "public-key", "id": "{id}", "transports": ["internal"]}}]"#
        ))
    });
    let begin = |held: &[Credential]| Registration::begin(&options, &client, new(), held, None);
    begin(&[credential(4, Discoverable::Yes)]).expect("another one");
    let excluded = credential(5, Discoverable::No);
    assert_eq!(
        refused(begin(&[credential(4, Discoverable::Yes), excluded.clone()])),
        Error::Excluded { rp_id: "example.org".into() }
    );
    let elsewhere = RpId::of(None, &page("https://example.com").origin).expect("its own");
    begin(&[Credential { rp_id: elsewhere, ..excluded }]).expect("of another relying party");
}

#[test]
fn attestation_and_discoverability_are_as_asked() {
    let client = page("https://example.org");
    let begin = |members: &str| Registration::begin(&creation(members), &client, new(), &[], None).expect("all is met");
    for (asked, is) in [
        ("none", Attestation::None),
        ("indirect", Attestation::None),
        ("direct", Attestation::PackedSelf),
        ("enterprise", Attestation::PackedSelf),
        ("of-level-4", Attestation::None),
    ] {
        let registration = begin(&format!(r#", "attestation": "{asked}""#));
        assert_eq!(registration.attestation(), is, "{asked}");
        match is {
            Attestation::None => {
                begin("").finish().expect("no signature");
                assert!(matches!(refused(registration.finish_attested(&[])), Error::State { .. }));
            }
            Attestation::PackedSelf => assert!(matches!(refused(registration.finish()), Error::State { .. })),
        }
    }
    for (selection, is) in [
        ("", Discoverable::No),
        (r#""residentKey": "required""#, Discoverable::Yes),
        (r#""residentKey": "preferred""#, Discoverable::Yes),
        (r#""residentKey": "discouraged", "requireResidentKey": true"#, Discoverable::No),
        (r#""requireResidentKey": true"#, Discoverable::Yes),
    ] {
        let members = format!(r#", "authenticatorSelection": {{{selection}}}, "extensions": {{"credProps": true}}"#);
        let (credential, response) = begin(&members).finish().expect("no signature");
        assert_eq!(credential.discoverable, is, "{selection}");
        let said = response.client_extension_results.cred_props.map(|properties| properties.rk);
        assert_eq!(said, Some(is == Discoverable::Yes));
    }
}

#[test]
fn an_authentication_takes_named_or_discoverable_credentials() {
    let client = page("https://login.example.org");
    let held = [credential(1, Discoverable::Yes), credential(2, Discoverable::No), credential(3, Discoverable::Yes)];
    let found = |members: &str| {
        let options = request(&format!(r#", "rpId": "example.org"{members}"#));
        let found = Assertion::candidates(&options, &client, &held)
            .map(|found| found.iter().map(|credential| credential.id.as_bytes()[0]).collect::<Vec<_>>());
        for credential in &held {
            let taken = Assertion::begin(&options, &client, credential, count(), None);
            let listed = found.as_ref().is_ok_and(|found| found.contains(&credential.id.as_bytes()[0]));
            assert_eq!(taken.is_ok(), listed, "begin keeps to the candidates");
        }
        found
    };
    let listed = |kind: &str, id: u8| {
        let id = Bytes(vec![id; 32]).to_base64url();
        format!(r#", "allowCredentials": [{{"type": "{kind}", "id": "{id}"}}]"#)
    };
    let none = || Err(Error::NoCredential { rp_id: "example.org".into() });
    assert_eq!(found(""), Ok(vec![1, 3]));
    assert_eq!(found(&listed("public-key", 2)), Ok(vec![2]));
    assert_eq!(found(&listed("public-key", 9)), none());
    assert_eq!(found(&listed("password", 2)), none());
    let elsewhere = Assertion::candidates(&request(""), &client, &held);
    assert_eq!(elsewhere, Err(Error::NoCredential { rp_id: "login.example.org".into() }));
}

#[test]
fn numbers_of_signatures_increase_and_end() {
    let mut counter = SignatureCounter::default();
    assert_eq!(counter.advance().expect("the first").get(), 1);
    assert_eq!(counter.take(7).expect("agreed on").get(), 7);
    for proposed in [0, 6, 7] {
        assert_eq!(counter.take(proposed), Err(Error::Counter { last: 7, proposed }));
        assert_eq!(counter.last(), 7);
    }
    assert_eq!(SignatureCounter::stored(7), counter);
    let mut end = SignatureCounter::stored(u32::MAX - 1);
    assert_eq!(end.advance().expect("the last").get(), u32::MAX);
    assert_eq!(end.advance(), Err(Error::Counter { last: u32::MAX, proposed: u32::MAX }));
}

#[test]
fn json_that_is_something_else_is_refused_with_its_place() {
    for bad in [
        "",
        "{}",
        "[]",
        r#"{"challenge": 7}"#,
        r#"{"challenge": "AA=="}"#,
        r#"{"challenge": "A+/="}"#,
        r#"{"challenge": "AB"}"#,
    ] {
        let error = refused(RequestOptions::from_json(bad));
        assert!(matches!(&error, Error::Json { fault, .. } if fault.contains("line")), "{bad}: {error}");
    }
    assert!(matches!(refused(CreationOptions::from_json("{}")), Error::Json { .. }));
    for length in [0, 15, 1024] {
        assert!(matches!(refused(CredentialId::new(&vec![0; length])), Error::Length { .. }));
    }
    let options = creation("");
    let json = serde_json::to_string(&options).expect("JSON");
    assert_eq!(CreationOptions::from_json(&json), Ok(options));
}
