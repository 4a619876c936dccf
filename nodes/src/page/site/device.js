// The device's part in this browser: where its share is kept, its eye, and what it asks of the nodes.

import { concat, fromBase64url, random, sha256, toBase64url, toHex, utf8 } from './bytes.js';
import { combine, encodeCeremony, generate, modulusBytes, readDevice, readPartials, signPart, split } from './rsa.js';
import { sealRequest } from './seal.js';
import { body, irisBits, share, turned } from './template.js';
import { allowed, authentication, authenticatorData, clientData, registration } from './webauthn.js';

const PARTIES = [0, 1, 2];
const AUTH = 'application/vnd.trefoil.auth';
const KEY = 'application/vnd.trefoil.key';
const MATCHING = { kind: 'iris', threshold: '69/200' };

/** What failed at a node, in its own words. */
const nodeError = (party, problem) => new Error(`P${party}: ${problem.detail ?? problem.title ?? 'no answer'}`);

/** An eye that a name stands for: its iris code and mask. */
async function eye(name) {
  const blocks = [];
  for (let k = 0; 32 * k < 1600; k += 1) {
    blocks.push(await sha256(utf8(`eye ${k} ${name}`)));
  }
  // Lids cover the eight outer rows for a sixth of the columns.
  const mask = new Uint8Array(800).fill(255);
  for (let row = 8; row < 16; row += 1) {
    mask.fill(0, row * 50 + 20, row * 50 + 28);
  }
  return { code: concat(...blocks), mask };
}

/** One look at an eye: turned by up to three columns, and each bit wrong with a chance of one in six. */
async function look(name) {
  const { code, mask } = await eye(name);
  const noise = new Uint8Array(code.length);
  const draws = random(8 * code.length);
  draws.forEach((draw, at) => {
    noise[at >> 3] |= (draw < 43 ? 1 : 0) << (at & 7);
  });
  const by = (random(1)[0] % 7) - 3;
  const seen = code.map((byte, k) => byte ^ noise[k]);
  return irisBits(turned(seen, 4, by), turned(mask, 2, by));
}

/** Sends each node its own body, sealed to it. Gives what each answered, or the error. */
async function toNodes(method, path, mediaType, bodies) {
  const one = async (party) => {
    const at = `/nodes/${party}${path}`;
    const key = await (await fetch(`/nodes/${party}/v1/seal-key`)).json();
    if (key.party !== party) {
      throw nodeError(party, key);
    }
    const sealed = await sealRequest(key, method, path, mediaType, bodies[party]);
    const headers = { 'Content-Type': 'application/vnd.trefoil.sealed', 'Sealed-Type': mediaType };
    const answer = await fetch(at, { method, headers, body: sealed });
    const text = await answer.text();
    const told = text ? JSON.parse(text) : {};
    if (!answer.ok) {
      throw nodeError(party, told);
    }
    return told;
  };
  return Promise.allSettled(PARTIES.map(one));
}

function all(answers) {
  const refused = answers.find(({ status }) => status === 'rejected');
  if (refused) {
    throw refused.reason;
  }
  return answers.map(({ value }) => value);
}

/** A vault in this browser: shares are encrypted under a key that scripts can use and not read. */
async function vault() {
  const opened = await new Promise((resolve, reject) => {
    const request = indexedDB.open('trefoil', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('devices');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const run = (mode, work) =>
    new Promise((resolve, reject) => {
      const transaction = opened.transaction('devices', mode);
      const request = work(transaction.objectStore('devices'));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = () => reject(transaction.error);
    });
  return {
    async put(account, { device, ...open }) {
      const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
      const iv = random(12);
      const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, device);
      await run('readwrite', (devices) => devices.put({ ...open, key, iv, sealed }, account));
    },
    async get(account) {
      const found = await run('readonly', (devices) => devices.get(account));
      if (!found) {
        return null;
      }
      const device = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: found.iv }, found.key, found.sealed);
      return { ...found, device: new Uint8Array(device) };
    },
    /** The number for a signature: the time in seconds, or one more than the last one if that is larger. */
    async count(account) {
      const kept = await run('readonly', (devices) => devices.get(account));
      const count = Math.max(Math.floor(Date.now() / 1000), (kept.count ?? 0) + 1);
      await run('readwrite', (devices) => devices.put({ ...kept, count }, account));
      return count;
    },
  };
}

/**
 * Registers: a new key, its shares and the template at the nodes, and what the relying party is told.
 *
 * @param {string} account
 * @param {string} eyeName what stands for an eye
 * @param {{options: object, name: string}} asked `PublicKeyCredentialCreationOptionsJSON`, and the name under which the nodes keep template and key
 * @param {(text: string) => void} say tells the user what happens
 */
export async function register(account, eyeName, { options, name }, say) {
  say('making an RSA key of 2,048 bits in this browser');
  const whole = await generate();
  const { device, nodes } = await split(whole);
  say('splitting it: one share for this browser, one for each node; the key itself is forgotten');
  const enrolment = toHex(random(16));
  const keys = nodes.map((node) => body({ enrolment }, node));
  all(await toNodes('PUT', `/v1/keys/${name}?exchange=${toHex(random(16))}`, KEY, keys));
  say('the nodes have compared their shares: copies are equal, and together with this browser they sign');
  const shares = share(await look(eyeName));
  const bodies = shares.map((bits) => body({ session: enrolment, matching: MATCHING }, bits));
  all(await toNodes('PUT', `/v1/auth/users/${name}/templates/eye`, AUTH, bodies));
  say('the template is at the nodes, each of which has random bits');
  const id = random(32);
  const key = readDevice(device);
  const data = await authenticatorData(options.rp.id, 0);
  const client = clientData('webauthn.create', options.challenge, location.origin);
  await (await vault()).put(account, { device, id, user: fromBase64url(options.user.id) });
  return registration({ id, modulus: modulusBytes(key), spki: whole.spki, clientData: client, data });
}

/**
 * Logs in: a probe for the nodes, and a signature of theirs and this browser's.
 *
 * @param {string} account
 * @param {string} eyeName what stands for an eye
 * @param {{options: object, owner: string}} asked `PublicKeyCredentialRequestOptionsJSON`, and the client whose credential it is at the nodes
 * @param {(text: string) => void} say tells the user what happens
 */
export async function login(account, eyeName, { options, owner }, say) {
  const devices = await vault();
  const kept = await devices.get(account);
  const known = kept && allowed(options).some((id) => toBase64url(id) === toBase64url(kept.id));
  if (!known) {
    throw new Error('this browser has no share of that account’s key: register here, or use the browser that did');
  }
  say('looking at the eye and splitting the probe');
  const shares = share(await look(eyeName));
  const count = await devices.count(account);
  const credential = toBase64url(kept.id);
  const ceremony = { get: options };
  const origin = location.origin;
  const specification = { owner, credential, ceremony, origin, count, expires_ms: Date.now() + 60_000, probe: 'iris' };
  const bodies = shares.map((bits) => body(specification, bits));
  const answers = await toNodes('PUT', `/v1/auth/logins/${toHex(random(16))}`, AUTH, bodies);
  const part = ({ status, value }) => {
    try {
      return status === 'fulfilled' ? fromBase64url(value.parts) : null;
    } catch {
      return null;
    }
  };
  const signed = answers.map(part);
  if (signed.filter(Boolean).length < 2) {
    all(answers);
  }
  say('the nodes found a match without seeing probe or template, and each has signed with its share');
  const key = readDevice(kept.device);
  const data = await authenticatorData(options.rpId, count, { verified: true });
  const client = clientData('webauthn.get', options.challenge, origin);
  const encoded = await encodeCeremony(key.bits, data, await sha256(client));
  const partials = await Promise.all(signed.map((bytes) => bytes && readPartials(key, bytes).catch(() => null)));
  const signature = combine(key, encoded, signPart(key, encoded), partials);
  say('this browser has signed with its share; the product is an ordinary RS256 signature');
  return authentication({ id: kept.id, user: kept.user, clientData: client, data, signature });
}
