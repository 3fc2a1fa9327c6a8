# The version, once: project(VERSION …) in the top CMakeLists.txt becomes `#include "src/version.hpp"`.
configure_file(${PROJECT_SOURCE_DIR}/cmake/version.hpp.in ${PROJECT_BINARY_DIR}/generated/src/version.hpp @ONLY)
