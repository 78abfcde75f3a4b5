// What ThreadSanitizer reports though it is right; linked into every test of its preset.

extern "C" const char* __tsan_default_suppressions();

extern "C" const char* __tsan_default_suppressions() {
    // The count of an exception's owners is atomic, but libstdc++ is not instrumented: it sees a fiber read
    // the exception and another thread free it, and not what lies in between.
    return "race:std::__exception_ptr::exception_ptr::_M_release\n";
}
