#pragma once

/// COIR_OPAQUE marks a function into which the optimiser must not look, also not when linking.
///
/// A fiber can go on another thread after a suspension, but the compiler may keep the address of a
/// thread_local, errno among them, for the whole of a function. So whoever touches one does it in an
/// opaque function that does not suspend, and gives the value away.
#if defined(__GNUC__) && !defined(__clang__)
#define COIR_OPAQUE __attribute__((noipa))
#else
#define COIR_OPAQUE __attribute__((noinline, optnone))
#endif
