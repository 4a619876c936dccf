//! Irises against galleries of templates that stay at the parties.

use super::{
    inputs::{aside, finish, fork, share},
    scenario::{Measured, barrier},
};
use crate::{executor::Tasks, job::ModeSpec};
use std::{
    any::Any,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use trefoil_circuits::{
    matching::{Answer, Kind, Match, MatchingError, Templates, Threshold, reference::Distance, synthetic::Irises},
    program::Tiling,
};
use trefoil_engine::prelude::*;
use zeroize::Zeroizing;

/// Rotations of a comparison, each of which counts.
pub(super) const ROTATIONS: f64 = Kind::IRIS.rotations() as f64;
/// Templates that are made at a time.
const PART: usize = 128;

/// Bytes of a template in a party's memory.
pub(super) const fn template_bytes(mode: ModeSpec) -> usize {
    match mode {
        ModeSpec::SemiHonest => Templates::<SemiHonest>::bytes(Kind::IRIS),
        ModeSpec::Malicious => Templates::<Malicious>::bytes(Kind::IRIS),
    }
}

/// Galleries of irises by mode and the number of their templates, each made when it is first asked for.
#[derive(Debug, Default)]
pub struct Galleries(Mutex<BTreeMap<(&'static str, usize), Kept>>);

/// A gallery of one of the modes.
type Kept = Arc<dyn Any + Send + Sync>;

impl Galleries {
    fn get<M: Mode>(&self, templates: usize) -> Option<Arc<Enrolled<M>>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&(M::NAME, templates))?.clone().downcast().ok()
    }

    fn insert<M: Mode>(&self, templates: usize, gallery: Arc<Enrolled<M>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((M::NAME, templates), gallery);
    }
}

/// A gallery, and a probe of which it is known who it is.
struct Enrolled<M: Mode> {
    templates: Arc<Templates<M>>,
    probe: Zeroizing<Vec<Lanes>>,
    due: Option<usize>,
}

/// Finds an iris among some templates.
pub(super) async fn identification<M: Mode>(
    ctx: &mut Ctx<M>,
    galleries: &Galleries,
    templates: usize,
    tiling: Tiling,
) -> Result<Measured, Error> {
    let program = Match::identify(Kind::IRIS, Threshold::DEPLOYED, [templates, 1], Answer::First).map_err(refused)?;
    let program = program.tiled(tiling);
    let enrolled = match galleries.get(templates) {
        Some(enrolled) => enrolled,
        // All parties come here in the same run.
        None => Arc::new(enrol(ctx, templates).await?),
    };
    galleries.insert(templates, enrolled.clone());
    let probe = share(ctx, enrolled.probe.to_vec()).await?;
    let mut child = fork(ctx, 1).await?.remove(0);
    barrier(&mut child).await?;
    let before = child.cost().bytes_sent;
    let start = Instant::now();
    let mut released = program.run_in(child, probe, enrolled.templates.clone(), &Tasks).await?;
    let seconds = start.elapsed().as_secs_f64();
    let bytes = released.cost().bytes_sent - before;
    let output = released.strand.open(released.outputs[0].bits()?.view()).await?;
    finish(ctx, released, program.found(&output) == enrolled.due)?;
    Ok(Measured { seconds, items: templates as f64, bytes, rounds: program.cost().rounds })
}

/// Templates of as many eyes, and another code of one of them. Whom it matches is found out in plain.
async fn enrol<M: Mode>(ctx: &mut Ctx<M>, templates: usize) -> Result<Enrolled<M>, Error> {
    let (kind, whose) = (Kind::IRIS, templates * 2 / 3);
    let mut camera = Irises::new(u64::MAX);
    let probe = camera.again(&eye(whose), 0.2, -6);
    let turns = kind.rotations().cast_signed() / 2;
    let turned: Arc<[_]> = (-turns..=turns).map(|by| probe.turned(by).to_bits()).collect();
    let mut all = Templates::with_capacity(kind, templates);
    let mut due = None;
    for from in (0..templates).step_by(PART) {
        let (of_part, turned) = (from..templates.min(from + PART), turned.clone());
        let (integers, first) = aside(move || {
            let (mut integers, mut first) = (Vec::new(), None);
            for k in of_part {
                let (eye, threshold) = (eye(k), Threshold::DEPLOYED);
                integers.extend_from_slice(&eye.to_integers());
                let bits = eye.to_bits();
                let distances = turned.iter().map(|probe| Distance::between_bits(kind, probe, &bits));
                if first.is_none() && distances.into_iter().any(|d| d.is_below(threshold)) {
                    first = Some(k);
                }
            }
            (integers, first)
        })
        .await?;
        due = due.or(first);
        all.push(share(ctx, integers).await?.view())?;
    }
    Ok(Enrolled { templates: Arc::new(all), probe: probe.to_bits(), due })
}

/// The same for a number at all parties.
fn eye(k: usize) -> trefoil_circuits::matching::Template {
    Irises::new(k as u64).enrol()
}

/// The command line admits no such number.
fn refused(_: MatchingError) -> Error {
    Error::Shape {
        what: "the templates of a gallery at most",
        expected: trefoil_circuits::matching::MOST_TEMPLATES,
        got: 0,
    }
}
