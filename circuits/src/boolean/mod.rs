//! Arithmetic on integers in bits: addition, subtraction, comparison, choice, counting.
//!
//! Everything here is written over [`Gates`](crate::gates::Gates), hence runs on shares, many instances in the lanes at once, and can be
//! recorded into a circuit file. An integer of `k` bits is a vector of width `k`, bit 0 first; on shares that is `k` planes one
//! after the other, one lane for each instance ([`to_planes`] makes them of plain integers). Lanes that hold no instance
//! are computed like the others.
//!
//! What is sent is counted in bits for one lane: a map of degree two sends its output bits, whatever its number of products.
//! For operands of 64 bits:
//!
//! | circuit | rounds | bits sent | |
//! |---|---|---|---|
//! | [`add`], [`sub`] | 63 | 63 | [`CarryForm::Ripple`] |
//! | | 10 | 146 | [`CarryForm::BrentKung`] |
//! | | 6 | 218 | [`CarryForm::Sklansky`] |
//! | [`less_than`], [`carry`] | 64 | 64 | [`CarryForm::Ripple`] |
//! | | 7 | 90 | [`CarryForm::Sklansky`], [`CarryForm::BrentKung`] |
//! | [`equal`] | 6 | 63 | |
//! | [`mux`] | 1 | 64 | |
//! | [`carry_save`] | 1 | 63 | three summands to two |
//! | [`popcount`] | 6 | 63 | of 64 bits |
//!
//! Each circuit has its twin on plain integers in [`mod@reference`] and its exact price beside it (`add_cost` and so on).
//!
//! ```
//! use trefoil_circuits::{boolean::{self, CarryForm}, gates::OnShares};
//! use trefoil_engine::{SemiHonest, testing::on_shares};
//! let (x, y) = (boolean::to_planes(8, &[200, 3]), boolean::to_planes(8, &[100, 4]));
//! let (sum, cost) = on_shares::<SemiHonest, _, _>(&[&x, &y], async |ctx, v| {
//!     boolean::add(&mut OnShares::new(ctx, 1), CarryForm::Sklansky, &v[0], &v[1]).await
//! });
//! assert_eq!(boolean::from_planes(8, 2, &sum).unwrap(), [44, 7]);
//! assert_eq!(cost, boolean::add_cost(CarryForm::Sklansky, 8).over(1));
//! ```

mod add;
mod carries;
mod compare;
mod cost;
mod network;
mod planes;
mod popcount;
pub mod reference;

pub use add::{add, add_cost, carry, carry_cost, carry_save, carry_save_cost, sub};
pub(crate) use add::{add_from, add_from_cost, carry_beside};
pub use compare::{Order, all, equal, equal_cost, less_than, less_than_cost, mux, mux_cost};
pub use cost::LaneCost;
pub use network::CarryForm;
pub use planes::{from_planes, to_planes};
pub use popcount::{popcount, popcount_cost};
