// Verifies ceremonies with @simplewebauthn/server, and tokens with jose; see ../verifiers.rs, which makes them.
//
// Reads the path of a JSON file, and prints one line for each: `VERIFIER CEREMONY NAME accepted|refused`.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [path, modules] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(createRequire(modules + "/").resolve(name)));
const { verifyRegistrationResponse, verifyAuthenticationResponse } = await load("@simplewebauthn/server");
const { createLocalJWKSet, jwtVerify } = await load("jose");

const given = JSON.parse(readFileSync(path, "utf8"));
const common = { expectedChallenge: given.challenge, expectedOrigin: given.origin, expectedRPID: given.rpId };
const register = (response) => verifyRegistrationResponse({ response, ...common });
const { credential } = (await register(given.registration.good)).registrationInfo;
const verifiers = {
  registration: register,
  authentication: (response) => verifyAuthenticationResponse({ response, credential, ...common }),
};

for (const [ceremony, verify] of Object.entries(verifiers)) {
  for (const [name, response] of Object.entries(given[ceremony])) {
    let verified = false;
    try {
      ({ verified } = await verify(response));
    } catch (error) {
      console.error("@simplewebauthn/server", ceremony, name, String(error));
    }
    console.log("@simplewebauthn/server", ceremony, name, verified ? "accepted" : "refused");
  }
}

const { issuer, audience, nonce, keys, tokens } = given.token;
const requiredClaims = ["iss", "sub", "aud", "iat", "exp", "nonce", "jti", "auth_time"];
for (const [name, token] of Object.entries(tokens)) {
  let verified = false;
  try {
    const options = { issuer, audience, algorithms: ["RS256"], typ: "JWT", requiredClaims };
    const { payload } = await jwtVerify(token, createLocalJWKSet(keys), options);
    // What was asked for is the relying party's to compare.
    verified = payload.nonce === nonce;
  } catch (error) {
    console.error("jose", "token", name, String(error));
  }
  console.log("jose", "token", name, verified ? "accepted" : "refused");
}
