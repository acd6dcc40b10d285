//! The input and output traits of `std`.

use std::io::{BufRead, IoSlice, IoSliceMut, Read, Result, Seek, SeekFrom, Write};

use super::Owned;
use crate::Allocator;

impl<R: ?Sized + Read, A: Allocator> Read for Owned<R, A> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        (**self).read(buffer)
    }

    #[inline]
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> Result<usize> {
        (**self).read_vectored(buffers)
    }

    #[inline]
    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        (**self).read_exact(buffer)
    }
}

impl<R: ?Sized + BufRead, A: Allocator> BufRead for Owned<R, A> {
    #[inline]
    fn fill_buf(&mut self) -> Result<&[u8]> {
        (**self).fill_buf()
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        (**self).consume(count);
    }
}

impl<W: ?Sized + Write, A: Allocator> Write for Owned<W, A> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        (**self).write(bytes)
    }

    #[inline]
    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> Result<usize> {
        (**self).write_vectored(slices)
    }

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        (**self).write_all(bytes)
    }

    #[inline]
    fn flush(&mut self) -> Result<()> {
        (**self).flush()
    }
}

impl<S: ?Sized + Seek, A: Allocator> Seek for Owned<S, A> {
    #[inline]
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        (**self).seek(to)
    }
}
