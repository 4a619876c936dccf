//! The tokens that a client shows, one for each node.

use crate::{
    Error,
    pki::{CertificateFault, ClientName, Role, read_secret},
};
use base64ct::{Base64UrlUnpadded, Encoding as _};
use reqwest::header::HeaderValue;
use serde_json::Value;
use std::{
    fmt,
    io::{self, Read as _},
    path::Path,
};
use trefoil_engine::Party;
use zeroize::Zeroizing;

/// What `--token` takes for standard input.
const STDIN: &str = "-";

/// A file of tokens has fewer bytes.
const MAX_FILE: u64 = 64 << 10;

/// A token for each node, and whom they name. They are shown and not checked here, which the nodes do.
pub struct TokenSet {
    role: Role,
    tokens: [Zeroizing<String>; 3],
}

impl TokenSet {
    /// Reads a file with a line `P0 = TOKEN` for each node, or standard input if it is called `-`. A line `name = NAME` says whom the tokens name, where that is not their claim `sub`.
    ///
    /// # Errors
    /// [`Error::Usage`] for what has not this form, and for a file that every user can read; [`Error::System`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let name = if path == Path::new(STDIN) { "standard input".into() } else { path.display().to_string() };
        let wrong = |cause: String| Error::Usage(format!("--token {name}: {cause}"));
        let bytes = if path == Path::new(STDIN) {
            let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize));
            let read = io::stdin().lock().take(MAX_FILE).read_to_end(&mut bytes);
            read.map_err(Error::system("read the tokens from standard input"))?;
            bytes
        } else {
            read_secret(path, "file of tokens").map_err(|e| match e {
                Error::Certificate { fault: CertificateFault::Exposed { mode }, .. } => {
                    wrong(format!("every user can read the tokens in it (mode {mode:04o}); run `chmod 600` on it"))
                }
                other => other,
            })?
        };
        if bytes.len() as u64 >= MAX_FILE {
            return Err(wrong("has 64 KiB or more, as no three tokens have; give one file of tokens".to_owned()));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is no text".to_owned()))?;
        Self::of(text).map_err(wrong)
    }

    fn of(text: &str) -> Result<Self, String> {
        const FORM: &str = "it has a line `P0 = TOKEN` for each of P0, P1 and P2, and a line `name = NAME` if the claim `sub` is not the client's name";
        let (mut given, mut tokens) = (None, [const { None }; 3]);
        for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // What is in the line may be a token, and is not repeated.
            let (key, value) = line.split_once('=').ok_or_else(|| format!("line {at} has no `=`; {FORM}"))?;
            let value = value.trim().trim_matches('"');
            let first = match key.trim() {
                "name" => given.replace(value).is_none(),
                key => {
                    let party = Party::ALL.into_iter().find(|party| party.to_string() == key);
                    let party = party.ok_or_else(|| format!("line {at} begins with none of the keys; {FORM}"))?;
                    tokens[party.index()].replace(value).is_none()
                }
            };
            if !first {
                return Err(format!("line {at} says something a second time; {FORM}"));
            }
        }
        let [Some(a), Some(b), Some(c)] = tokens else { return Err(format!("a token is missing; {FORM}")) };
        if a == b || b == c || a == c {
            return Err(
                "two nodes have the same token, and each takes its own audience alone; get one for each".to_owned()
            );
        }
        let claims = [claims(a)?, claims(b)?, claims(c)?];
        let subject = |claims: &Value| claims.get("sub").and_then(Value::as_str).map(str::to_owned);
        let name = match given {
            Some(name) => name.to_owned(),
            None => subject(&claims[0])
                .filter(|name| claims.iter().all(|claims| subject(claims).as_ref() == Some(name)))
                .ok_or("the tokens have no claim `sub`, or different ones; say whom they name with `name = NAME`")?,
        };
        let own = name.strip_prefix(ClientName::TOKEN_PREFIX).unwrap_or(&name);
        // It may be a token as well.
        let name = format!("{}{own}", ClientName::TOKEN_PREFIX).parse().map_err(|_: String| {
            let most = 64 - ClientName::TOKEN_PREFIX.len();
            format!("what is named is not a client name: 1 to {most} of the letters, digits, `.`, `_` and `-`; say whom the tokens name with `name = NAME`")
        })?;
        let role = Role::Client(name);
        let tokens = [a, b, c].map(|token| Zeroizing::new(token.to_owned()));
        Ok(Self { role, tokens })
    }

    /// The client that they name.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// The header for a node.
    ///
    /// # Errors
    /// [`Error::Usage`] if the token cannot be in one.
    pub(crate) fn header(&self, party: Party) -> Result<HeaderValue, Error> {
        let text = Zeroizing::new(format!("Bearer {}", *self.tokens[party.index()]));
        let mut header = HeaderValue::from_str(&text).map_err(|_| {
            Error::Usage(format!("the token for {party} has characters that no token has; get a new one"))
        })?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// What a token says, unchecked.
fn claims(token: &str) -> Result<Value, String> {
    let parts: Vec<_> = token.split('.').collect();
    let [_, payload, _] = parts.as_slice() else {
        return Err("a token has not three parts with dots between them; write it as the issuer gave it".to_owned());
    };
    let decoded = Base64UrlUnpadded::decode_vec(payload).ok();
    let claims = decoded.and_then(|bytes| serde_json::from_slice(&bytes).ok()).filter(Value::is_object);
    claims.ok_or_else(|| {
        "the middle part of a token is no JSON object in base64url; write it as the issuer gave it".to_owned()
    })
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSet({}, tokens not shown)", self.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", Base64UrlUnpadded::encode_string(claims.as_bytes()))
    }

    fn file(claims: [&str; 3]) -> String {
        let [a, b, c] = claims.map(token);
        format!("# of today\nP0 = \"{a}\"\nP2={c}\n\nP1 = {b}\n")
    }

    #[test]
    fn tokens_are_told_apart_and_never_shown() {
        let text = file([
            r#"{"sub":"alice","aud":"a","exp":30}"#,
            r#"{"sub":"alice","aud":"b","exp":20}"#,
            r#"{"sub":"alice","aud":"c"}"#,
        ]);
        let tokens = TokenSet::of(&text).expect("three tokens");
        assert_eq!(tokens.role().to_string(), "client `oidc:alice`");
        for (party, claims) in Party::ALL.into_iter().zip(["a", "b", "c"]) {
            let header = tokens.header(party).expect("a header");
            let shown = header.to_str().expect("text").strip_prefix("Bearer ").expect("a bearer").to_owned();
            assert!(text.contains(&shown) && super::claims(&shown).expect("claims")["aud"] == claims);
            assert!(!format!("{tokens:?} {header:?}").contains(&shown));
        }
        let other = TokenSet::of(&format!("name = bob\n{text}")).expect("a name");
        assert_eq!(other.role().to_string(), "client `oidc:bob`");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_token() {
        let good = file([r#"{"sub":"a","n":0}"#, r#"{"sub":"a","n":1}"#, r#"{"sub":"a","n":2}"#]);
        let same = token(r#"{"sub":"a"}"#);
        let long = token(&format!(r#"{{"sub":"{}"}}"#, "a".repeat(64)));
        for (text, hint) in [
            (good.replace("P1", "P0"), "second time"),
            (good.replace("P1", "P3"), "none of the keys"),
            (good.replace("P1 =", "P1"), "no `=`"),
            (good.replace("P1 =", "# P1 ="), "is missing"),
            (format!("P0={same}\nP1={same}\nP2={same}\n"), "the same token"),
            (file([r#"{"sub":"a","n":0}"#, r#"{"sub":"b","n":1}"#, r#"{"sub":"a","n":2}"#]), "different ones"),
            (good.replace(".c2ln", ""), "three parts"),
            (good.replace("e30.", "e30.!"), "no JSON object"),
            (format!("name = a b\n{good}"), "not a client name"),
            (format!("name = {long}\n{good}"), "not a client name"),
        ] {
            let cause = TokenSet::of(&text).expect_err(hint);
            assert!(cause.contains(hint) && !cause.contains("c2ln"), "{hint}: {cause}");
        }
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("tokens");
        fs::write(&path, good).expect("room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
        let cause = TokenSet::read(&path).expect_err("everybody can read it").to_string();
        assert!(cause.contains("chmod 600") && cause.contains("--token"), "{cause}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        TokenSet::read(&path).expect("three tokens");
        fs::write(&path, "#".repeat(MAX_FILE as usize)).expect("room");
        let cause = TokenSet::read(&path).expect_err("a file of something else").to_string();
        assert!(cause.contains("64 KiB or more"), "{cause}");
        fs::remove_file(&path).expect("ours");
        let cause = TokenSet::read(&path).expect_err("none").to_string();
        assert!(cause.contains("file of tokens") && !cause.contains("key"), "{cause}");
    }
}
