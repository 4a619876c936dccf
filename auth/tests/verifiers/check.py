"""Verifies ceremonies with python-fido2 and py_webauthn, and tokens with PyJWT; see ../verifiers.rs, which makes them.

Reads the path of a JSON file, and prints one line for each: `VERIFIER CEREMONY NAME accepted|refused`.
"""

import json
import sys

import jwt
import webauthn
from fido2.attestation import Attestation
from fido2.server import Fido2Server
from fido2.utils import websafe_decode
from fido2.webauthn import AttestedCredentialData, PublicKeyCredentialRpEntity


def fido2_server(case):
    def attested(attestation_object, client_data_hash):
        verifier = Attestation.for_type(attestation_object.fmt)()
        verifier.verify(attestation_object.att_stmt, attestation_object.auth_data, client_data_hash)

    return Fido2Server(
        PublicKeyCredentialRpEntity(id=case["rpId"], name="Example"),
        attestation="direct",
        verify_origin=lambda origin: origin == case["origin"],
        verify_attestation=attested,
    )


def with_fido2(case, ceremony, response, known):
    server = fido2_server(case)
    state = {"challenge": case["challenge"], "user_verification": "required"}
    if ceremony == "registration":
        server.register_complete(state, response)
    else:
        server.authenticate_complete(state, [known["fido2"]], response)


def with_py_webauthn(case, ceremony, response, known):
    common = dict(
        credential=response,
        expected_challenge=websafe_decode(case["challenge"]),
        expected_rp_id=case["rpId"],
        expected_origin=case["origin"],
        require_user_verification=True,
    )
    if ceremony == "registration":
        webauthn.verify_registration_response(**common)
    else:
        webauthn.verify_authentication_response(
            credential_public_key=known["public_key"], credential_current_sign_count=known["count"], **common
        )


def with_pyjwt(case, token):
    key = jwt.PyJWKSet.from_dict(case["keys"])[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token,
        key,
        algorithms=["RS256"],
        audience=case["audience"],
        issuer=case["issuer"],
        options={"require": ["iss", "sub", "aud", "iat", "exp", "nonce", "jti", "auth_time"]},
    )
    # What was asked for is the relying party's to compare.
    if claims["nonce"] != case["nonce"]:
        raise ValueError("another nonce")


def main():
    case = json.load(open(sys.argv[1]))
    data = fido2_server(case).register_complete(
        {"challenge": case["challenge"], "user_verification": "required"}, case["registration"]["good"]
    )
    known = {"fido2": data.credential_data, "count": data.counter}
    assert isinstance(known["fido2"], AttestedCredentialData)
    known["public_key"] = webauthn.verify_registration_response(
        credential=case["registration"]["good"],
        expected_challenge=websafe_decode(case["challenge"]),
        expected_rp_id=case["rpId"],
        expected_origin=case["origin"],
    ).credential_public_key
    for ceremony in ("registration", "authentication"):
        for name, response in case[ceremony].items():
            for verifier, verify in (("python-fido2", with_fido2), ("py_webauthn", with_py_webauthn)):
                try:
                    verify(case, ceremony, response, known)
                    outcome = "accepted"
                except Exception as error:  # each library has exceptions of its own; what they say is printed
                    outcome = "refused"
                    print(verifier, ceremony, name, repr(error), file=sys.stderr)
                print(verifier, ceremony, name, outcome)
    for name, token in case["token"]["tokens"].items():
        try:
            with_pyjwt(case["token"], token)
            outcome = "accepted"
        except Exception as error:
            outcome = "refused"
            print("PyJWT", "token", name, repr(error), file=sys.stderr)
        print("PyJWT", "token", name, outcome)


main()
