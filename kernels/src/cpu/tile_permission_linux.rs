//! Asking Linux for the registers of AMX, which it gives to processes that ask.

#![expect(unsafe_code, reason = "asks the kernel")]

/// `ARCH_REQ_XCOMP_PERM`: from now on, for all threads of this process.
const REQUEST: libc::c_long = 0x1023;
/// The state component of tile data.
const TILE_DATA: libc::c_long = 18;

/// Whether this process may use tiles from now on.
pub(crate) fn obtain() -> bool {
    // SAFETY: a number and a number; the kernel refuses what it does not know.
    unsafe { libc::syscall(libc::SYS_arch_prctl, REQUEST, TILE_DATA) == 0 }
}
