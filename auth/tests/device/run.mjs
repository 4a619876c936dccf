// Reads one task as JSON from standard input and answers as JSON: the page's scripts, run by node.
import { readFileSync } from 'node:fs';
import { fromHex, toHex, toBytes, toNumber } from '../../web/bytes.js';
import { combine, encodeCeremony, generate, readDevice, readPartials, signPart, split } from '../../web/rsa.js';
import { sealTo } from '../../web/seal.js';

const tasks = {
  async split() {
    const { device, nodes, recovery } = await split(await generate());
    return { device: toHex(device), nodes: nodes.map(toHex), recovery: toHex(recovery) };
  },
  async sign({ device, data, hash }) {
    const key = readDevice(fromHex(device));
    const encoded = await encodeCeremony(key.bits, fromHex(data), fromHex(hash));
    return { encoded: toHex(toBytes(encoded, 256)), part: toHex(toBytes(signPart(key, encoded), 256)) };
  },
  async combine({ device, encoded, part, partials }) {
    const key = readDevice(fromHex(device));
    const nodes = await Promise.all(partials.map((bytes) => bytes && readPartials(key, fromHex(bytes))));
    try {
      return { signature: toHex(combine(key, toNumber(fromHex(encoded)), toNumber(fromHex(part)), nodes)) };
    } catch (error) {
      return { error: error.message };
    }
  },
  async seal({ point, info, bound, body, ephemeral }) {
    const curve = { name: 'ECDH', namedCurve: 'P-256' };
    const privateKey = await crypto.subtle.importKey('jwk', ephemeral, curve, false, ['deriveBits']);
    const { d, ...open } = ephemeral;
    const publicKey = await crypto.subtle.importKey('jwk', open, curve, true, []);
    return { sealed: toHex(await sealTo(...[point, info, bound, body].map(fromHex), { privateKey, publicKey })) };
  },
};

const { task, ...given } = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(await tasks[task](given)));
