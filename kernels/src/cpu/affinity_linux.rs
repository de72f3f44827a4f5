//! Which cores threads run on, on Linux.

#![expect(
    unsafe_code,
    reason = "asks the kernel, and tells it, about threads that exist"
)]

use std::io;
use std::os::unix::thread::JoinHandleExt;
use std::thread::JoinHandle;

/// The cores that the calling thread may run on, in ascending order.
///
/// # Errors
/// What the kernel says.
pub(crate) fn allowed_cores() -> io::Result<Vec<usize>> {
    // SAFETY: a set of cores is plain bits, of which none is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is writable and as long as said; thread 0 is the calling one.
    let failed = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &mut set) };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    let cores = 0..libc::CPU_SETSIZE as usize;
    // SAFETY: the core is below the size of the set.
    Ok(cores
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .collect())
}

/// Lets `thread` run on `core` alone.
///
/// # Errors
/// What the kernel says.
pub(crate) fn pin(thread: &JoinHandle<()>, core: usize) -> io::Result<()> {
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: as in `allowed_cores`; the core is below the size of the set, and the thread was not
    // joined, since its handle is here.
    let error = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        libc::pthread_setaffinity_np(thread.as_pthread_t(), size_of_val(&set), &set)
    };
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
