# The test Package.AnOutsideProjectBuildsAgainstTheInstalledLibrary, as a script:
#   cmake -D COIR_BUILD=<build dir> -D WORK=<scratch dir> -D COMPILER=<c++> -D PREFIX_PATH=<...> -P run.cmake
# Installs the build into a fresh prefix, moves that prefix (it must not remember where it was made),
# then configures, builds and runs the project beside this file.

function(run)
    execute_process(COMMAND ${ARGV} RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
        list(JOIN ARGV " " command)
        message(FATAL_ERROR "${command}: ${status}")
    endif()
endfunction()

file(REMOVE_RECURSE "${WORK}")
run("${CMAKE_COMMAND}" --install "${COIR_BUILD}" --prefix "${WORK}/installed")
file(RENAME "${WORK}/installed" "${WORK}/prefix")
string(REPLACE ";" ":" PREFIX_PATH "${PREFIX_PATH}")
set(ENV{CMAKE_PREFIX_PATH} "${WORK}/prefix:${PREFIX_PATH}")
run("${CMAKE_COMMAND}" -G Ninja -S "${CMAKE_CURRENT_LIST_DIR}" -B "${WORK}/build"
    "-DCMAKE_CXX_COMPILER=${COMPILER}")
run("${CMAKE_COMMAND}" --build "${WORK}/build")
run("${WORK}/build/runtime_consumer")
run("${WORK}/build/http_consumer")
