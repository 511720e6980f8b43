//! Limits the memory that the C library's allocator holds.

/// Fewest heaps: threads of a machine with one core take turns in the middle of an allocation, too.
const FEWEST: usize = 2;

/// Limits the heaps ("arenas") of glibc's allocator to one for each core. Called before other threads begin.
///
/// By default threads get eight for each core (mallopt(3), `M_ARENA_MAX`), and memory that is freed in one of them serves no other. Pictures are
/// decoded and encoded on threads that come and go, in buffers of megabytes: under a load of everything (`make soak`) the program took 40 %
/// more memory on two cores. `MALLOC_ARENA_MAX` and `GLIBC_TUNABLES` in the environment win.
pub(super) fn limit() {
    if ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"].iter().any(|name| std::env::var_os(name).is_some()) {
        return;
    }
    let cores = std::thread::available_parallelism().map_or(FEWEST, usize::from);
    // Without the limit, the program works as well and takes more memory.
    let _ = set(cores.max(FEWEST));
}

/// Whether the allocator has taken the limit.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no library has this call in a safe form")]
fn set(arenas: usize) -> bool {
    let Ok(arenas) = libc::c_int::try_from(arenas) else { return false };
    // SAFETY: mallopt(3) takes two numbers, refuses those that it does not know, and can be called by any thread at any time.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, arenas) == 1 }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn set(_: usize) -> bool {
    false
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn glibc_takes_the_limit() {
        assert!(set(FEWEST));
    }
}
