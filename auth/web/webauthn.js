// What a relying party is told (W3C WebAuthn Level 3), made by the page, for keys whose nodes make the same bytes themselves.

import { concat, fromBase64url, sha256, toBase64url, toBytes, utf8 } from './bytes.js';

const FLAGS = { present: 1, verified: 4, eligible: 8, backedUp: 16, attested: 64 };

/** `collectedClientData` in the bytes that are hashed (section 5.8.1.1). `kind` is `webauthn.create` or `webauthn.get`. */
export function clientData(kind, challenge, origin) {
  const text = (value) => JSON.stringify(value);
  return utf8(`{"type":${text(kind)},"challenge":${text(challenge)},"origin":${text(origin)},"crossOrigin":false}`);
}

/** Authenticator data of an assertion (section 6.1). */
export async function authenticatorData(rpId, count, { verified = false, eligible = false, backedUp = false } = {}) {
  let flags = FLAGS.present;
  flags |= verified ? FLAGS.verified : 0;
  flags |= eligible ? FLAGS.eligible : 0;
  flags |= backedUp ? FLAGS.backedUp : 0;
  return concat(await sha256(utf8(rpId)), Uint8Array.of(flags), toBytes(BigInt(count), 4));
}

/** The same with a new credential: no model of authenticator is claimed, the key is one for RS256 in COSE's form. */
function attesting(data, id, modulus) {
  const whole = data.slice();
  whole[32] |= FLAGS.attested;
  const key = concat(
    Uint8Array.of(0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20),
    byteString(modulus),
    Uint8Array.of(0x21),
    byteString(Uint8Array.of(1, 0, 1)),
  );
  return concat(whole, new Uint8Array(16), toBytes(BigInt(id.length), 2), id, key);
}

/** A byte string in CBOR, of fewer than 65,536 bytes. */
function byteString(bytes) {
  const { length } = bytes;
  if (length < 24) {
    return concat(Uint8Array.of(0x40 | length), bytes);
  }
  return length < 256 ? concat(Uint8Array.of(0x58, length), bytes) : concat(Uint8Array.of(0x59, length >> 8, length & 255), bytes);
}

/** `RegistrationResponseJSON` without attestation. `data` is that of an assertion, with the first count. */
export function registration({ id, modulus, spki, clientData: client, data }) {
  const attested = attesting(data, id, modulus);
  const head = concat(Uint8Array.of(0xa3, 0x63), utf8('fmt'), Uint8Array.of(0x64), utf8('none'), Uint8Array.of(0x67), utf8('attStmt'));
  const object = concat(head, Uint8Array.of(0xa0, 0x68), utf8('authData'), byteString(attested));
  return {
    ...named(id),
    response: {
      clientDataJSON: toBase64url(client),
      authenticatorData: toBase64url(attested),
      attestationObject: toBase64url(object),
      publicKey: toBase64url(spki),
      publicKeyAlgorithm: -257,
      transports: ['internal'],
    },
  };
}

/** `AuthenticationResponseJSON`. */
export function authentication({ id, user, clientData: client, data, signature }) {
  return {
    ...named(id),
    response: {
      clientDataJSON: toBase64url(client),
      authenticatorData: toBase64url(data),
      signature: toBase64url(signature),
      userHandle: toBase64url(user),
    },
  };
}

function named(id) {
  const text = toBase64url(id);
  return { id: text, rawId: text, type: 'public-key', authenticatorAttachment: 'platform', clientExtensionResults: {} };
}

/** The ids that a relying party takes. */
export const allowed = (options) => (options.allowCredentials ?? []).map(({ id }) => fromBase64url(id));
