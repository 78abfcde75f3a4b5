# llhttp as the target llhttp::llhttp, always static.
#
# Debian 13 has libllhttp-dev with an archive. Debian 12 has only node-llhttp, which holds llhttp's C
# sources and would bring Node.js along; its sources are compiled here. LLHTTP_ROOT names a directory
# where that package was unpacked (`./dev` uses build/deps/usr).
#
# Sets llhttp_FOUND, llhttp_VERSION and llhttp_ORIGIN (a sentence for the log).

set(LLHTTP_ROOT "" CACHE PATH "Prefix where llhttp lies, such as an unpacked node-llhttp package")

find_path(
    LLHTTP_INCLUDE_DIR llhttp.h
    HINTS "${LLHTTP_ROOT}"
    PATHS /usr/share
    PATH_SUFFIXES include share/include/llhttp include/llhttp)
find_library(LLHTTP_LIBRARY NAMES libllhttp.a HINTS "${LLHTTP_ROOT}")
find_path(
    LLHTTP_SOURCE_DIR llhttp.c
    HINTS "${LLHTTP_ROOT}"
    PATHS /usr/share
    PATH_SUFFIXES share/llhttp llhttp)
mark_as_advanced(LLHTTP_INCLUDE_DIR LLHTTP_LIBRARY LLHTTP_SOURCE_DIR)

if(LLHTTP_INCLUDE_DIR)
    file(STRINGS "${LLHTTP_INCLUDE_DIR}/llhttp.h" llhttp_lines REGEX "define LLHTTP_VERSION_(MAJOR|MINOR|PATCH)")
    string(REGEX REPLACE "[^0-9]+" "." llhttp_VERSION "${llhttp_lines}")
    string(REGEX REPLACE "^\\." "" llhttp_VERSION "${llhttp_VERSION}")
endif()

if(TARGET llhttp::llhttp)
    set(llhttp_ORIGIN "the target of the project around us")
elseif(LLHTTP_INCLUDE_DIR AND LLHTTP_LIBRARY)
    set(llhttp_ORIGIN "${LLHTTP_LIBRARY}")
    add_library(llhttp::llhttp STATIC IMPORTED GLOBAL)
    set_target_properties(
        llhttp::llhttp PROPERTIES IMPORTED_LOCATION "${LLHTTP_LIBRARY}"
                                  INTERFACE_INCLUDE_DIRECTORIES "${LLHTTP_INCLUDE_DIR}")
elseif(LLHTTP_INCLUDE_DIR AND LLHTTP_SOURCE_DIR)
    set(llhttp_ORIGIN "compiled from ${LLHTTP_SOURCE_DIR}")
    add_library(
        coir_llhttp STATIC "${LLHTTP_SOURCE_DIR}/llhttp.c" "${LLHTTP_SOURCE_DIR}/http.c"
                           "${LLHTTP_SOURCE_DIR}/api.c")
    target_include_directories(coir_llhttp SYSTEM PUBLIC "${LLHTTP_INCLUDE_DIR}")
    # The file holds the strict and the lenient parser, and lenient is its default.
    target_compile_definitions(coir_llhttp PRIVATE LLHTTP_STRICT_MODE=1)
    # A parser of a million branches is of no use unoptimised, whatever the build. Others' warnings are not ours.
    target_compile_options(coir_llhttp PRIVATE -O2 -w)
    add_library(llhttp::llhttp ALIAS coir_llhttp)
endif()

include(FindPackageHandleStandardArgs)
if(TARGET llhttp::llhttp)
    set(llhttp_USABLE TRUE)
endif()
find_package_handle_standard_args(llhttp REQUIRED_VARS LLHTTP_INCLUDE_DIR llhttp_USABLE VERSION_VAR llhttp_VERSION)
