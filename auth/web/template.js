// Iris codes as the nodes take them, and bits as shares.

import { concat, random, toBytes, utf8 } from './bytes.js';

const COLUMNS = 200;
const HEIGHT = 32;
const CODE_BYTES = 1600;
const MASK_BYTES = 800;

const bit = (bytes, at) => (bytes[at >> 3] >> (at & 7)) & 1;

/**
 * The bits of an iris code in the nodes' order: column by column, of each pair of code bits that a mask bit covers the first, then the second, then the mask.
 *
 * @param {Uint8Array} code 1,600 bytes: 16 rows of 200 columns of four bits, the lowest bit of a byte first
 * @param {Uint8Array} mask 800 bytes: the same with two bits, each for two neighbouring bits of the code
 * @returns {Uint8Array} 2,400 bytes
 */
export function irisBits(code, mask) {
  if (code.length !== CODE_BYTES || mask.length !== MASK_BYTES) {
    throw new RangeError('an iris code has 1,600 bytes, and its mask 800');
  }
  const bits = new Uint8Array(3 * MASK_BYTES);
  const set = (part, at, value) => {
    bits[part * MASK_BYTES + (at >> 3)] |= value << (at & 7);
  };
  for (let column = 0; column < COLUMNS; column += 1) {
    for (let i = 0; i < HEIGHT; i += 1) {
      const usual = ((i >> 1) * COLUMNS + column) * 2 + (i & 1);
      const at = HEIGHT * column + i;
      set(0, at, bit(code, 2 * usual));
      set(1, at, bit(code, 2 * usual + 1));
      set(2, at, bit(mask, usual));
    }
  }
  return bits;
}

/** An iris code turned by some columns around the circle; of each row as many bits of a column as `each`. */
export function turned(bytes, each, columns) {
  const result = new Uint8Array(bytes.length);
  const row = COLUMNS * each;
  for (let at = 0; at < 8 * bytes.length; at += 1) {
    const from = at - (at % row) + ((((at % row) + columns * each) % row) + row) % row;
    result[at >> 3] |= bit(bytes, from) << (at & 7);
  }
  return result;
}

/**
 * Splits bytes into three components whose XOR they are, two of them random.
 *
 * @returns {Uint8Array[]} for each node, in party order, its own component and then the next one's
 */
export function share(bytes) {
  const [first, second] = [random(bytes.length), random(bytes.length)];
  const third = bytes.map((byte, k) => byte ^ first[k] ^ second[k]);
  const components = [first, second, third];
  return components.map((own, party) => concat(own, components[(party + 1) % 3]));
}

/** A body of the nodes' API: a specification as JSON with its length before it, then what follows. */
export function body(specification, ...rest) {
  const text = utf8(JSON.stringify(specification));
  return concat(toBytes(BigInt(text.length), 4).reverse(), text, ...rest);
}
