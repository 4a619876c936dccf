//! How many jobs a rule allows each requester.

use super::Rule;
use crate::{
    pki::ClientName,
    store::{Space, Store, StoreError, Tables, Transaction},
};
use serde::{Deserialize, Serialize};
use std::{fmt, num::NonZeroU32};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// At most so many jobs of one requester under one rule, by hours and days of UTC. Not bounded where nothing is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bounds {
    /// In an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<NonZeroU32>,
    /// In a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<NonZeroU32>,
}

/// What was counted last: the hour and the day since 1970, and the jobs in them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Counted {
    hour: u64,
    in_hour: u32,
    day: u64,
    in_day: u32,
}

/// The length of a record, in bytes.
const RECORD: usize = 24;

impl Bounds {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

impl Counted {
    /// At this moment. A clock that was set back gives nobody another: the later hour stays.
    fn at(self, now_unix_s: u64) -> Self {
        let (hour, day) = (now_unix_s / HOUR, now_unix_s / DAY);
        let mut now = self;
        if hour > self.hour {
            (now.hour, now.in_hour) = (hour, 0);
        }
        if day > self.day {
            (now.day, now.in_day) = (day, 0);
        }
        now
    }

    fn has_room(self, bounds: Bounds) -> bool {
        let room = |bound: Option<NonZeroU32>, used: u32| bound.is_none_or(|bound| used < bound.get());
        room(bounds.per_hour, self.in_hour) && room(bounds.per_day, self.in_day)
    }

    fn write(self) -> [u8; RECORD] {
        let mut record = [0; RECORD];
        record[..8].copy_from_slice(&self.hour.to_le_bytes());
        record[8..12].copy_from_slice(&self.in_hour.to_le_bytes());
        record[12..20].copy_from_slice(&self.day.to_le_bytes());
        record[20..].copy_from_slice(&self.in_day.to_le_bytes());
        record
    }

    fn read(record: &[u8]) -> Option<Self> {
        let (hour, rest) = record.split_first_chunk()?;
        let (in_hour, rest) = rest.split_first_chunk()?;
        let (day, rest) = rest.split_first_chunk()?;
        Some(Self {
            hour: u64::from_le_bytes(*hour),
            in_hour: u32::from_le_bytes(*in_hour),
            day: u64::from_le_bytes(*day),
            in_day: u32::from_le_bytes(rest.try_into().ok()?),
        })
    }
}

/// The first of these rules under which the requester may have another job now.
pub(super) async fn room(
    store: &Store,
    rules: Vec<Rule>,
    requester: ClientName,
    now_unix_s: u64,
) -> Result<Option<String>, StoreError> {
    let of = store.clone();
    store.read(move |records| Ok(first(records, &of, (&rules, &requester), now_unix_s)?.map(|(rule, _)| rule))).await
}

/// Counts a job under the first of these rules under which there is room, on the disk.
pub(super) async fn take(
    store: &Store,
    rules: Vec<Rule>,
    requester: ClientName,
    now_unix_s: u64,
) -> Result<Option<String>, StoreError> {
    let of = store.clone();
    store
        .write(move |records| {
            let Some((rule, mut counted)) = first(records, &of, (&rules, &requester), now_unix_s)? else {
                return Ok(None);
            };
            counted.in_hour = counted.in_hour.saturating_add(1);
            counted.in_day = counted.in_day.saturating_add(1);
            records.put(Space::Policy, &name(&rule, &requester), &counted.write())?;
            Ok(Some(rule))
        })
        .await
}

fn first<T: Tables>(
    records: &Transaction<'_, T>,
    store: &Store,
    (rules, requester): (&[Rule], &ClientName),
    now_unix_s: u64,
) -> Result<Option<(String, Counted)>, StoreError> {
    for rule in rules {
        let counted = match records.get(Space::Policy, &name(&rule.name, requester))? {
            Some(record) => {
                Counted::read(&record).ok_or_else(|| store.damaged(format!("the count of rule `{}`", rule.name)))?
            }
            None => Counted::default(),
        };
        let counted = counted.at(now_unix_s);
        if counted.has_room(rule.bounds) {
            return Ok(Some((rule.name.clone(), counted)));
        }
    }
    Ok(None)
}

/// Neither names of rules nor of clients have zeros.
fn name(rule: &str, requester: &ClientName) -> Vec<u8> {
    [b"count\0", rule.as_bytes(), b"\0", requester.as_str().as_bytes()].concat()
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = [(self.per_hour, "hour"), (self.per_day, "day")];
        let texts = bounds.into_iter().filter_map(|(bound, what)| Some(format!("{} in a {what}", bound?)));
        f.write_str(&texts.collect::<Vec<_>>().join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_days_are_counted_apart_and_never_backwards() {
        let bounds = Bounds { per_hour: NonZeroU32::new(2), per_day: NonZeroU32::new(3) };
        let take = |counted: Counted, now| {
            let counted = counted.at(now);
            let taken = Counted { in_hour: counted.in_hour + 1, in_day: counted.in_day + 1, ..counted };
            counted.has_room(bounds).then_some(taken)
        };
        let start = 20_000 * DAY;
        let one = take(Counted::default(), start).expect("room");
        let two = take(one, start + HOUR - 1).expect("room");
        assert_eq!(take(two, start + HOUR - 1), None, "the hour is used up");
        assert_eq!(take(two, start - DAY), None, "a clock set back gives no other");
        let three = take(two, start + HOUR).expect("another hour");
        assert_eq!(take(three, start + 2 * HOUR), None, "the day is used up");
        assert!(take(three, start + DAY).is_some());
        assert_eq!(Counted::read(&three.write()), Some(three));
        assert_eq!(Counted::read(&three.write()[1..]), None);
    }
}
