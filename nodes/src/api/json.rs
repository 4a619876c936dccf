//! Requests in JSON: read as other bodies are, with their length known before and within time.

use super::{Problem, ProblemKind};
use crate::job::{Intake, Limits};
use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
};
use serde::de::DeserializeOwned;
use std::fmt;
use zeroize::Zeroizing;

/// The form of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    /// Bytes at most.
    pub(super) most: usize,
    /// What to send, after "send" or "write".
    pub(super) remedy: &'static str,
}

impl Form {
    /// Reads one. What is read of it is wiped.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        (headers, body): (&HeaderMap, Body),
        limits: &Limits,
    ) -> Result<T, Problem> {
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let length = length
            .ok_or_else(|| ProblemKind::LengthRequired.because("send Content-Length; a body without it is not read"))?;
        let size = usize::try_from(length).ok().filter(|size| *size <= self.most).ok_or_else(|| {
            let most = self.most;
            let detail = format!("the body of this request has at most {most} bytes, and {length} were announced");
            ProblemKind::TooLarge.because(format!("{detail}; {}", self.remedy))
        })?;
        // Never moved, so no copy is left behind.
        let mut text = Zeroizing::new(vec![0; size]);
        let mut intake = Intake::new(body.into_data_stream(), length, limits);
        intake.fill(&mut text).await?;
        intake.end().await?;
        serde_json::from_slice(&text).map_err(|e| self.bad(&e))
    }

    /// Reads one that has to be of the type of JSON.
    pub(super) async fn read_typed<T: DeserializeOwned>(
        &self,
        (headers, body): (&HeaderMap, Body),
        limits: &Limits,
    ) -> Result<T, Problem> {
        let json = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.starts_with("application/json"));
        if !headers.get(header::CONTENT_TYPE).is_some_and(json) {
            return Err(self.bad(&"the body is of another type"));
        }
        self.read((headers, body), limits).await
    }

    fn bad(&self, fault: &dyn fmt::Display) -> Problem {
        ProblemKind::BadRequest.because(format!("{fault}; {}", self.remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt as _, stream};
    use std::{convert::Infallible, time::Duration};

    const FORM: Form = Form { most: 16, remedy: "send what fits" };

    fn announced(length: Option<u64>) -> HeaderMap {
        let length = length.map(|length| (header::CONTENT_LENGTH, HeaderValue::from(length)));
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        length.into_iter().chain([kind]).collect()
    }

    /// Some bytes, and nothing after them for ever.
    fn stalled(bytes: &'static [u8]) -> Body {
        let bytes = stream::iter([Ok::<_, Infallible>(bytes)]);
        Body::from_stream(bytes.chain(stream::pending()))
    }

    async fn refused(headers: HeaderMap, body: Body) -> Option<ProblemKind> {
        let limits = Limits { client_timeout: Duration::from_millis(1), ..Limits::default() };
        let read = FORM.read_typed::<Vec<u8>>((&headers, body), &limits);
        let read = tokio::time::timeout(Duration::from_mins(1), read).await.expect("an answer");
        read.expect_err("refused").kind()
    }

    #[tokio::test]
    async fn what_is_too_long_or_too_slow_is_not_waited_for() {
        let (headers, limits) = (announced(Some(5)), Limits::default());
        let read = FORM.read_typed::<Vec<u8>>((&headers, Body::from("[1,2]")), &limits);
        assert_eq!(read.await.expect("good"), [1, 2]);
        for (length, body, kind) in [
            (Some(1_000_000_000), stalled(b"[1,"), ProblemKind::TooLarge),
            (Some(16), stalled(b"[1,"), ProblemKind::Slow),
            (None, stalled(b"[1,"), ProblemKind::LengthRequired),
            (Some(4), Body::from("[1,2]"), ProblemKind::BadRequest),
            (Some(6), Body::from("[1,2]"), ProblemKind::BadRequest),
        ] {
            assert_eq!(refused(announced(length), body).await, Some(kind), "{length:?}");
        }
        assert_eq!(refused(HeaderMap::new(), Body::from("[]")).await, Some(ProblemKind::BadRequest), "no type");
    }
}
