//! The manual: what the protocol is, what it promises, and what in the design stops each known class of attack.
//!
//! # 1. The protocol
//!
//! A secret `x = x_0 + x_1 + x_2` in a commutative ring is held so that party `i` knows `(x_i, x_{i+1})`. Linear maps are local.
//! A map `q` of degree two is computed as `z_i = q(x_i + x_{i+1}) - q(x_{i+1}) + zero_i`, where `zero_0 + zero_1 + zero_2 = 0` is drawn from keys
//! that neighbours share; then party `i` sends `z_i` to `i-1`, which makes the sharing replicated again. To open, party `i` sends
//! `x_{i+1}` to `i-1`, the one component that party lacks.
//!
//! # 2. What is promised in semi-honest mode
//!
//! Araki et al. (CCS 2016, theorem 3.3) prove the product private against one semi-honest party; the argument for `q` is the same
//! word for word, since it uses of `z_i` only that it is masked by `zero_i`. What a party receives in a round is `z_{i+1}`; the mask `zero_{i+1} = F(k_{i+1}) -
//! F(k_{i+2})` contains a stream under `k_{i+2}`, which party `i` does not hold, so `z_{i+1}` is indistinguishable from uniform and independent of everything
//! else the party has seen. The crate's privacy tests measure this, and measure that without the mask they fail.
//!
//! Not promised: that a party which deviates is noticed. That is the malicious mode's promise.
//!
//! # 3. What is promised in malicious mode
//!
//! **Security with abort** against one party that deviates in any way, and against clients that collude with it: it learns nothing but the outputs
//! meant for it, and no wrong value is opened or released, but with probability below `2^-57` for a whole job, of any size, beside its advantage
//! against AES-128 and SHA-256. *Not promised*: fairness or
//! delivery. A corrupt party can always end a job, also after it has seen its own output.
//!
//! What each verb relies on:
//!
//! | verb | promise | source, and where we depart |
//! |---|---|---|
//! | linear maps, [`random`](crate::Ctx::random) | local: nothing to check | Cramer, Damgard, Ishai (TCC 2005) |
//! | [`input`](crate::Ctx::input) | both holders of a component have the same one, or the job ends before it is used | Araki et al. (CCS 2016), section 2.2; compared by hash |
//! | [`quadratic`](crate::Ctx::quadratic), [`mul`](crate::Ctx::mul), [`sums_of_products`](crate::Ctx::sums_of_products), [`sums_of_terms`](crate::Ctx::sums_of_terms), [`matrix_vector`](crate::Ctx::matrix_vector), [`dots`](crate::Ctx::dots), [`dots_kept`](crate::Ctx::dots_kept) | private against a malicious party as they stand, and any error is *additive*: what `prev` receives is the right `z` plus an error that does not depend on secrets | Genkin et al. (STOC 2014); Furukawa et al. (Eurocrypt 2017), for any quadratic map |
//! | [`masks`](crate::Ctx::masks), [`unmask`](crate::Ctx::unmask) | what is unmasked is uniform to whoever sees it, also if gates before it were wrong; the part that is missing comes from one holder and its hash from the other | Mohassel, Rindal (CCS 2018), section 5.3; the argument is at the verb |
//! | [`check`](crate::Ctx::check), [`verify`](crate::Ctx::verify) | the errors of a batch are all zero | Boneh et al. (CRYPTO 2019); Boyle et al. (CCS 2019); departures below |
//! | [`open`](crate::Verified::open), [`reveal_to`](crate::Verified::reveal_to) | the component that is missing comes from one holder and its hash from the other | Furukawa et al. (Eurocrypt 2017) |
//! | [`output`](crate::Verified::output) | the client compares every doubly held component | Araki et al. (CCS 2016), section 2.2 |
//!
//! ## The statement
//!
//! With the kernel in two parts, `q = h + l`, of degree two and one, that party `i` sent the right message is
//!
//! ```text
//! h(x_i + x_{i+1}) = [z_i - l(x_i) - rho_i] + [h(x_{i+1}) + rho_{i+1}]
//! ```
//!
//! `prev` holds `x_i` and the first bracket, `next` holds `x_{i+1}` and the second, the prover holds everything. So the claim is about one vector, the prover's sum
//! `s = x_i + x_{i+1}`, which the verifiers share between them, and its value is shared between them too. Each party proves its own
//! messages and verifies those of the two others, in the same rounds, with the same coins.
//!
//! ## The proof of a batch
//!
//! 1. A coin gives weights. On bits: one for each output plane of a kind of gates, some for each block of up to 64 rows, and one for all odd words; a word of 64 bits is an
//!    element of `GF(2^64)` as it stands, since the powers of `x` are a basis. On integers: one for each output word of a block. The claims become one for each row: `<A_l, M A_l> = c_l`, where `A_l` is
//!    the row's part of `s` and `M` the weighted form, written as few products of an input and a linear form as a greedy choice of inputs finds.
//! 2. With `A(t)` the row that is linear in each of `r` variables and takes the rows' values at the corners, `Q(t) = <A(t), M A(t)>` has degree two in
//!    each variable. The prover shares its values on the grid `{0, 1, inf}^r` between the verifiers, but for the corners, which are the claims.
//!    `prev`'s half is drawn with the key it shares with the prover, `next`'s half is sent.
//! 3. A coin gives `t`. The verifiers fold what they hold, and their halves of the values to halves of `Q(t)`: one claim about shorter vectors.
//! 4. The same with the eighths of the vectors as rows, until 8 pairs are left. There the claim is a sum of rows, and the value of row 0 follows from it.
//! 5. The pairs are the values of two polynomials at `1 ..= 8`, each the sum of what the verifiers hold, with random values at 0: one part known to prover and `prev`,
//!    one to prover and `next`. The prover shares the product's values, but for one, which follows from the claim. At a random point that is none of `0 ..= 8`, the
//!    verifiers show each other what they have: the product of the two sums must be the value of the product.
//!
//! Products of matrices enter at step 4. With a weight for each row of both, `sum a_t b_j z_{tj} = <sum_t a_t X_t, sum_j b_j Y_j>`: all elements of such a product are one claim about
//! two vectors as long as a row (the idea is Freivalds', 1977), and that claim is added to the one that step 3 left of the gates. A matrix of one row needs no weights, since those of the other one are enough; its words stay words until the
//! first fold is done. A word of lanes is 64 elements, and each lane has a weight of its own beside those of the rows.
//!
//! The sources fold field elements, one for each gate; here everything is bit-sliced until the first fold is done. Integers modulo `2^k` are folded in
//! the Galois ring `GR(2^k, 64)`, whose residue field is the same `GF(2^64)` (Boyle et al., section 4.1). Weights and challenges are its points with
//! coefficients 0 and 1: to weight words of the first grid takes additions alone.
//!
//! **Theorem.** *If a message of a batch was wrong, the two honest parties reject but with probability below `2^-57`.* Step 1: the weights enter
//! with degree at most 4, so a wrong word leaves every row's claim right, or a wrong product of matrices its claim, with probability at most `4 / 2^64` (Schwartz, Zippel). Nor do they cancel: weights of gates and of matrices are
//! drawn apart, so the row's error is that of the matrices with the other sign with no greater probability. Step 2: two different
//! polynomials agree at `t` with probability at most `2 r / 2^64 <= 12 / 2^64`; with an error of matrices added, they are different if one row's is not its opposite. Step 4: `6 / 2^64` for each level, of which there are at most 9 in a batch that fits
//! in memory (the vectors shrink to an eighth in each). Step 5: `16 / (2^64 - 9)`. The sum is below `87 / 2^64 < 2^-57`. *A job has many batches and the bound holds
//! for it as it stands*: nothing is released unless all are accepted, so the first wrong batch has to be accepted, and that is the event
//! bounded above.
//!
//! **Privacy of the proof.** `prev` sees nothing but values it draws itself; `next` sees halves that are masked by draws it does not know. At the end the verifiers see each other's
//! parts of both folded vectors, each masked by a value of its own that only the other and the prover know, and halves of a value that is the product of the two sums. The
//! prover sees none of it.
//!
//! ## Coins
//!
//! A coin is `s_0 + s_1 + s_2`; `s_i` is drawn with the key that party `i` lacks, and is released to it by whoever received the message the coin judges: `prev` after the
//! gates, `next` after a proof. `prev` and `next` are different parties, so after the gates each party also tells `prev` that the messages of `next` are there, and nothing of the proofs begins before
//! that is heard: else the challenge of a proof could be learnt while messages of gates are kept back, and errors chosen that cancel at it. So no party knows a coin before all that it judges is out, and the
//! honest releasers have it by then. A releaser that lied could make the prover
//! fold with another challenge; therefore all coins of a batch are hashed and compared by each pair of parties before the last values are shown. Coins are thrown and not
//! derived by hashing the proof (Fiat and Shamir): over `GF(2^64)` a prover could try about `2^57` proofs at home until one fits.
//!
//! ## Who is named
//!
//! | what did not hold | who may have deviated |
//! |---|---|
//! | a frame's length, place or session | the peer it came from |
//! | the proof of prover `P` | `P`, or the other verifier |
//! | the coins | one of the two peers |
//! | an input's copies | the client, or the other holder |
//! | an opened component | one of its two holders, who are the two peers |
//! | the last comparison of [`verify`](crate::Ctx::verify) | one of the two peers |
//!
//! A failed check therefore says that one of the two others deviated, and not which: an honest party does not know more. Only a frame names its sender alone.
//!
//! ## Attacks
//!
//! | attack | what finds it |
//! |---|---|
//! | an additive error on a product, in any bit, word, row or plane | the product check: step 1 |
//! | a wrong value of a proof, at any level | the level's challenge, or the last comparison |
//! | a verifier that lies about what it folded | the last comparison; it can only make honest parties stop |
//! | messages of gates kept back until a challenge is known | the word of whoever awaits them, without which no challenge is released |
//! | a proof of another batch, a repeated, reordered or cut frame | fresh masks and coins; the link's tag, number and length |
//! | different challenges shown to different parties | the comparison of the coins |
//! | inconsistent inputs | the comparison of the copies, before use |
//! | a wrong opening, a wrong output to the client | the other holder's copy |
//! | a program that opens before the check | [`Verified`](crate::Verified), which only `verify` makes |
//! | another job or cluster file than the peers have | the digest compared when the session starts, which every key depends on |
//! | silence | the link's deadline; a job that ends releases nothing |
//!
//! Tests: `check::tests::faults` has each error on products, records, proofs, coins and their replay, `check::tests::matrices` errors on products of matrices, `check::tests::soundness` the best lies of a prover
//! against the computed probability at few points; `tests/copies.rs` inputs, openings and the last comparison; `tamper` of the circuits' crate ten
//! attacks on every frame of AES, a sum and a circuit file, and that without the check wrong values come out.
//!
//! # 4. What stops what
//!
//! | attack or mistake | what stops it |
//! |---|---|
//! | a share is sent, printed, cloned or serialized by a circuit | [`Shares`](crate::Shares) has no accessor, an opaque `Debug`, no `Clone`, no `Serialize`; circuits cannot name a link. The closures of `rearrange` and `update` see one component at a time: they are what a reviewer of a circuit reads |
//! | a value is opened before its gates are checked | only [`Verified`](crate::Verified) opens, and only [`Ctx::verify`](crate::Ctx::verify) makes one (of *some* strand: see the known limits); not of a strand forked from unchecked gates |
//! | a failed check is overlooked | the strand is [`Poisoned`](crate::Error::Poisoned): it multiplies, checks and opens nothing more |
//! | a forked strand is forgotten, and its gates with it | `verify` counts them: [`Error::UnjoinedFork`](crate::Error::UnjoinedFork) |
//! | the same randomness masks two values | a [`Stream`](crate::prss::Stream) is not `Clone` and its counter only grows; strands have keys of their own, named by full-width fork paths |
//! | a session id is repeated, by a crash or by malice | session keys depend on fresh nonces of all three parties |
//! | one side of a pair chooses the pair's key | both contribute, and the secret is derived from both |
//! | two parties run different jobs | the digest of the job is compared, and is part of every key |
//! | a gate of degree three | the types: [`Deg2`](crate::ring::Deg2) has no product |
//! | a frame of another session, strand, place or length | links compare the tag, the number and the length before they read or allocate |
//! | a round is cancelled half-way and the strand used again | the strand is [`Poisoned`](crate::Error::Poisoned) |
//! | parties wait for each other's windows | a link sends and receives at the same time |
//! | memory keeps a secret after its use | vectors of shares are wiped when dropped, and when they grow |
//!
//! # 5. Known limits
//!
//! Program order is public, as are all shapes. Nothing in the interface branches on a
//! secret; a closure that branched on a component would break the sharing. Buffers of the transport and of TLS are not wiped, the frames handed
//! to them are. A [`Verified`](crate::Verified) opens any vector it is given:
//! that everything the vector depends on was computed on its strand, on strands joined into it, or on its parent before the parent was checked, is the
//! caller's care. (What can be seen is refused: a strand that was forked from unchecked gates cannot be verified by itself, and one on which a check
//! has failed opens nothing more.) Values of the check that are linear in shares, and its masks, are wiped where they are long vectors, not on the stack.
