//! The conformance kit over mimalloc, jemalloc and snmalloc, through `FromGlobal`. What it found is in
//! `docs/design/conformance-of-peers.md`.

use alloc_core::FromGlobal;
use alloc_testing::conformance;

conformance!(mimalloc => FromGlobal::new(mimalloc::MiMalloc); sync);
conformance!(jemalloc => FromGlobal::new(tikv_jemallocator::Jemalloc); sync);
conformance!(snmalloc => FromGlobal::new(snmalloc_rs::SnMalloc); sync);
