//! Submitting a job to all three nodes, or to none.

use super::{
    Client, JobHandle, Plain,
    node::{all, is_busy},
};
use crate::{
    Error,
    api::ProblemKind,
    job::{JobId, JobSpec, Sizes, SpecFault, encode_head},
};
use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use trefoil_circuits::program::InputVector;

/// The first pause before busy nodes are asked again; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// How long nodes that are not ready are waited for, such as those that have no link to each other: it may be about to be there.
const READY: Duration = Duration::from_secs(3);

pub(super) async fn submit(
    client: &Client,
    (spec, repeats): (&JobSpec, Option<JobId>),
    attachment: Bytes,
    inputs: &[Plain<'_>],
) -> Result<JobHandle, Error> {
    let usage = |e: SpecFault| Error::Usage(e.to_string());
    let sizes = spec.sizes().map_err(usage)?;
    let name = client
        .name()
        .ok_or_else(|| Error::Usage("a node submits no jobs; use the certificate of a client".to_owned()))?;
    let terms = spec.terms(name).map_err(usage)?;
    check(&sizes, attachment.len(), inputs)?;
    let head = encode_head(spec);
    let end = Instant::now() + client.patience;
    let (mut pause, mut waited) = (FIRST_PAUSE, false);
    loop {
        // A new name and new shares each time: what was refused is not used again.
        let id = JobId::random()?;
        let mut bodies = [(); 3].map(|()| vec![head.clone(), attachment.clone()]);
        for input in inputs {
            bodies.iter_mut().zip(input.split()?).for_each(|(body, share)| body.extend(components(share)));
        }
        let job = JobHandle::new(client.clone(), id, terms.outputs.clone());
        let results = all(&client.nodes, |node| node.put((id, repeats), &bodies[node.party().index()])).await;
        let errors: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() {
            return Ok(job);
        }
        // At all three: a node that did not answer may have the job nevertheless.
        job.delete().await;
        let busy = errors.iter().all(is_busy);
        let again = if busy {
            Instant::now() + pause <= end
        } else {
            // Once: a node that had its links has run nothing, and has counted the job all the same, with its permits.
            let passes = !waited && errors.iter().all(|e| is_busy(e) || is_unready(e));
            waited = true;
            passes && tokio::time::timeout(READY, all_ready(client)).await.is_ok()
        };
        if !again {
            let worst = errors.into_iter().min_by_key(|e| (is_busy(e), is_unready(e)));
            return Err(worst.unwrap_or_else(|| Error::Bug("a refusal without a cause".to_owned())));
        }
        // Clients that came together shall not come back together.
        tokio::time::sleep(pause.mul_f64(jitter()?)).await;
        pause = (2 * pause).min(LAST_PAUSE);
    }
}

/// Asks the nodes until none of them lacks anything.
async fn all_ready(client: &Client) {
    while !client.status().await.iter().all(|status| status.as_ref().is_ok_and(|status| status.unready.is_empty())) {
        tokio::time::sleep(FIRST_PAUSE).await;
    }
}

/// That a node misses another is a consequence.
fn is_unready(error: &Error) -> bool {
    matches!(error, Error::Refused { problem, .. } if problem.kind() == Some(ProblemKind::Unready))
}

/// A factor between 0.5 and 1.5.
fn jitter() -> Result<f64, Error> {
    let random = getrandom::u32().map_err(|e| trefoil_engine::Error::Entropy(e.to_string()))?;
    Ok(0.5 + f64::from(random) / f64::from(u32::MAX))
}

fn check(sizes: &Sizes, attachment: usize, inputs: &[Plain<'_>]) -> Result<(), Error> {
    if sizes.attachment_bytes != attachment {
        let due = sizes.attachment_bytes;
        return Err(Error::Usage(format!("the job takes {due} bytes of circuit, and {attachment} were given")));
    }
    if sizes.uploads.len() != inputs.len() {
        let due = sizes.uploads.len();
        return Err(Error::Usage(format!("the job takes {due} inputs along, and {} were given", inputs.len())));
    }
    match sizes.uploads.iter().zip(inputs).position(|(shape, input)| !input.fits(*shape)) {
        None => Ok(()),
        Some(k) => {
            let (due, got) = (sizes.uploads[k], inputs[k]);
            Err(Error::Usage(format!(
                "input {k} has {} words of {:?}, and {} words of {:?} were given",
                due.elements(),
                due.ring,
                got.elements(),
                got.ring()
            )))
        }
    }
}

/// Both components of a share. They are not copied, and wiped when they have been sent.
pub(super) fn components(share: InputVector) -> [Bytes; 2] {
    let share = Arc::new(share);
    [0, 1].map(|at| Bytes::from_owner(Component { share: share.clone(), at }))
}

struct Component {
    share: Arc<InputVector>,
    at: usize,
}

impl AsRef<[u8]> for Component {
    fn as_ref(&self) -> &[u8] {
        self.share.as_bytes()[self.at]
    }
}
