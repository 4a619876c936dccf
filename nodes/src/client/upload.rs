//! Submitting a job to all three nodes, or to none.

use super::{
    Client, JobHandle,
    node::{all, is_busy},
};
use crate::{
    Error,
    job::{JobId, JobSpec, encode_head},
};
use bytes::Bytes;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use trefoil_engine::{
    Lanes,
    client::{InputShare, split},
};

/// The first pause before busy nodes are asked again; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn submit(
    client: &Client,
    spec: &JobSpec,
    attachment: Bytes,
    input: &[Lanes],
) -> Result<JobHandle, Error> {
    let shape = spec.shape().map_err(|e| Error::Usage(e.to_string()))?;
    if (shape.attachment_bytes, shape.input_words) != (attachment.len(), input.len()) {
        return Err(Error::Usage(format!(
            "the job takes {} bytes of circuit and {} words of input, and {} and {} were given",
            shape.attachment_bytes,
            shape.input_words,
            attachment.len(),
            input.len()
        )));
    }
    let head = encode_head(spec);
    let end = Instant::now() + client.patience;
    let mut pause = FIRST_PAUSE;
    loop {
        // A new name and new shares each time: what was refused is not used again.
        let id = JobId::random()?;
        let shares = split(input)?.map(|share| parts(&head, &attachment, share));
        let job = JobHandle::new(client.clone(), id, shape);
        let results = all(&client.nodes, |node| node.put(id, &shares[node.party().index()])).await;
        let errors: Vec<Error> = results.into_iter().filter_map(Result::err).collect();
        if errors.is_empty() {
            return Ok(job);
        }
        // At all three: a node that did not answer may have the job nevertheless.
        job.delete().await;
        let busy = errors.iter().all(is_busy);
        if !busy || Instant::now() + pause > end {
            let worst = errors.into_iter().min_by_key(|e| u8::from(is_busy(e)));
            return Err(worst.unwrap_or_else(|| Error::Bug("a refusal without a cause".to_owned())));
        }
        // Clients that came together shall not come back together.
        tokio::time::sleep(pause.mul_f64(jitter()?)).await;
        pause = (2 * pause).min(LAST_PAUSE);
    }
}

/// A factor between 0.5 and 1.5.
fn jitter() -> Result<f64, Error> {
    let random = getrandom::u32().map_err(|e| trefoil_engine::Error::Entropy(e.to_string()))?;
    Ok(0.5 + f64::from(random) / f64::from(u32::MAX))
}

/// The body for one node. The components are not copied, and wiped when they have been sent.
fn parts(head: &Bytes, attachment: &Bytes, share: InputShare<Lanes>) -> [Bytes; 4] {
    let share = Arc::new(share);
    let component = |at| Bytes::from_owner(Component { share: share.clone(), at });
    [head.clone(), attachment.clone(), component(0), component(1)]
}

struct Component {
    share: Arc<InputShare<Lanes>>,
    at: usize,
}

impl AsRef<[u8]> for Component {
    fn as_ref(&self) -> &[u8] {
        self.share.as_bytes()[self.at]
    }
}
