# How coir's own code is compiled. Options that change the ABI or the code of every object (sanitizers,
# -march) hold for the whole directory, so that the llhttp sources get them too; warnings go to our
# targets one by one, and never to users of the library.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES AND PROJECT_IS_TOP_LEVEL)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Kind of build" FORCE)
endif()

if(PROJECT_IS_TOP_LEVEL)
    set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
    find_program(COIR_CCACHE ccache)
    # It cannot know that a profile has changed.
    if(COIR_CCACHE AND NOT COIR_PROFILE)
        foreach(language C CXX)
            if(NOT DEFINED CMAKE_${language}_COMPILER_LAUNCHER)
                set(CMAKE_${language}_COMPILER_LAUNCHER "${COIR_CCACHE}")
            endif()
        endforeach()
    endif()
endif()

if(COIR_MARCH)
    add_compile_options(-march=${COIR_MARCH})
endif()

if(COIR_SANITIZE STREQUAL "address")
    set(coir_sanitizers address,undefined)
elseif(COIR_SANITIZE STREQUAL "thread")
    set(coir_sanitizers thread)
elseif(COIR_SANITIZE)
    message(FATAL_ERROR "COIR_SANITIZE is '${COIR_SANITIZE}': say address, thread or nothing.")
endif()
if(COIR_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Boost's reference counts end with a fence, which TSan does not model; what it orders is announced
    # in lib/runtime/fiber_switch.cpp.
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-tsan>)
endif()
if(COIR_SANITIZE)
    add_compile_options(-fsanitize=${coir_sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${coir_sanitizers})
endif()
if(COIR_SANITIZE STREQUAL "address")
    # The check of dynamic types opens a pipe to see whether an object can be read, and reports a sound
    # one where no descriptors are left. Tests that run out of them are worth more.
    add_compile_options(-fno-sanitize=vptr)
endif()

# Optimisation by what programs have done in a run for that purpose (GCC). Profiles are found by the names of
# objects below the build directory, so that one directory can use what another has recorded; all other options
# must be the same, or functions do not fit their profiles. Code that has not run is compiled as if there were
# no profile.
if(COIR_PROFILE)
    if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU" OR NOT COIR_PROFILE_DIR)
        message(FATAL_ERROR "COIR_PROFILE needs GCC, and COIR_PROFILE_DIR.")
    endif()
    if(COIR_PROFILE STREQUAL "record")
        set(coir_profile -fprofile-generate=${COIR_PROFILE_DIR} -fprofile-update=atomic)
    elseif(COIR_PROFILE STREQUAL "use")
        # A function whose profile does not fit is compiled without, and a warning says so.
        set(coir_profile -fprofile-use=${COIR_PROFILE_DIR} -fprofile-partial-training -Wno-missing-profile
                         -Wno-error=coverage-mismatch)
    else()
        message(FATAL_ERROR "COIR_PROFILE is '${COIR_PROFILE}': say record, use or nothing.")
    endif()
    list(APPEND coir_profile -fprofile-prefix-path=${PROJECT_BINARY_DIR})
    add_compile_options(${coir_profile})
    add_link_options(${coir_profile})
endif()

# For our own code only. Functions that touch thread_local state are COIR_OPAQUE, or the optimiser could
# carry an address found on one thread across a suspension to another. Foreign libraries, the allocator
# above all, stay outside. Objects stay fat, so that the installed archives need no LTO from their users.
if(COIR_LTO)
    include(CheckIPOSupported)
    check_ipo_supported(LANGUAGES C CXX)
endif()

# Our targets: the standard, the warnings, and LTO where it was asked for.
function(coir_compile_options target)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
    target_compile_features(${target} PUBLIC cxx_std_20)
    if(COIR_LTO)
        set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION ON)
        target_compile_options(${target} PRIVATE -ffat-lto-objects)
    endif()
    if(NOT PROJECT_IS_TOP_LEVEL)
        return()
    endif()
    target_compile_options(
        ${target}
        PRIVATE -Wall
                -Wextra
                -Wpedantic
                -Wcast-align
                -Wcast-qual
                -Wconversion
                -Wdouble-promotion
                -Wextra-semi
                -Wformat=2
                -Wimplicit-fallthrough
                -Wnon-virtual-dtor
                -Wnull-dereference
                -Wold-style-cast
                -Woverloaded-virtual
                -Wredundant-decls
                -Wshadow
                -Wsign-conversion
                -Wundef
                -Wunused)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
        target_compile_options(${target} PRIVATE -Wduplicated-cond -Wlogical-op)
        if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
            # GCC 12 sees overlapping copies in std::string where there are none (GCC bug 105651).
            target_compile_options(${target} PRIVATE -Wno-restrict)
        endif()
    endif()
    if(COIR_WERROR)
        target_compile_options(${target} PRIVATE -Werror)
        if(COIR_SANITIZE)
            # Instrumented code confuses the flow analysis behind the first two, and TSan's compiler
            # warns of every fence.
            target_compile_options(
                ${target} PRIVATE -Wno-error=maybe-uninitialized -Wno-error=null-dereference)
            if(COIR_SANITIZE STREQUAL "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
                target_compile_options(${target} PRIVATE -Wno-error=tsan)
            endif()
        endif()
    endif()
endfunction()
