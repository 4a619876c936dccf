//! Keys and blocks on shares do not print.

use trefoil_circuits::aes::{KeySize, SboxForm, State, expand_key};
use trefoil_engine::{prelude::*, testing::three};

#[test]
fn keys_and_blocks_print_their_shape_alone() {
    let key = [Lanes(0x1c9d_e2a7_58f3_6b04), Lanes(0xb3e5_71ca_0d98_42f6)];
    let texts = three::<SemiHonest, _, _>(async |mut ctx| {
        let shared = Shares::public(ctx.me(), &key);
        let keys = expand_key(&mut ctx, SboxForm::default(), KeySize::Aes128, shared.view()).await?;
        let (forward, backward) = (keys.for_encryption(ctx.me())?, keys.for_decryption(ctx.me())?);
        let state = State::from_blocks(shared.view())?;
        Ok([format!("{keys:?}"), format!("{forward:?}"), format!("{backward:?}"), format!("{state:?}")])
    });
    for [keys, forward, backward, state] in texts {
        let shares = ["Shares<Lanes>[128]"; 11].join(", ");
        assert_eq!(keys, format!("RoundKeys {{ size: Aes128, keys: [{shares}] }}"));
        assert_eq!(forward, format!("EncryptionKeys {{ keys: [{shares}] }}"));
        assert_eq!(backward, format!("DecryptionKeys {{ keys: [{shares}] }}"));
        assert_eq!(state, "State { planes: Shares<Lanes>[128], blocks: 1 }");
    }
}
