//! The malloc family over the workspace's allocators, as a library to preload.
