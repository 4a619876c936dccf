//! Synthetic iris codes with the statistics of the field, for measurements of accuracy.
//!
//! Neighbouring bits of an iris code are correlated. Each of the 64 bits of a column is one of a chain around the circle that goes on with the same bit but for a small probability, chosen so that
//! the distances of different irises vary as those of 249 independent bits do, the number found for real irises (Daugman, IEEE Trans. Circuits Syst. Video Technol. 14, 2004).

use super::{Kind, Template};

/// The probability of a change from one column to the next.
const CHANGE: f64 = 0.0096;

/// A repeatable source of irises.
#[derive(Clone, Debug)]
pub struct Irises {
    state: u64,
}

impl Irises {
    /// Always the same ones for a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) }
    }

    /// Another person's eye. About a tenth of it is covered, by lids above and below: the same columns in all codes, a few more or less.
    pub fn enrol(&mut self) -> Template {
        let kind = Kind::IRIS;
        let mut template = Template::empty(kind);
        for i in 0..kind.height() {
            for s in 0..kind.covers() {
                let mut bit = self.below(0.5);
                for c in 0..kind.columns() {
                    bit ^= self.below(CHANGE);
                    template.parts_mut()[0][kind.code_at(c, s, i)] = bit;
                }
            }
        }
        self.cover(&mut template);
        template
    }

    /// The same eye again, with other noise: every bit is wrong with this probability, the lids have moved, and the head is turned by some columns.
    pub fn again(&mut self, of: &Template, noise: f64, turns: isize) -> Template {
        let wrong: Vec<usize> = (0..of.kind().code_bits()).filter(|_| self.below(noise)).collect();
        let mut again = of.flipped(&wrong);
        self.cover(&mut again);
        again.turned(turns)
    }

    /// A number from 0 to 1.
    pub fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Draws the mask: two lids and single reflections.
    fn cover(&mut self, template: &mut Template) {
        let kind = template.kind();
        let lids = [30.0, 130.0].map(|from| (from, from + 4.0 + 12.0 * self.uniform()));
        for c in 0..kind.columns() {
            let lid = lids.iter().any(|(from, to)| (*from..*to).contains(&(c as f64)));
            for i in 0..kind.height() {
                // The lids reach over the outer half.
                let covered = lid && 2 * i >= kind.height() || self.below(0.03);
                template.parts_mut()[1][kind.mask_at(c, i)] = !covered;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::reference::{Distance, distances},
        *,
    };

    #[test]
    fn irises_have_the_statistics_of_the_field() {
        let mut irises = Irises::new(1);
        let eyes: Vec<Template> = (0..60).map(|_| irises.enrol()).collect();
        let fraction = |d: Distance| d.fraction().unwrap();
        let pairs = || (0..eyes.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        let unturned: Vec<f64> = pairs().map(|(a, b)| fraction(Distance::between(&eyes[a], &eyes[b]))).collect();
        let n = unturned.len() as f64;
        let mean = unturned.iter().sum::<f64>() / n;
        let variance = unturned.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let freedom = mean * (1.0 - mean) / variance;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        assert!((215.0..285.0).contains(&freedom), "{freedom} degrees of freedom");
        let best = |a: &Template, b: &Template| distances(a, b).map(fraction).fold(1.0, f64::min);
        let turned: Vec<f64> = pairs().step_by(9).map(|(a, b)| best(&eyes[a], &eyes[b])).collect();
        let mean = turned.iter().sum::<f64>() / turned.len() as f64;
        assert!((0.44..0.5).contains(&mean), "{mean}");
        for (k, eye) in eyes.iter().enumerate().take(20) {
            let noise = 0.1 + 0.15 * irises.uniform();
            let found = best(&irises.again(eye, noise, k.cast_signed() - 10), eye);
            assert!((found - noise).abs() < 0.02, "{found} {noise}");
        }
    }
}
