//! Numbers and buffers as a kernel's arguments.

use super::{Argument, Buffer, Element};

impl<T: Element> From<&Buffer<T>> for Argument {
    fn from(buffer: &Buffer<T>) -> Self {
        buffer.argument()
    }
}

impl<T: Element> From<Option<&Buffer<T>>> for Argument {
    fn from(buffer: Option<&Buffer<T>>) -> Self {
        Argument::Address(buffer.map_or(0, Buffer::address))
    }
}

macro_rules! from {
    ($($of:ty => $to:ident),*) => {$(
        impl From<$of> for Argument {
            fn from(value: $of) -> Self {
                Argument::$to(value)
            }
        }
    )*};
}

from!(i32 => Int, u32 => Word, i64 => Long, f32 => Float, f64 => Double);

/// `launch!(context, "kernel", threads; argument, ...)`: [`super::Context::launch`] with its arguments converted.
macro_rules! launch {
    ($context:expr, $name:literal, $threads:expr; $($argument:expr),* $(,)?) => {
        $context.launch($name, $threads, &[$($crate::kernels::Argument::from($argument)),*])
    };
}
pub(super) use launch;
