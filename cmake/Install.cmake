# `cmake --install`: headers, one archive per layer, the package files, and the program if it was built.
include(CMakePackageConfigHelpers)

set(coir_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/coir")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/coir" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp")
install(TARGETS ${coir_layer_targets} coir_runtime EXPORT coirTargets)
# llhttp's archive goes along under our name: a user of coir::http need not have llhttp.
install(FILES "$<TARGET_FILE:llhttp::llhttp>" DESTINATION "${CMAKE_INSTALL_LIBDIR}" RENAME libcoir_llhttp.a)
install(EXPORT coirTargets NAMESPACE coir:: DESTINATION "${coir_package_dir}")

configure_package_config_file(
    "${PROJECT_SOURCE_DIR}/cmake/coirConfig.cmake.in" "${PROJECT_BINARY_DIR}/coirConfig.cmake"
    INSTALL_DESTINATION "${coir_package_dir}"
    PATH_VARS CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/coirConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/coirConfig.cmake" "${PROJECT_BINARY_DIR}/coirConfigVersion.cmake"
        DESTINATION "${coir_package_dir}")

if(TARGET coir-server)
    install(TARGETS coir-server)
endif()
