// HPKE (RFC 9180), base mode, one message: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM.

import { concat, fromHex, utf8 } from './bytes.js';

const KEM = concat(utf8('KEM'), Uint8Array.of(0x00, 0x10));
const SUITE = concat(utf8('HPKE'), Uint8Array.of(0x00, 0x10, 0x00, 0x01, 0x00, 0x01));
const P256 = { name: 'ECDH', namedCurve: 'P-256' };
const NONE = new Uint8Array(0);

async function hmac(key, ...parts) {
  // HKDF's key is 32 zeros where there is no salt; HMAC takes no empty key, and pads one with zeros anyway.
  const bytes = key.length === 0 ? new Uint8Array(32) : key;
  const imported = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', imported, concat(...parts)));
}

const extract = (suite, salt, label, secret) => hmac(salt, utf8('HPKE-v1'), suite, utf8(label), secret);

// At most one block is asked for.
async function expand(suite, key, label, info, length) {
  const header = concat(Uint8Array.of(0, length), utf8('HPKE-v1'), suite, utf8(label));
  return (await hmac(key, header, info, Uint8Array.of(1))).slice(0, length);
}

/**
 * Seals `body` to the owner of an uncompressed point on P-256.
 *
 * @param {Uint8Array} point 65 bytes
 * @param {Uint8Array} info what the key is derived for
 * @param {Uint8Array} bound additional data
 * @param {Uint8Array} body
 * @param {CryptoKeyPair} [pair] the ephemeral key, for test vectors alone
 * @returns {Promise<Uint8Array>} the ephemeral public key, then the ciphertext
 */
export async function sealTo(point, info, bound, body, pair) {
  const receiver = await crypto.subtle.importKey('raw', point, P256, false, []);
  const ephemeral = pair ?? (await crypto.subtle.generateKey(P256, false, ['deriveBits']));
  const encapsulated = new Uint8Array(await crypto.subtle.exportKey('raw', ephemeral.publicKey));
  const shared = await crypto.subtle.deriveBits({ name: 'ECDH', public: receiver }, ephemeral.privateKey, 256);
  const secret = await expand(
    KEM,
    await extract(KEM, NONE, 'eae_prk', new Uint8Array(shared)),
    'shared_secret',
    concat(encapsulated, point),
    32,
  );
  const context = concat(
    Uint8Array.of(0),
    await extract(SUITE, NONE, 'psk_id_hash', NONE),
    await extract(SUITE, NONE, 'info_hash', info),
  );
  const schedule = await extract(SUITE, secret, 'secret', NONE);
  const key = await expand(SUITE, schedule, 'key', context, 16);
  const iv = await expand(SUITE, schedule, 'base_nonce', context, 12);
  const aes = await crypto.subtle.importKey('raw', key, 'AES-GCM', false, ['encrypt']);
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv, additionalData: bound }, aes, body);
  return concat(encapsulated, new Uint8Array(sealed));
}

/**
 * Seals the body of a request to one node. Send it with Content-Type `application/vnd.trefoil.sealed` and Sealed-Type `mediaType`.
 *
 * @param {{party: number, public: string}} key what `GET /v1/seal-key` of that node says
 */
export function sealRequest(key, method, path, mediaType, body) {
  const info = utf8(`trefoil/v1/sealed to P${key.party}`);
  return sealTo(fromHex(key.public), info, utf8(`${method} ${path} ${mediaType}`), body);
}
