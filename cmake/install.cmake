# Installs the libraries, the headers, the CMake package and the pkg-config files.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(asyncio_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/asyncio")
set(asyncio_pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

install(TARGETS asyncio EXPORT asyncioTargets FILE_SET HEADERS)
install(EXPORT asyncioTargets NAMESPACE asyncio:: DESTINATION "${asyncio_cmake_dir}")

set(asyncio_components "")
foreach(component IN ITEMS http ssl)
    if(TARGET asyncio_${component})
        list(APPEND asyncio_components ${component})
        install(TARGETS asyncio_${component} EXPORT asyncio-${component}-targets FILE_SET HEADERS)
        install(EXPORT asyncio-${component}-targets
            NAMESPACE asyncio:: DESTINATION "${asyncio_cmake_dir}")
    endif()
endforeach()

# A static component leaves its third-party library to be linked by its users, a shared one does
# not.
get_target_property(asyncio_type asyncio TYPE)
if(asyncio_type STREQUAL "STATIC_LIBRARY")
    set(ASYNCIO_IS_STATIC TRUE)
    set(asyncio_pc_third_party ", ")
else()
    set(ASYNCIO_IS_STATIC FALSE)
    set(asyncio_pc_third_party "\nRequires.private: ")
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

function(asyncio_pkgconfig template name)
    set(file "${PROJECT_BINARY_DIR}/${name}.pc")
    configure_file("${PROJECT_SOURCE_DIR}/cmake/${template}.pc.in" "${file}" @ONLY)
    install(FILES "${file}" DESTINATION "${asyncio_pkgconfig_dir}")
endfunction()

asyncio_pkgconfig(asyncio asyncio)
set(asyncio_pc_library_http libcurl)
set(asyncio_pc_library_ssl "openssl >= 3.0")
foreach(component IN LISTS asyncio_components)
    set(asyncio_pc_library "${asyncio_pc_library_${component}}")
    asyncio_pkgconfig(asyncio-component asyncio-${component})
endforeach()
