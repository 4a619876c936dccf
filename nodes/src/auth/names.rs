//! Names of users and of their templates.

use crate::names::names;

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
