//! The spans of a job, as a collector receives them.

use super::*;
use crate::{
    listening::listening,
    trace::{
        self, Traces,
        tests::{PARENT, TRACE, attribute, collector},
    },
};
use axum::{body::Body, http::Request};
use tracing_subscriber::layer::SubscriberExt as _;

#[tokio::test]
async fn a_job_is_part_of_the_request_and_its_steps_of_the_job() {
    let (telemetry, arriving) = collector();
    let traces = Traces::start(&telemetry, Party::P0).expect("started");
    let heard = listening(tracing_subscriber::registry().with(traces.layer()));
    let request = Request::put("/v1/jobs/1").header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    let request = trace::request(&request.body(Body::empty()).expect("a request"));
    let (id, mut running) = (JobId::from([1; 16]), Vec::new());
    for (runner, input) in runners(&Limits::default(), STALL).iter().zip(split(&[Lanes(0); 2]).expect("randomness")) {
        let ends = (vec![Input::Upload(input.into())], Vec::new());
        running.push(request.in_scope(|| begin(runner, id, &spec(1), ends)));
    }
    drop(request);
    for (job, end) in running {
        end.await.expect("no panic");
        assert!(matches!(job.state(), JobState::Done { .. }), "{:?}", job.state());
    }
    drop(heard);
    traces.stop();

    let steps = ["agree", "compute", "inputs", "join", "outputs", "tables", "turn"];
    let spans = arriving.first(1 + 3 * (1 + steps.len()));
    assert!(spans.iter().all(|span| hex::encode(&span.trace_id) == TRACE), "{spans:?}");
    let of = |parent: &[u8]| spans.iter().filter(|span| span.parent_span_id == parent).collect::<Vec<_>>();
    let requests = of(&hex::decode(PARENT).expect("hex"));
    assert_eq!(requests.len(), 1, "{spans:?}");
    let jobs = of(&requests[0].span_id);
    assert_eq!(jobs.len(), 3, "{spans:?}");
    for job in jobs {
        assert_eq!((job.name.as_str(), attribute(job, "job.id")), ("job", id.to_string()));
        assert_eq!(attribute(job, "job.mode"), "malicious");
        assert_eq!(attribute(job, "job.program"), "aes-ctr");
        assert_eq!(attribute(job, "job.outcome"), "done");
        assert!(attribute(job, "job.rounds").parse::<u64>().is_ok_and(|rounds| rounds > 0));
        let mut names: Vec<_> = of(&job.span_id).iter().map(|step| step.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, steps);
    }
}
