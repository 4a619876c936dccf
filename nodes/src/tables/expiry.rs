//! Tables that are there until a moment that their owner has named.

use super::{StoredTable, TableKey, TableStore};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The first second of the year 10000, which RFC 3339 does not write.
const END: u64 = 253_402_300_800;

/// The time, as a node takes it.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The moment from which on a table may not be used: a second of UTC, as RFC 3339 writes it (`2030-12-31T00:00:00Z`).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Expiry(u64);

/// When a table is to expire, as people say it: a moment, or a time from now on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expires {
    /// At this moment.
    At(Expiry),
    /// So long from now.
    In(Duration),
}

impl Expiry {
    /// So long after a moment; `None` beyond the year 9999.
    pub fn after(now: SystemTime, span: Duration) -> Option<Self> {
        let seconds = now.duration_since(UNIX_EPOCH).ok()?.as_secs().checked_add(span.as_secs())?;
        (seconds < END).then_some(Self(seconds))
    }

    /// Whether it is not before this moment any more.
    pub fn is_over(self, now: SystemTime) -> bool {
        now.duration_since(UNIX_EPOCH).is_ok_and(|now| now.as_secs() >= self.0)
    }
}

impl Expires {
    /// The moment, if it is now.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn resolve(self, now: SystemTime) -> Result<Expiry, String> {
        match self {
            Self::At(expiry) if expiry.is_over(now) => {
                Err(format!("{expiry} is over; name a moment that is to come, or a time like `90d`"))
            }
            Self::At(expiry) => Ok(expiry),
            Self::In(span) => Expiry::after(now, span).ok_or_else(|| "that is after the year 9999".to_owned()),
        }
    }
}

impl TableStore {
    /// Erases what has expired, here and on the disk. Gives what is gone; what cannot be erased now is the next time.
    pub async fn erase_expired(self: &Arc<Self>) -> Vec<Arc<StoredTable>> {
        let mut gone = Vec::new();
        for table in self.expired() {
            match self.delete(table.key(), Some(table.spec().upload)).await {
                Ok(true) => gone.push(table),
                // Its owner was faster.
                Ok(false) => {}
                Err(error) => tracing::error!("{} has expired and cannot be erased: {error}", table.key()),
            }
        }
        gone
    }
}

/// A table that was erased because its time was over.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Erased {
    /// Whose it was.
    pub owner: crate::pki::ClientName,
    /// Its name.
    pub name: super::TableName,
    /// Its version.
    pub version: u32,
    /// The digest of its description.
    pub sha256: crate::job::Sha256Hex,
    /// When it has expired.
    pub expired: Option<Expiry>,
}

impl Erased {
    /// What is written down of a table.
    pub fn of(table: &StoredTable) -> Self {
        let TableKey { owner, name, version } = table.key().clone();
        let (sha256, expired) = (crate::job::Sha256Hex(*table.digest()), table.spec().expires);
        Self { owner, name, version, sha256, expired }
    }
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form =
            || format!("`{text}` is not a moment as RFC 3339 writes it in UTC, to the second: 2030-12-31T00:00:00Z");
        let time = humantime::parse_rfc3339(text).map_err(|_| form())?;
        let since = time.duration_since(UNIX_EPOCH).map_err(|_| form())?;
        let expiry = Self(since.as_secs());
        // One moment has one form.
        if since.as_secs() < END && expiry.to_string() == text { Ok(expiry) } else { Err(form()) }
    }
}

impl FromStr for Expires {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(expiry) = text.parse() {
            return Ok(Self::At(expiry));
        }
        match humantime::parse_duration(text) {
            Ok(span) if span >= Duration::from_secs(1) => Ok(Self::In(span)),
            _ => Err(format!("`{text}` is neither a time like `90d` or `12h` nor a moment like 2030-12-31T00:00:00Z")),
        }
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(self.0)).fmt(f)
    }
}

impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_one_form() {
        for text in ["1970-01-01T00:00:00Z", "2030-12-31T23:59:59Z", "9999-12-31T23:59:59Z"] {
            let expiry: Expiry = text.parse().expect("a moment");
            assert_eq!(expiry.to_string(), text);
            let json = serde_json::to_string(&expiry).expect("text");
            assert_eq!(serde_json::from_str::<Expiry>(&json).expect("the same"), expiry);
        }
        for text in [
            "2030-12-31",
            "2030-12-31T00:00:00",
            "2030-12-31T00:00:00.5Z",
            "2030-12-31T00:00:00+01:00",
            "2030-12-31t00:00:00z",
            "90d",
            "",
        ] {
            assert!(text.parse::<Expiry>().expect_err(text).contains("RFC 3339"), "{text}");
        }
    }

    #[test]
    fn a_time_from_now_on_is_a_moment() {
        let now = UNIX_EPOCH + Duration::from_millis(86_400_500);
        let resolved =
            |text: &str| text.parse::<Expires>().and_then(|expires| expires.resolve(now)).map(|at| at.to_string());
        assert_eq!(resolved("90d").as_deref(), Ok("1970-04-02T00:00:00Z"));
        assert_eq!(resolved("1970-01-02T00:00:01Z").as_deref(), Ok("1970-01-02T00:00:01Z"));
        for (text, hint) in
            [("1970-01-02T00:00:00Z", "is over"), ("9000y", "year 9999"), ("soon", "like `90d`"), ("0s", "like `90d`")]
        {
            assert!(resolved(text).expect_err(text).contains(hint), "{text}");
        }
    }
}
