//! Records as the store has them: JSON.

use super::AuthFault;
use crate::store::Value;
use serde::{Serialize, de::DeserializeOwned};

/// What [`written`] wrote.
pub(super) fn read<T: DeserializeOwned>(record: &Value) -> Result<T, AuthFault> {
    serde_json::from_slice(record).map_err(|e| AuthFault::Record(e.to_string()))
}

/// A record for the store.
pub(super) fn written(what: &impl Serialize) -> Result<Value, AuthFault> {
    serde_json::to_vec(what).map(Value::new).map_err(|e| AuthFault::Record(e.to_string()))
}
