# Language level, warnings, sanitizers, ccache and mold for Gondola's own targets.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/lib")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

include_directories("${PROJECT_SOURCE_DIR}")
add_compile_options(
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wconversion;-Wshadow;-Wnon-virtual-dtor>")
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 takes "text" + std::string for an overlapping copy (its bug 105651).
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>")
endif()
if(GONDOLA_WERROR)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Werror>")
endif()

if(GONDOLA_SANITIZE STREQUAL "address")
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=undefined)
elseif(GONDOLA_SANITIZE STREQUAL "thread")
  set(sanitizers -fsanitize=thread)
elseif(GONDOLA_SANITIZE)
  message(FATAL_ERROR
    "GONDOLA_SANITIZE is '${GONDOLA_SANITIZE}'; it can be address, thread or OFF")
endif()
if(GONDOLA_SANITIZE)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${sanitizers};-fno-omit-frame-pointer>")
  add_link_options(${sanitizers})
endif()

# The sloppiness lets ccache answer for units that use a precompiled header.
find_program(GONDOLA_CCACHE ccache)
mark_as_advanced(GONDOLA_CCACHE)
if(GONDOLA_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
    ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    ${GONDOLA_CCACHE})
endif()

find_program(GONDOLA_MOLD mold)
mark_as_advanced(GONDOLA_MOLD)
if(GONDOLA_MOLD)
  include(CheckLinkerFlag)
  check_linker_flag(CXX -fuse-ld=mold GONDOLA_MOLD_WORKS)
  if(GONDOLA_MOLD_WORKS)
    add_link_options(-fuse-ld=mold)
  endif()
endif()

# gondola_precompile_torch(<target>): torch/types.h is compiled once, for gondola_trainer, and reused
# by every target of the same flags. All of torch/torch.h would cost more than it saves: each unit
# makes the template instances anew that a precompiled header leaves open.
function(gondola_precompile_torch target)
  if(target STREQUAL gondola_trainer)
    target_precompile_headers(${target} PRIVATE <torch/types.h>)
  else()
    target_precompile_headers(${target} REUSE_FROM gondola_trainer)
  endif()
  # ccache asks for it.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>)
endfunction()
