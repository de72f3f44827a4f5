//! Slices of numbers as bytes, for copies to and from a device.

#![expect(unsafe_code, reason = "numbers are seen as bytes")]

/// A number without padding or forbidden bit patterns.
pub(crate) trait Number: Copy {}

impl Number for f32 {}
impl Number for u16 {}
impl Number for u32 {}

/// The bytes of `numbers`.
pub(crate) fn bytes_of<T: Number>(numbers: &[T]) -> &[u8] {
    // SAFETY: numbers are initialised bytes without padding, of which there are `size_of_val`.
    unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
}

/// The bytes of `numbers`, to be overwritten.
pub(crate) fn bytes_of_mut<T: Number>(numbers: &mut [T]) -> &mut [u8] {
    let length = size_of_val(numbers);
    // SAFETY: as above, and any bytes make numbers.
    unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), length) }
}
