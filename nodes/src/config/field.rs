//! Values of configuration keys, checked while they are parsed so that errors carry their line.

use serde::{Deserialize, Deserializer, Serialize, de::Error};
use std::{fmt, net::Ipv6Addr, str::FromStr};

/// A host (name or address) and a port: `node0.example:7750`, `10.0.0.1:7750`, `[::1]:7750`.
///
/// Names are resolved when the address is used, so that a cluster survives renumbering.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Combines a host, without brackets even if it is an IPv6 address, and a port.
    ///
    /// # Errors
    /// A text that names the fault, if the host is empty or holds characters no host name has.
    pub fn new(host: &str, port: u16) -> Result<Self, String> {
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.parse::<Ipv6Addr>().is_ok() || (!host.is_empty() && host.chars().all(name)) {
            Ok(Self { host: host.to_owned(), port })
        } else {
            Err(format!("`{host}` is not a host name or address"))
        }
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("`{text}` is not an address; write host:port, such as node0.example:7750 or [::1]:7750");
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').filter(|h| h.parse::<Ipv6Addr>().is_ok()).ok_or_else(form)?,
            None if host.contains(':') => return Err(form()),
            None => host,
        };
        Self::new(host, port.parse().map_err(|_| form())?).map_err(|_| form())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(a: Address) -> Self {
        a.to_string()
    }
}

/// A length of time with its unit, such as `"30s"`, `"1h 30m"` or `"250ms"`, and never zero; for `#[serde(with = ..)]`.
pub mod span {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    /// Reads a length of time.
    ///
    /// # Errors
    /// A text with the forms accepted, for anything else and for zero.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(from)?).map_err(D::Error::custom)
    }

    /// Writes a length of time as it can be read again.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(span: &Duration, into: S) -> Result<S::Ok, S::Error> {
        into.collect_str(&humantime::format_duration(*span))
    }

    pub(super) fn parse(text: &str) -> Result<Duration, String> {
        match humantime::parse_duration(text) {
            Ok(d) if !d.is_zero() => Ok(d),
            Ok(_) => Err(format!("`{text}` is zero; write a length of time above zero, such as \"30s\"")),
            Err(e) => Err(format!("`{text}` is not a length of time ({e}); write e.g. \"250ms\", \"30s\" or \"1h\"")),
        }
    }
}

/// As [`span`], or zero for what is not to be: `"0s"`, `"0"` or 0; for `#[serde(with = ..)]`.
pub mod span_or_off {
    use super::span::parse;
    pub use super::span::serialize;
    use serde::{Deserialize, Deserializer, de::Error};
    use std::time::Duration;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Number(u64),
        Text(String),
    }

    /// Reads a length of time.
    ///
    /// # Errors
    /// A text with the forms accepted, for anything else.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let form = "write a length of time with its unit, such as \"24h\", or 0 for never";
        match Given::deserialize(from).map_err(|_| D::Error::custom(form))? {
            Given::Number(0) => Ok(Duration::ZERO),
            Given::Text(text) if matches!(text.as_str(), "0" | "0s") => Ok(Duration::ZERO),
            Given::Text(text) => parse(&text).map_err(D::Error::custom),
            Given::Number(_) => Err(D::Error::custom(form)),
        }
    }
}

/// A whole number above zero; for `#[serde(deserialize_with = ..)]`.
///
/// # Errors
/// A text that says so, for zero.
pub fn nonzero<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default + PartialEq>(from: D) -> Result<T, D::Error> {
    let value = T::deserialize(from)?;
    if value == T::default() {
        return Err(D::Error::custom("0 would stop the node from doing anything; write a number above zero"));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn addresses_are_read_and_written_alike() {
        for text in ["node0.example:7750", "10.0.0.1:1", "[::1]:65535", "localhost:0"] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
        }
        for bad in ["", "host", ":80", "host:", "host:65536", "::1:80", "[::1]", "[host]:80", "a b:80", "http://a:80"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_carry_their_unit() {
        assert_eq!(span::parse("1h 30m"), Ok(Duration::from_mins(90)));
        for bad in ["", "30", "0s", "-1s", "1 fortnight"] {
            assert!(span::parse(bad).is_err(), "{bad}");
        }
    }
}
