// Verifies ceremonies with @simplewebauthn/server; see ../verifiers.rs, which makes them.
//
// Reads the path of a JSON file, and prints one line for each: `VERIFIER CEREMONY NAME accepted|refused`.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [path, modules] = process.argv.slice(2);
const resolved = createRequire(modules + "/").resolve("@simplewebauthn/server");
const { verifyRegistrationResponse, verifyAuthenticationResponse } = await import(pathToFileURL(resolved));

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
