//! Vectors of shares over the rings that programs take in and give out, with shapes that everybody knows.

use trefoil_engine::{
    client::{InputShare, OutputShare},
    prelude::*,
};

/// What a vector consists of.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum RingKind {
    /// Bits, 64 of them in each element of [`Lanes`]: bit `k` of the vector is bit `k % 64` of element `k / 64`.
    Bits,
    /// Integers modulo 2^16, one in each element of [`Z16`]: templates of biometric matching.
    Z16,
    /// Integers modulo 2^64, one in each element of [`Z64`].
    Z64,
}

impl RingKind {
    /// Bits of one entry of a vector.
    pub const fn bits(self) -> usize {
        match self {
            Self::Bits => 1,
            Self::Z16 => 16,
            Self::Z64 => 64,
        }
    }
}

/// The public shape of a vector.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Shape {
    /// What it consists of.
    pub ring: RingKind,
    /// Entries: bits, or integers.
    pub len: usize,
}

impl Shape {
    /// A string of so many bits.
    pub const fn bits(len: usize) -> Self {
        Self { ring: RingKind::Bits, len }
    }

    /// So many integers modulo 2^16.
    pub const fn z16(len: usize) -> Self {
        Self { ring: RingKind::Z16, len }
    }

    /// So many integers modulo 2^64.
    pub const fn z64(len: usize) -> Self {
        Self { ring: RingKind::Z64, len }
    }

    /// Elements of each of the two components: words of 64 bits, or integers.
    pub const fn elements(self) -> usize {
        match self.ring {
            RingKind::Bits => Lanes::words(self.len),
            RingKind::Z16 | RingKind::Z64 => self.len,
        }
    }

    /// Bytes of each of the two components.
    pub const fn component_bytes(self) -> usize {
        match self.ring {
            RingKind::Bits | RingKind::Z64 => self.elements() * size_of::<u64>(),
            RingKind::Z16 => self.elements() * size_of::<u16>(),
        }
    }
}

/// A vector of shares that a program computes on.
#[derive(Debug)]
pub enum Vector {
    /// Bits.
    Bits(Shares<Lanes>),
    /// Integers modulo 2^16.
    Z16(Shares<Z16>),
    /// Integers modulo 2^64.
    Z64(Shares<Z64>),
}

impl Vector {
    /// What it consists of.
    pub const fn ring(&self) -> RingKind {
        match self {
            Self::Bits(_) => RingKind::Bits,
            Self::Z16(_) => RingKind::Z16,
            Self::Z64(_) => RingKind::Z64,
        }
    }

    /// Elements of each component.
    pub fn elements(&self) -> usize {
        match self {
            Self::Bits(x) => x.len(),
            Self::Z16(x) => x.len(),
            Self::Z64(x) => x.len(),
        }
    }

    /// The shares, if they are of bits.
    ///
    /// # Errors
    /// [`Error::Shape`] for another ring.
    pub fn bits(&self) -> Result<&Shares<Lanes>, Error> {
        match self {
            Self::Bits(x) => Ok(x),
            Self::Z16(_) | Self::Z64(_) => Err(other_ring(RingKind::Bits, self.ring())),
        }
    }

    /// The shares, if they are of integers.
    ///
    /// # Errors
    /// [`Error::Shape`] for another ring.
    pub fn z64(&self) -> Result<&Shares<Z64>, Error> {
        match self {
            Self::Z64(x) => Ok(x),
            Self::Bits(_) | Self::Z16(_) => Err(other_ring(RingKind::Z64, self.ring())),
        }
    }

    /// What this party releases to those who shall have the value.
    ///
    /// # Errors
    /// As [`Verified::output`].
    pub fn output<M: Mode>(&self, strand: &Verified<M>) -> Result<OutputVector, Error> {
        Ok(match self {
            Self::Bits(x) => OutputVector::Bits(strand.output(x.view())?),
            Self::Z16(x) => OutputVector::Z16(strand.output(x.view())?),
            Self::Z64(x) => OutputVector::Z64(strand.output(x.view())?),
        })
    }
}

impl From<Shares<Lanes>> for Vector {
    fn from(x: Shares<Lanes>) -> Self {
        Self::Bits(x)
    }
}

impl From<Shares<Z16>> for Vector {
    fn from(x: Shares<Z16>) -> Self {
        Self::Z16(x)
    }
}

impl From<Shares<Z64>> for Vector {
    fn from(x: Shares<Z64>) -> Self {
        Self::Z64(x)
    }
}

/// The inputs of a run, in the order of [`Program::inputs`](super::Program::inputs). The program takes them out one by one, so
/// that each is wiped as soon as it is no longer needed.
#[derive(Debug)]
pub struct Inputs(Vec<Option<Vector>>);

impl Inputs {
    /// These vectors.
    pub fn new(vectors: impl IntoIterator<Item = Vector>) -> Self {
        Self(vectors.into_iter().map(Some).collect())
    }

    /// Checks number, rings and lengths against what a program takes.
    ///
    /// # Errors
    /// [`Error::Shape`] names what is different.
    pub fn check(&self, shapes: &[Shape]) -> Result<(), Error> {
        if self.0.len() != shapes.len() {
            return Err(Error::Shape { what: "the inputs of a program", expected: shapes.len(), got: self.0.len() });
        }
        for (vector, shape) in self.0.iter().zip(shapes) {
            let vector = vector.as_ref().ok_or(TAKEN)?;
            if vector.ring() != shape.ring {
                return Err(other_ring(shape.ring, vector.ring()));
            }
            if vector.elements() != shape.elements() {
                let (expected, got) = (shape.elements(), vector.elements());
                return Err(Error::Shape { what: "an input of a program", expected, got });
            }
        }
        Ok(())
    }

    /// Takes input `k` out, which consists of bits.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no such input, it was taken before, or is over another ring.
    pub fn bits(&mut self, k: usize) -> Result<Shares<Lanes>, Error> {
        match self.take(k)? {
            Vector::Bits(x) => Ok(x),
            other => Err(other_ring(RingKind::Bits, other.ring())),
        }
    }

    /// Takes input `k` out, which consists of integers.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no such input, it was taken before, or is over another ring.
    pub fn z64(&mut self, k: usize) -> Result<Shares<Z64>, Error> {
        match self.take(k)? {
            Vector::Z64(x) => Ok(x),
            other => Err(other_ring(RingKind::Z64, other.ring())),
        }
    }

    /// Takes input `k` out, which consists of integers modulo 2^16.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is no such input, it was taken before, or is over another ring.
    pub fn z16(&mut self, k: usize) -> Result<Shares<Z16>, Error> {
        match self.take(k)? {
            Vector::Z16(x) => Ok(x),
            other => Err(other_ring(RingKind::Z16, other.ring())),
        }
    }

    fn take(&mut self, k: usize) -> Result<Vector, Error> {
        self.0.get_mut(k).and_then(Option::take).ok_or(TAKEN)
    }
}

impl<V: Into<Vector>> From<V> for Inputs {
    /// The only input.
    fn from(x: V) -> Self {
        Self::new([x.into()])
    }
}

/// What a client, or a stored table, gives one party for one input: both components, as yet unchecked.
#[derive(Debug)]
pub enum InputVector {
    /// Bits.
    Bits(InputShare<Lanes>),
    /// Integers modulo 2^16.
    Z16(InputShare<Z16>),
    /// Integers modulo 2^64.
    Z64(InputShare<Z64>),
}

impl InputVector {
    /// Reads the two components from their wire form, little-endian elements.
    ///
    /// # Errors
    /// [`Error::Shape`] unless both have the length of the shape.
    pub fn from_bytes(shape: Shape, own: &[u8], next: &[u8]) -> Result<Self, Error> {
        Self::from_parts(shape, &[own], &[next])
    }

    /// The same from several parts one after the other.
    ///
    /// # Errors
    /// [`Error::Shape`] unless each part has whole elements, and both components the length of the shape.
    pub fn from_parts(shape: Shape, own: &[&[u8]], next: &[&[u8]]) -> Result<Self, Error> {
        let len = shape.elements();
        Ok(match shape.ring {
            RingKind::Bits => Self::Bits(InputShare::from_parts(len, own, next)?),
            RingKind::Z16 => Self::Z16(InputShare::from_parts(len, own, next)?),
            RingKind::Z64 => Self::Z64(InputShare::from_parts(len, own, next)?),
        })
    }

    /// The wire form: `own`, then `next`.
    pub fn as_bytes(&self) -> [&[u8]; 2] {
        match self {
            Self::Bits(x) => x.as_bytes(),
            Self::Z16(x) => x.as_bytes(),
            Self::Z64(x) => x.as_bytes(),
        }
    }

    /// Takes it as an input of a strand, which in malicious mode compares it with the other holders' copies.
    ///
    /// # Errors
    /// As [`Ctx::input`]. Not cancel safe.
    pub async fn receive<M: Mode>(self, ctx: &mut Ctx<M>) -> Result<Vector, Error> {
        Ok(match self {
            Self::Bits(x) => Vector::Bits(ctx.input(x).await?),
            Self::Z16(x) => Vector::Z16(ctx.input(x).await?),
            Self::Z64(x) => Vector::Z64(ctx.input(x).await?),
        })
    }
}

impl From<InputShare<Lanes>> for InputVector {
    fn from(x: InputShare<Lanes>) -> Self {
        Self::Bits(x)
    }
}

impl From<InputShare<Z16>> for InputVector {
    fn from(x: InputShare<Z16>) -> Self {
        Self::Z16(x)
    }
}

impl From<InputShare<Z64>> for InputVector {
    fn from(x: InputShare<Z64>) -> Self {
        Self::Z64(x)
    }
}

/// What one party releases of one output: both components, checked.
#[derive(Debug)]
pub enum OutputVector {
    /// Bits.
    Bits(OutputShare<Lanes>),
    /// Integers modulo 2^16.
    Z16(OutputShare<Z16>),
    /// Integers modulo 2^64.
    Z64(OutputShare<Z64>),
}

impl OutputVector {
    /// The wire form: `own`, then `next`.
    pub fn as_bytes(&self) -> [&[u8]; 2] {
        match self {
            Self::Bits(x) => x.as_bytes(),
            Self::Z16(x) => x.as_bytes(),
            Self::Z64(x) => x.as_bytes(),
        }
    }
}

impl From<OutputShare<Lanes>> for OutputVector {
    fn from(x: OutputShare<Lanes>) -> Self {
        Self::Bits(x)
    }
}

impl From<OutputShare<Z16>> for OutputVector {
    fn from(x: OutputShare<Z16>) -> Self {
        Self::Z16(x)
    }
}

impl From<OutputShare<Z64>> for OutputVector {
    fn from(x: OutputShare<Z64>) -> Self {
        Self::Z64(x)
    }
}

const TAKEN: Error = Error::Shape { what: "an input that is not there, or was taken before", expected: 1, got: 0 };

fn other_ring(expected: RingKind, got: RingKind) -> Error {
    Error::Shape { what: "the bits of an entry of a vector", expected: expected.bits(), got: got.bits() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs() -> Inputs {
        Inputs::new([Shares::<Lanes>::zeros(2).into(), Shares::<Z64>::zeros(70).into()])
    }

    #[test]
    fn inputs_are_what_the_shapes_say_or_refused() {
        assert!(inputs().check(&[Shape::bits(65), Shape::z64(70)]).is_ok());
        for shapes in [
            vec![Shape::bits(65)],
            vec![Shape::bits(64), Shape::z64(70)],
            vec![Shape::bits(65), Shape::z64(71)],
            vec![Shape::bits(65), Shape::bits(70 * 64)],
        ] {
            assert!(matches!(inputs().check(&shapes), Err(Error::Shape { .. })), "{shapes:?}");
        }
    }

    #[test]
    fn an_input_is_taken_once_and_over_its_ring() {
        let mut inputs = inputs();
        assert_eq!(inputs.bits(0).map(|x| x.len()).ok(), Some(2));
        assert!(matches!(inputs.bits(0), Err(Error::Shape { got: 0, .. })));
        assert!(matches!(inputs.bits(1), Err(Error::Shape { expected: 1, got: 64, .. })));
        assert!(inputs.z64(2).is_err());
    }

    #[test]
    fn shapes_have_sizes() {
        assert_eq!([0, 1, 64, 65].map(|n| Shape::bits(n).component_bytes()), [0, 8, 8, 16]);
        assert_eq!([Shape::z64(3), Shape::z16(3)].map(Shape::component_bytes), [24, 6]);
        let bytes = [1; 16];
        let read = InputVector::from_bytes(Shape::z64(2), &bytes, &bytes).unwrap();
        assert_eq!(read.as_bytes(), [&bytes; 2]);
        assert!(InputVector::from_bytes(Shape::bits(64), &bytes, &bytes).is_err());
    }
}
