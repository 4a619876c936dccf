//! Names of users and of their templates.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Names as they are written in paths.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident is $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
                // Dots alone mean something else in a path.
                if (1..=64).contains(&text.len()) && text.chars().all(allowed) && text.chars().any(|c| c != '.') {
                    Ok(Self(text.to_owned()))
                } else {
                    let text: String = text.chars().take(64).collect();
                    Err(format!(concat!("`{}` is not ", $what, "; use 1 to 64 of the letters, digits, `.`, `_` and `-`"), text))
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

names! {
    /// The name of a user, among those of one owner: 1 to 64 of the letters, digits, `.`, `_` and `-`. It tells the nodes nothing if it is a random number.
    UserName is "a user name"
}

names! {
    /// The name of a template, among those of one user: 1 to 64 of the letters, digits, `.`, `_` and `-`.
    TemplateName is "the name of a template"
}

names! {
    /// The name of an issuer of tokens, among those of one owner: 1 to 64 of the letters, digits, `.`, `_` and `-`.
    IssuerName is "the name of an issuer"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_stand_in_a_path() {
        assert_eq!("left-eye.2".parse::<TemplateName>().map(String::from), Ok("left-eye.2".to_owned()));
        for wrong in ["", "..", "a/b", "a b", "é", &"x".repeat(65)] {
            assert!(wrong.parse::<UserName>().is_err(), "{wrong}");
        }
    }
}
