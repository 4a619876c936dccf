//! What programs that are measured take, and how their results are taken back.

use super::scenario::agree;
use trefoil_circuits::program::Released;
use trefoil_engine::prelude::*;

/// Strands that rest on nothing unchecked, so that each can be verified on its own.
pub(super) async fn fork<M: Mode>(ctx: &mut Ctx<M>, strands: u32) -> Result<Vec<Ctx<M>>, Error> {
    ctx.check().await?;
    ctx.fork(strands).await
}

/// Takes a strand back, and says whether its result was right.
pub(super) fn finish<M: Mode>(ctx: &mut Ctx<M>, released: Released<M>, holds: bool) -> Result<(), Error> {
    ctx.join_verified(released.strand)?;
    agree(ctx.me(), holds)
}

/// Computes off the thread that keeps the connections alive.
pub(super) async fn aside<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    // It can only fail if `f` panics, or the runtime ends.
    tokio::task::spawn_blocking(f).await.map_err(|_| Error::Poisoned)
}

/// Uniform shares of values that all parties know: random ones, opened, and moved by the difference; in parts, so that no frame is too long.
pub(super) async fn share<M: Mode, R: Ring>(ctx: &mut Ctx<M>, values: Vec<R>) -> Result<Shares<R>, Error> {
    const PART: usize = 1 << 18;
    let mut child = fork(ctx, 1).await?.remove(0);
    let mut all = Shares::zeros(values.len());
    let mut masks = Vec::new();
    for part in values.chunks(PART) {
        masks.push(child.random::<R>(part.len())?);
    }
    let mut child = child.verify().await?;
    for ((k, mut x), values) in masks.into_iter().enumerate().zip(values.chunks(PART)) {
        let mut opened = child.open(x.view()).await?;
        for (opened, &value) in opened.iter_mut().zip(values) {
            *opened = value - *opened;
        }
        x.add_public(ctx.me(), &opened)?;
        all.copy_from(k * PART, x.view())?;
    }
    ctx.join_verified(child)?;
    Ok(all)
}
