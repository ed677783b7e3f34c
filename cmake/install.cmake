# Installs the libraries, the headers, the CMake package and the pkg-config files.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(asyncio_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/asyncio")
set(asyncio_pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

install(TARGETS asyncio EXPORT asyncioTargets FILE_SET HEADERS)
install(EXPORT asyncioTargets NAMESPACE asyncio:: DESTINATION "${asyncio_cmake_dir}")

if(TARGET asyncio_http)
    install(TARGETS asyncio_http EXPORT asyncioHttpTargets FILE_SET HEADERS)
    install(EXPORT asyncioHttpTargets NAMESPACE asyncio:: DESTINATION "${asyncio_cmake_dir}")
endif()

# A static http library leaves libcurl to be linked by its users, a shared one does not.
get_target_property(asyncio_type asyncio TYPE)
if(asyncio_type STREQUAL "STATIC_LIBRARY")
    set(ASYNCIO_IS_STATIC TRUE)
    set(asyncio_pc_requires ", libcurl")
    set(asyncio_pc_requires_private "")
else()
    set(ASYNCIO_IS_STATIC FALSE)
    set(asyncio_pc_requires "")
    set(asyncio_pc_requires_private "libcurl")
endif()

configure_package_config_file(
    "${PROJECT_SOURCE_DIR}/cmake/asyncioConfig.cmake.in"
    "${PROJECT_BINARY_DIR}/asyncioConfig.cmake"
    INSTALL_DESTINATION "${asyncio_cmake_dir}"
    NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(
    "${PROJECT_BINARY_DIR}/asyncioConfigVersion.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES
    "${PROJECT_BINARY_DIR}/asyncioConfig.cmake"
    "${PROJECT_BINARY_DIR}/asyncioConfigVersion.cmake"
    DESTINATION "${asyncio_cmake_dir}")

# pkg-config's users get the same definitions as CMake's.
set(asyncio_pc_defines "")
get_target_property(asyncio_definitions asyncio INTERFACE_COMPILE_DEFINITIONS)
foreach(definition IN LISTS asyncio_definitions)
    if(definition)
        string(APPEND asyncio_pc_defines " -D${definition}")
    endif()
endforeach()

# The files find their prefix from their own place, so that an installed tree can be moved.
# The directories may be absolute; only relative ones follow the prefix.
if(IS_ABSOLUTE "${asyncio_pkgconfig_dir}")
    set(asyncio_pc_prefix "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH asyncio_pc_prefix "/${asyncio_pkgconfig_dir}" "/")
    string(PREPEND asyncio_pc_prefix "\${pcfiledir}/")
endif()
foreach(kind IN ITEMS LIBDIR INCLUDEDIR)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}}")
        set(asyncio_pc_${kind} "${CMAKE_INSTALL_${kind}}")
    else()
        set(asyncio_pc_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
    endif()
endforeach()

set(asyncio_pc_files asyncio)
if(TARGET asyncio_http)
    list(APPEND asyncio_pc_files asyncio-http)
endif()
foreach(name IN LISTS asyncio_pc_files)
    set(asyncio_pc_file "${PROJECT_BINARY_DIR}/${name}.pc")
    configure_file("${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in" "${asyncio_pc_file}" @ONLY)
    install(FILES "${asyncio_pc_file}" DESTINATION "${asyncio_pkgconfig_dir}")
endforeach()
