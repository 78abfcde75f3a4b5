# Every foreign package comes in through one of these functions. Each ends with a message that names
# the Debian package to install; `./dev` reads the same names from apt and installs them by itself.

function(coir_missing what packages)
    message(FATAL_ERROR "coir needs ${what}, which was not found. Install it with:\n"
                        "    apt-get install ${packages}\n"
                        "or let `./dev` do it.")
endfunction()

function(coir_require_threads)
    set(THREADS_PREFER_PTHREAD_FLAG ON)
    find_package(Threads REQUIRED)
endfunction()

# Boost.Context and Boost.Fiber, static (a thread_local behind a shared object costs a call per look-up).
# The newest below 1.88 is taken: from there on Boost keeps C++ exception state in its own switch and
# can restore it on the wrong thread (boostorg/context#323). Older ones than 1.81, and 1.88, may lie
# beside it; Boost's own version file accepts anything newer than it was asked for, hence EXACT.
function(coir_require_boost)
    if(TARGET Boost::context AND TARGET Boost::fiber)
        set(coir_boost_version "${Boost_VERSION_STRING}" PARENT_SCOPE)
        return()
    endif()
    set(Boost_USE_STATIC_LIBS ON)
    foreach(minor RANGE 87 81 -1)
        find_package(Boost 1.${minor}.0 EXACT QUIET CONFIG COMPONENTS context fiber)
        if(Boost_FOUND)
            break()
        endif()
    endforeach()
    if(NOT Boost_FOUND)
        coir_missing("Boost.Context and Boost.Fiber, 1.81 or newer and below 1.88"
                     "libboost-context1.83-dev libboost-fiber1.83-dev\n    (Debian 12: 1.81 for 1.83)")
    endif()
    message(STATUS "Boost ${Boost_VERSION} in ${Boost_DIR}")
    set(coir_boost_version "${Boost_VERSION}" PARENT_SCOPE)
endfunction()

function(coir_require_llhttp)
    find_package(llhttp QUIET MODULE)
    if(NOT llhttp_FOUND)
        coir_missing("llhttp" "libllhttp-dev\n    (Debian 12: node-llhttp)")
    endif()
    message(STATUS "llhttp ${llhttp_VERSION}: ${llhttp_ORIGIN}")
endfunction()

# A shared object, so that no link-time optimisation ever reaches into the allocator.
function(coir_require_mimalloc)
    find_path(MIMALLOC_INCLUDE_DIR mimalloc.h)
    find_library(MIMALLOC_LIBRARY NAMES libmimalloc.so)
    mark_as_advanced(MIMALLOC_INCLUDE_DIR MIMALLOC_LIBRARY)
    if(NOT MIMALLOC_INCLUDE_DIR OR NOT MIMALLOC_LIBRARY)
        coir_missing("mimalloc" "libmimalloc-dev")
    endif()
    if(NOT TARGET coir_mimalloc)
        add_library(coir_mimalloc SHARED IMPORTED)
        set_target_properties(
            coir_mimalloc
            PROPERTIES IMPORTED_LOCATION "${MIMALLOC_LIBRARY}"
                       INTERFACE_INCLUDE_DIRECTORIES "${MIMALLOC_INCLUDE_DIR}")
    endif()
endfunction()

function(coir_require_googletest)
    find_package(GTest QUIET CONFIG)
    if(NOT TARGET GTest::gtest_main OR NOT TARGET GTest::gmock)
        coir_missing("GoogleTest and GoogleMock" "libgtest-dev libgmock-dev")
    endif()
endfunction()

function(coir_require_benchmark)
    find_package(benchmark QUIET CONFIG)
    if(NOT benchmark_FOUND)
        coir_missing("Google Benchmark" "libbenchmark-dev")
    endif()
endfunction()
