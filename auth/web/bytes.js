// Bytes, numbers and base64url.

/** @param {...Uint8Array} parts */
export function concat(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {string} text in ASCII or any other characters @returns its UTF-8 */
export const utf8 = (text) => new TextEncoder().encode(text);

/** @param {number} length @returns random bytes of the browser's cryptographic generator */
export function random(length) {
  const bytes = new Uint8Array(length);
  // A call gives 65,536 bytes at most.
  for (let at = 0; at < length; at += 65536) {
    crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65536, length)));
  }
  return bytes;
}

/** Big-endian bytes of `length`. Throws if the number is longer. */
export function toBytes(number, length) {
  const digits = number.toString(16).padStart(2 * length, '0');
  if (number < 0n || digits.length > 2 * length) {
    throw new RangeError(`a number does not fit ${length} bytes`);
  }
  return fromHex(digits);
}

/** The number of big-endian bytes. */
export const toNumber = (bytes) => (bytes.length === 0 ? 0n : BigInt(`0x${toHex(bytes)}`));

export const toHex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

export function fromHex(digits) {
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) {
    throw new RangeError('these are no hexadecimal digits');
  }
  return Uint8Array.from({ length: digits.length / 2 }, (_, k) => parseInt(digits.slice(2 * k, 2 * k + 2), 16));
}

export function toBase64url(bytes) {
  let text = '';
  for (const byte of bytes) {
    text += String.fromCharCode(byte);
  }
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

export function fromBase64url(text) {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
}

export async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', concat(...parts)));
}

/** Whether two byte strings are the same. Not for secrets. */
export const equal = (a, b) => a.length === b.length && a.every((byte, k) => byte === b[k]);
