// The device's part of split-key RSA: making a key and splitting it, partial signatures, and putting them together.
// The same split, ranges and binary forms as the crate `trefoil-auth`, whose documentation has the reasons.
//
// Numbers are BigInts, whose operations take a time that depends on their values, and whose memory is the browser's to erase. A page can do no better in script; a program on the device should use the crate.
// Against timing, each signature divides the exponent anew into two random parts.

import { concat, equal, fromBase64url, random, sha256, toBytes, toNumber, utf8 } from './bytes.js';

const E = 65537n;
const SIZES = [2048, 3072, 4096];
const KIND = { nodeKey: 1, deviceKey: 2, recoveryKey: 3, nodePartials: 5 };
/** Bits that exponents are longer than the modulus. */
const MARGIN = 192;
/** Bits that random components are longer than the modulus. */
const RANGE = 187;
/** The shift of phi(N) in the total. */
const MULTIPLE = 191n;

function header(kind, bits) {
  return concat(utf8('TRSA'), Uint8Array.of(1, kind, bits >> 8, bits & 255));
}

/** base^exponent modulo the modulus, in windows of five bits. */
export function power(base, exponent, modulus) {
  const table = [1n];
  for (let k = 1; k < 32; k += 1) {
    table.push((table[k - 1] * base) % modulus);
  }
  const bits = exponent.toString(2);
  const padded = bits.padStart(Math.ceil(bits.length / 5) * 5, '0');
  let result = 1n;
  for (let at = 0; at < padded.length; at += 5) {
    for (let k = 0; k < 5; k += 1) {
      result = (result * result) % modulus;
    }
    result = (result * table[parseInt(padded.slice(at, at + 5), 2)]) % modulus;
  }
  return result;
}

/** Uniform below 2^bits. */
const uniform = (bits) => BigInt.asUintN(bits, toNumber(random(Math.ceil(bits / 8))));

/** The public base that shares are checked with. */
async function checkBase(modulus, bits) {
  const n = toBytes(modulus, bits / 8);
  const blocks = [];
  for (let i = 0; 256 * i < bits; i += 1) {
    blocks.push(await sha256(utf8('trefoil-auth rsa check base v1'), Uint8Array.of(0, 0, 0, i), n));
  }
  const bytes = concat(...blocks).slice(0, bits / 8);
  bytes[0] &= 0x7f;
  const root = toNumber(bytes);
  return (root * root) % modulus;
}

/**
 * A new RSA key, whole: it is to be split at once. The browser makes its primes.
 *
 * @param {number} bits 2048, 3072 or 4096
 */
export async function generate(bits = 2048) {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', modulusLength: bits, publicExponent: Uint8Array.of(1, 0, 1), hash: 'SHA-256' };
  const pair = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const jwk = await crypto.subtle.exportKey('jwk', pair.privateKey);
  const [modulus, p, q] = [jwk.n, jwk.p, jwk.q].map((text) => toNumber(fromBase64url(text)));
  const spki = new Uint8Array(await crypto.subtle.exportKey('spki', pair.publicKey));
  return { bits, modulus, p, q, spki };
}

/**
 * Splits a key: `device`, `nodes` (in party order) and `recovery`, each in its binary form.
 *
 * @param {{bits: number, modulus: bigint, p: bigint, q: bigint}} key
 */
export async function split({ bits, modulus, p, q }) {
  if (!SIZES.includes(bits) || p * q !== modulus || modulus >> BigInt(bits - 1) !== 1n) {
    throw new RangeError('this is no key of 2048, 3072 or 4096 bits');
  }
  const phi = (p - 1n) * (q - 1n);
  // d = (1 + k phi) / e with k = -1 / phi mod e, which is prime.
  const k = (E - power(phi % E, E - 2n, E)) % E;
  const d = (1n + k * phi) / E;
  if ((d * E) % phi !== 1n) {
    throw new RangeError('65537 has no inverse for this key; make another');
  }
  const total = d + (phi << MULTIPLE);
  const [device, first, second] = [0, 1, 2].map(() => uniform(bits + RANGE));
  const third = total - device - first - second;
  const check = power(await checkBase(modulus, bits), device, modulus);

  const n = toBytes(modulus, bits / 8);
  const exponent = (number) => toBytes(number, (bits + MARGIN) / 8);
  const share = (kind, number) => concat(header(kind, bits), n, exponent(number));
  const components = [first, second, third].map(exponent);
  const node = (party) => {
    const epoch = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1);
    const held = concat(components[party], components[(party + 1) % 3]);
    return concat(header(KIND.nodeKey, bits), Uint8Array.of(party), epoch, n, toBytes(check, bits / 8), held, Uint8Array.of(0));
  };
  return {
    device: share(KIND.deviceKey, device),
    nodes: [0, 1, 2].map(node),
    recovery: share(KIND.recoveryKey, total - 2n * device),
  };
}

/** Reads a device's share. */
export function readDevice(bytes) {
  const bits = (bytes[6] << 8) | bytes[7];
  const length = 8 + bits / 8 + (bits + MARGIN) / 8;
  if (!SIZES.includes(bits) || bytes.length !== length || !equal(bytes.slice(0, 8), header(KIND.deviceKey, bits))) {
    throw new RangeError('this is no key share of a device');
  }
  const modulus = toNumber(bytes.slice(8, 8 + bits / 8));
  return { bits, modulus, share: toNumber(bytes.slice(8 + bits / 8)) };
}

/** The modulus of a key, big-endian. */
export const modulusBytes = ({ bits, modulus }) => toBytes(modulus, bits / 8);

/** EMSA-PKCS1-v1_5 (RFC 8017, section 9.2) of the SHA-256 digest of what a ceremony signs, as a number. */
export async function encodeCeremony(bits, authenticatorData, clientDataHash) {
  if (authenticatorData.length < 37 || clientDataHash.length !== 32) {
    throw new RangeError('authenticatorData has 37 bytes or more, and a hash has 32');
  }
  const digest = await sha256(authenticatorData, clientDataHash);
  const info = Uint8Array.of(0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20);
  const padding = new Uint8Array(bits / 8 - info.length - digest.length - 3).fill(0xff);
  return toNumber(concat(Uint8Array.of(0, 1), padding, Uint8Array.of(0), info, digest));
}

/** The device's part of a signature. */
export function signPart({ bits, modulus, share }, encoded) {
  const part = uniform(bits + RANGE + 64) % share;
  return (power(encoded, part, modulus) * power(encoded, share - part, modulus)) % modulus;
}

/** Reads what a node sent: its partial signatures of one epoch. */
export async function readPartials(key, bytes) {
  const length = key.bits / 8;
  const id = await sha256(modulusBytes(key));
  const good = bytes.length === 48 + 2 * length && equal(bytes.slice(0, 8), header(KIND.nodePartials, key.bits));
  if (!good || !equal(bytes.slice(8, 40), id)) {
    throw new RangeError('a node sent something else than its parts of a signature of this key');
  }
  const value = (at) => toNumber(bytes.slice(48 + at * length, 48 + (at + 1) * length));
  return { epoch: toNumber(bytes.slice(40, 48)), values: [value(0), value(1)] };
}

/**
 * Puts the device's part and those of two or three nodes together, and gives the signature only if it verifies.
 *
 * @param {{bits: number, modulus: bigint}} key
 * @param {bigint} encoded
 * @param {bigint} device
 * @param {({epoch: bigint, values: bigint[]}|null)[]} nodes in party order, null for one that did not reply
 */
export function combine(key, encoded, device, nodes) {
  const { modulus } = key;
  for (const epoch of new Set(nodes.filter(Boolean).map((node) => node.epoch))) {
    const of = (party, at) => (nodes[party]?.epoch === epoch ? [nodes[party].values[at]] : []);
    const values = (component) => [...new Set([...of(component, 0), ...of((component + 2) % 3, 1)])];
    for (const a of values(0)) {
      for (const b of values(1)) {
        for (const c of values(2)) {
          const signature = (((((device * a) % modulus) * b) % modulus) * c) % modulus;
          if (power(signature, E, modulus) === encoded) {
            return toBytes(signature, key.bits / 8);
          }
        }
      }
    }
  }
  throw new Error('the parts make no signature: two nodes have to reply, and the device share has to be in use');
}
