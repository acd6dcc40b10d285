//! Adapters between our contract and the allocator traits of others: inwards as wrappers, since a
//! blanket impl would collide with the types that speak both; outwards see
//! [`impl_foreign_allocator!`](crate::impl_foreign_allocator) and [`AsGlobal`].

mod global;
#[cfg(any(
    feature = "allocator-api2-02",
    feature = "allocator-api2-04",
    std_allocator,
    gated_allocator
))]
mod inward;

#[cfg(feature = "alloc")]
pub use global::Global;
pub use global::{AsGlobal, FromGlobal, FromGlobalRef};
#[cfg(feature = "allocator-api2-02")]
pub use inward::FromApi2V02;
#[cfg(feature = "allocator-api2-04")]
pub use inward::FromApi2V04;
#[cfg(any(std_allocator, gated_allocator))]
pub use inward::FromStd;
