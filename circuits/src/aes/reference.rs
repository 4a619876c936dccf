//! AES on plain bytes, word for word after FIPS 197: the oracle of the circuit on shares. Not constant-time.

/// Multiplication by x in `GF(2^8)`.
const fn xtime(a: u8) -> u8 {
    a << 1 ^ if a & 0x80 == 0 { 0 } else { 0x1b }
}

const fn gmul(mut a: u8, mut b: u8) -> u8 {
    let mut r = 0;
    while b > 0 {
        if b & 1 == 1 {
            r ^= a;
        }
        a = xtime(a);
        b >>= 1;
    }
    r
}

const fn sbox() -> [u8; 256] {
    let mut table = [0_u8; 256];
    let mut x = 0;
    while x < 256 {
        // x^254 is the inverse, or zero.
        let (mut inverse, mut k) = (1, 0);
        while k < 254 {
            inverse = gmul(inverse, x as u8);
            k += 1;
        }
        let i = inverse;
        table[x] = i ^ i.rotate_left(1) ^ i.rotate_left(2) ^ i.rotate_left(3) ^ i.rotate_left(4) ^ 0x63;
        x += 1;
    }
    table
}

const fn inverted(table: &[u8; 256]) -> [u8; 256] {
    let mut out = [0_u8; 256];
    let mut x = 0;
    while x < 256 {
        out[table[x] as usize] = x as u8;
        x += 1;
    }
    out
}

/// FIPS 197, section 5.1.1.
pub const SBOX: [u8; 256] = sbox();
/// FIPS 197, section 5.3.2.
pub const INV_SBOX: [u8; 256] = inverted(&SBOX);

/// The round keys of a key of 16, 24 or 32 bytes (FIPS 197, section 5.2); `None` for any other length.
#[must_use]
pub fn expand_key(key: &[u8]) -> Option<Vec<[u8; 16]>> {
    let nk = match key.len() {
        16 | 24 | 32 => key.len() / 4,
        _ => return None,
    };
    let mut w: Vec<[u8; 4]> = key.chunks_exact(4).map(|c| [c[0], c[1], c[2], c[3]]).collect();
    let mut rcon = 1;
    for i in nk..4 * (nk + 7) {
        let mut t = w[i - 1];
        if i % nk == 0 {
            t.rotate_left(1);
            t = t.map(|b| SBOX[usize::from(b)]);
            t[0] ^= rcon;
            rcon = xtime(rcon);
        } else if nk > 6 && i % nk == 4 {
            t = t.map(|b| SBOX[usize::from(b)]);
        }
        w.push(std::array::from_fn(|k| w[i - nk][k] ^ t[k]));
    }
    Some(w.chunks_exact(4).map(|c| std::array::from_fn(|k| c[k / 4][k % 4])).collect())
}

/// One block (FIPS 197, section 5.1).
#[must_use]
pub fn encrypt(round_keys: &[[u8; 16]], block: [u8; 16]) -> [u8; 16] {
    let last = round_keys.len() - 1;
    let mut s = xor(block, round_keys[0]);
    for (round, key) in round_keys.iter().enumerate().skip(1) {
        let subbed = s.map(|b| SBOX[usize::from(b)]);
        s = std::array::from_fn(|p| subbed[(p + 4 * (p % 4)) % 16]);
        if round < last {
            s = mix(s, [2, 3, 1, 1]);
        }
        s = xor(s, *key);
    }
    s
}

/// One block (FIPS 197, section 5.3).
#[must_use]
pub fn decrypt(round_keys: &[[u8; 16]], block: [u8; 16]) -> [u8; 16] {
    let last = round_keys.len() - 1;
    let mut s = xor(block, round_keys[last]);
    for (round, key) in round_keys.iter().enumerate().rev().skip(1) {
        let shifted: [u8; 16] = std::array::from_fn(|p| s[(p + 12 * (p % 4)) % 16]);
        s = xor(shifted.map(|b| INV_SBOX[usize::from(b)]), *key);
        if round > 0 {
            s = mix(s, [14, 11, 13, 9]);
        }
    }
    s
}

fn xor(a: [u8; 16], b: [u8; 16]) -> [u8; 16] {
    std::array::from_fn(|p| a[p] ^ b[p])
}

fn mix(s: [u8; 16], row: [u8; 4]) -> [u8; 16] {
    std::array::from_fn(|p| (0..4).fold(0, |sum, k| sum ^ gmul(s[p / 4 * 4 + (p + k) % 4], row[k])))
}
