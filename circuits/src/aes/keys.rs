//! Keys on shares, and their expansion.

use super::{
    cipher::{by_column, inv_mix_columns},
    sbox::{SboxForm, without_constant},
};
use trefoil_engine::{prelude::*, transport::BoxFuture};

/// The three key sizes of FIPS 197.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum KeySize {
    /// 16 bytes, 10 rounds.
    Aes128,
    /// 24 bytes, 12 rounds.
    Aes192,
    /// 32 bytes, 14 rounds.
    Aes256,
}

impl KeySize {
    /// Every size.
    pub const ALL: [Self; 3] = [Self::Aes128, Self::Aes192, Self::Aes256];

    /// The size of a key of so many bits, if there is one.
    pub const fn from_bits(bits: usize) -> Option<Self> {
        match bits {
            128 => Some(Self::Aes128),
            192 => Some(Self::Aes192),
            256 => Some(Self::Aes256),
            _ => None,
        }
    }

    /// Key length in bits.
    pub const fn bits(self) -> usize {
        32 * self.key_words()
    }

    /// Rounds of the cipher.
    pub const fn rounds(self) -> usize {
        self.key_words() + 6
    }

    /// S-boxes of one block.
    pub const fn sboxes(self) -> u64 {
        16 * self.rounds() as u64
    }

    /// 32-bit words of the key (`Nk`).
    const fn key_words(self) -> usize {
        match self {
            Self::Aes128 => 4,
            Self::Aes192 => 6,
            Self::Aes256 => 8,
        }
    }
}

/// The bits of one round key.
const KEY_BITS: usize = 128;

/// Round keys on shares. One element per bit, its 64 lanes all holding that bit; bit `b` of byte `p` is element `16 b + p`.
#[derive(Debug)]
pub struct RoundKeys {
    size: KeySize,
    keys: Vec<Shares<Lanes>>,
}

/// Round keys prepared for encryption: the S-box's constant folded in, ordered by column.
#[derive(Debug)]
pub struct EncryptionKeys {
    pub(super) keys: Vec<Shares<Lanes>>,
}

/// Round keys prepared for decryption: `InvMixColumns` applied to the inner ones (FIPS 197, section 5.3.5) and the constant folded in.
#[derive(Debug)]
pub struct DecryptionKeys {
    pub(super) keys: Vec<Shares<Lanes>>,
}

impl RoundKeys {
    /// The key size.
    pub fn size(&self) -> KeySize {
        self.size
    }

    /// Prepares them for encryption. Local.
    ///
    /// # Errors
    /// [`Error::Shape`] never, for keys made by this module.
    pub fn for_encryption(&self, me: Party) -> Result<EncryptionKeys, Error> {
        let mut keys: Vec<_> = self.keys.iter().map(|k| k.view().to_shares()).collect();
        for key in keys.iter_mut().skip(1) {
            key.add_public(me, &constant())?;
        }
        Ok(EncryptionKeys { keys: keys.iter().map(|k| by_column(k.view())).collect() })
    }

    /// Prepares them for decryption. Local.
    ///
    /// # Errors
    /// [`Error::Shape`] never, for keys made by this module.
    pub fn for_decryption(&self, me: Party) -> Result<DecryptionKeys, Error> {
        let last = self.keys.len() - 1;
        let mut keys = Vec::with_capacity(self.keys.len());
        for (round, key) in self.keys.iter().enumerate().rev() {
            let mut key =
                if round == 0 || round == last { key.view().to_shares() } else { inv_mix_columns(key.view())? };
            if round > 0 {
                key.add_public(me, &constant())?;
            }
            keys.push(by_column(key.view()));
        }
        Ok(DecryptionKeys { keys })
    }
}

/// 0x63 in every byte.
fn constant() -> [Lanes; KEY_BITS] {
    std::array::from_fn(|at| if 0x63 >> (at / 16) & 1 == 1 { Lanes::ONES } else { Lanes(0) })
}

/// Expands a shared key.
///
/// **Shape** the key's bits in [`Lanes::words`] words, byte 0 being the low byte of the first word, to `rounds + 1` round keys.
/// **Cost** `s` S-box layers of four bytes one after the other, `s` = 10, 8 or 13 for 128, 192 or 256 bits:
/// `s *` [`SboxForm::rounds`] rounds and `s * 32 *` [`SboxForm::bits`] bytes.
/// **Security** composition of quadratic gates. **Source** FIPS 197, section 5.2.
///
/// # Errors
/// [`Error::Shape`] for a key of another length; as [`Ctx::quadratic`]. Not cancel safe.
pub fn expand_key<'a, M: Mode>(
    ctx: &'a mut Ctx<M>,
    form: SboxForm,
    size: KeySize,
    key: View<'a, Lanes>,
) -> BoxFuture<'a, Result<RoundKeys, Error>> {
    // As `Program::run`.
    Box::pin(expand(ctx, form, size, key))
}

async fn expand<M: Mode>(
    ctx: &mut Ctx<M>,
    form: SboxForm,
    size: KeySize,
    key: View<'_, Lanes>,
) -> Result<RoundKeys, Error> {
    if key.len() != Lanes::words(size.bits()) {
        return Err(Error::Shape { what: "an AES key, in words", expected: Lanes::words(size.bits()), got: key.len() });
    }
    let nk = size.key_words();
    let bits = Shares::rearrange(key, size.bits(), |words, bits| {
        for (at, bit) in bits.iter_mut().enumerate() {
            *bit = Lanes((words[at / 64].0 >> (at % 64) & 1).wrapping_neg());
        }
    });
    // Word i of the schedule: 32 elements, byte k of it at 8 k.
    let mut w: Vec<Shares<Lanes>> = Vec::with_capacity(4 * (size.rounds() + 1));
    for i in 0..nk {
        w.push(bits.view().slice(32 * i, 32)?.to_shares());
    }
    let mut rcon = 1_u8;
    for i in nk..4 * (size.rounds() + 1) {
        let mut t = w[i - 1].view().to_shares();
        if i % nk == 0 {
            t = sub_word(ctx, form, t.view(), 1, 0x63 ^ rcon).await?;
            rcon = rcon << 1 ^ if rcon & 0x80 == 0 { 0 } else { 0x1b };
        } else if nk > 6 && i % nk == 4 {
            t = sub_word(ctx, form, t.view(), 0, 0x63).await?;
        }
        t.add_assign(w[i - nk].view())?;
        w.push(t);
    }
    let keys = w.chunks_exact(4).map(|words| {
        let mut key = Shares::zeros(KEY_BITS);
        for (c, word) in words.iter().enumerate() {
            // Byte k, bit b of the word is byte 4 c + k of the round key.
            let planes = Shares::rearrange(word.view(), 32, |from, to| {
                (0..32).for_each(|at| to[at] = from[at % 4 * 8 + at / 4]);
            });
            for b in 0..8 {
                key.copy_from(16 * b + 4 * c, planes.view().slice(4 * b, 4)?)?;
            }
        }
        Ok(key)
    });
    Ok(RoundKeys { size, keys: keys.collect::<Result<_, Error>>()? })
}

/// `SubWord` of a word rotated by `rotate` bytes, with a constant added: `first` to byte 0, 0x63 to the others.
async fn sub_word<M: Mode>(
    ctx: &mut Ctx<M>,
    form: SboxForm,
    word: View<'_, Lanes>,
    rotate: usize,
    first: u8,
) -> Result<Shares<Lanes>, Error> {
    let planes = Shares::rearrange(word, 32, |from, to| {
        (0..32).for_each(|at| to[at] = from[(at + rotate) % 4 * 8 + at / 4]);
    });
    let s = without_constant(ctx, form, planes.view()).await?;
    let mut word = Shares::rearrange(s.view(), 32, |from, to| {
        (0..32).for_each(|at| to[at] = from[at % 8 * 4 + at / 8]);
    });
    let constant: [Lanes; 32] = std::array::from_fn(|at| {
        let byte = if at < 8 { first } else { 0x63 };
        if byte >> (at % 8) & 1 == 1 { Lanes::ONES } else { Lanes(0) }
    });
    word.add_public(ctx.me(), &constant)?;
    Ok(word)
}
