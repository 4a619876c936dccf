//! Names that clients choose, as they are written in paths.

/// Makes types of names: 1 to 64 of the letters, digits, `.`, `_` and `-`, and more than dots.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident is $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, serde::Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl std::str::FromStr for $name {
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

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(crate) use names;
