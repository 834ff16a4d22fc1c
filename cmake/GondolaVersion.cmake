# gondola_version: the header gondola_version.hpp with the project's version and the git revision.
# It is looked at on every build and rewritten only when it changed.

find_package(Git QUIET)
set(version_header "${PROJECT_BINARY_DIR}/generated/gondola_version.hpp")
set(write_version ${CMAKE_COMMAND}
  "-DGIT=${GIT_EXECUTABLE}" "-DSOURCE=${PROJECT_SOURCE_DIR}" "-DVERSION=${PROJECT_VERSION}"
  "-DHEADER=${version_header}" -P "${PROJECT_SOURCE_DIR}/cmake/write_version.cmake")
execute_process(COMMAND ${write_version} COMMAND_ERROR_IS_FATAL ANY)
add_custom_target(gondola_version_header COMMAND ${write_version} BYPRODUCTS "${version_header}"
  COMMENT "Looking at the git revision" VERBATIM)

add_library(gondola_version INTERFACE)
target_include_directories(gondola_version INTERFACE "${PROJECT_BINARY_DIR}/generated")
add_dependencies(gondola_version gondola_version_header)
