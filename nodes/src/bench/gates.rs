//! Gates on bits: the bare ring, ANDs and AES.

use super::scenario::{Measured, Raw, agree, barrier, timed};
use crate::executor::Tasks;
use bytes::Bytes;
use std::{sync::Arc, time::Instant};
use trefoil_circuits::{
    aes::{EncryptionKeys, KeySize, SboxForm, State, encrypt, expand_key, reference},
    program::join_all,
};
use trefoil_engine::{
    prelude::*,
    transport::{BoxFuture, Path},
};

pub(super) async fn ring<M: Mode>(
    ctx: &mut Ctx<M>,
    raw: &Raw,
    frame: usize,
    [strands, frames]: [usize; 2],
) -> Result<Measured, Error> {
    let me = ctx.me();
    let mut tasks: Vec<BoxFuture<'static, Result<(), Error>>> = Vec::new();
    for _ in 0..strands {
        let path = Path::root().child(u32::MAX).child(raw.opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        let mut link = raw.net.open(raw.session, path).await?;
        tasks.push(Box::pin(async move {
            let mut into = vec![0; frame];
            for _ in 0..frames {
                // A fresh frame each time, as a computation would make it.
                let out = Bytes::from(vec![0x5a; frame]);
                link.exchange(me.prev(), out, me.next(), &mut into).await?;
            }
            Ok(())
        }));
    }
    barrier(ctx).await?;
    let start = Instant::now();
    join_all(&Tasks, tasks).await.into_iter().collect::<Result<(), _>>()?;
    let bytes = (frame * strands * frames) as u64;
    Ok(Measured { seconds: start.elapsed().as_secs_f64(), items: 8.0 * bytes as f64, bytes, rounds: 1 })
}

pub(super) async fn and<M: Mode>(
    ctx: &mut Ctx<M>,
    words: usize,
    strands: usize,
    batches: usize,
) -> Result<Measured, Error> {
    let mut tasks: Vec<BoxFuture<'static, _>> = Vec::new();
    for mut strand in ctx.fork(strands as u32).await? {
        let x = strand.random::<Lanes>(words)?;
        let mut y = strand.random::<Lanes>(words)?;
        tasks.push(Box::pin(async move {
            for _ in 0..batches {
                y = strand.mul(x.view(), y.view()).await?;
            }
            strand.check().await?;
            Ok::<_, Error>(strand)
        }));
    }
    let items = if words == 1 { batches } else { Lanes::COUNT * words * strands * batches };
    timed(ctx, tasks, items as f64, 1).await
}

pub(super) async fn aes<M: Mode>(
    ctx: &mut Ctx<M>,
    form: SboxForm,
    [batch, strands, batches]: [usize; 3],
) -> Result<Measured, Error> {
    let key = ctx.random::<Lanes>(2)?;
    let keys = Arc::new(expand_key(ctx, form, KeySize::Aes128, key.view()).await?.for_encryption(ctx.me())?);
    // One block outside the measurement, opened and compared: the figures are of a computation that is right.
    check(ctx, form, &keys, &key).await?;
    let mut tasks: Vec<BoxFuture<'static, _>> = Vec::new();
    for mut strand in ctx.fork(strands as u32).await? {
        let input = strand.random::<Lanes>(2 * batch)?;
        let mut state = State::from_blocks(input.view())?;
        let keys = keys.clone();
        tasks.push(Box::pin(async move {
            for _ in 0..batches {
                state = encrypt(&mut strand, form, &keys, &state).await?;
            }
            strand.check().await?;
            Ok::<_, Error>(strand)
        }));
    }
    let rounds = 10 * form.rounds();
    timed(ctx, tasks, (batch * strands * batches) as f64, rounds).await
}

/// Encrypts one block, opens it with its input and its key, and compares with the plain reference.
async fn check<M: Mode>(
    ctx: &mut Ctx<M>,
    form: SboxForm,
    keys: &EncryptionKeys,
    key: &Shares<Lanes>,
) -> Result<(), Error> {
    // What is opened rests on the round keys.
    ctx.check().await?;
    let mut child = ctx.fork(1).await?.remove(0);
    let input = child.random::<Lanes>(2)?;
    let output = encrypt(&mut child, form, keys, &State::from_blocks(input.view())?).await?.to_blocks();
    let mut child = child.verify().await?;
    let [key, input, output] = [
        bytes_of(&child.open(key.view()).await?),
        bytes_of(&child.open(input.view()).await?),
        bytes_of(&child.open(output.view()).await?),
    ];
    let me = ctx.me();
    ctx.join_verified(child)?;
    let plain = reference::expand_key(&key).map(|k| reference::encrypt(&k, input));
    agree(me, plain == Some(output))
}

fn bytes_of(words: &[Lanes]) -> [u8; 16] {
    let mut out = [0; 16];
    for (out, word) in out.chunks_exact_mut(8).zip(words) {
        out.copy_from_slice(&word.0.to_le_bytes());
    }
    out
}
