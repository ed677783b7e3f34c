# What only this project's own developers need. A project that includes asyncio with
# add_subdirectory gets none of these flags.

if(PROJECT_IS_TOP_LEVEL)
    set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
    set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")

    find_program(ASYNCIO_CCACHE ccache)
    if(ASYNCIO_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
        set(CMAKE_CXX_COMPILER_LAUNCHER "${ASYNCIO_CCACHE}")
    endif()

    if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
        include(CheckLinkerFlag)
        check_linker_flag(CXX "-fuse-ld=lld" ASYNCIO_LLD)
        if(ASYNCIO_LLD)
            add_link_options("-fuse-ld=lld")
        endif()
    endif()
endif()

# Turns on the warnings that every file of the project is held to.
function(asyncio_warnings target)
    if(NOT PROJECT_IS_TOP_LEVEL)
        return()
    endif()
    target_compile_options(${target} PRIVATE
        -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor
        $<$<BOOL:${ASYNCIO_WERROR}>:-Werror>)
endfunction()
