# Every library we use, each as an imported or INTERFACE target. All come from Debian 12 (`make deps`).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
pkg_check_modules(SQLITE3 REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(ZMQ REQUIRED IMPORTED_TARGET libzmq)
# Its file names folders of libraries that it uses itself and its header does not. One of them changes its place in the command line
# when the project is configured a second time, after which all that includes zmq.h would be compiled again.
set_target_properties(PkgConfig::ZMQ PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "" INTERFACE_COMPILE_OPTIONS "")
pkg_check_modules(NCURSES REQUIRED IMPORTED_TARGET ncursesw)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)

# Debian's CAF ships no CMake config.
find_path(CAF_INCLUDE_DIR caf/all.hpp REQUIRED)
find_library(CAF_CORE_LIBRARY caf_core REQUIRED)
add_library(reeve_caf INTERFACE)
target_include_directories(reeve_caf SYSTEM INTERFACE ${CAF_INCLUDE_DIR})
target_link_libraries(reeve_caf INTERFACE ${CAF_CORE_LIBRARY} Threads::Threads)
if(REEVE_SANITIZE MATCHES "undefined")
  target_compile_options(reeve_caf INTERFACE -fno-sanitize=null) # 0.17.6's headers bind null references
endif()

# Entries, changes and answers are made in one thread and freed in another, millions of them: jemalloc takes a third less time for
# that than the C library's allocator, and gives memory back. The sanitizers bring their own.
if(NOT REEVE_SANITIZE)
  pkg_check_modules(JEMALLOC REQUIRED IMPORTED_TARGET jemalloc)
endif()

# msgpack-c, header only, without Boost.
find_path(MSGPACK_INCLUDE_DIR msgpack.hpp REQUIRED)
add_library(reeve_msgpack INTERFACE)
target_include_directories(reeve_msgpack SYSTEM INTERFACE ${MSGPACK_INCLUDE_DIR})
target_compile_definitions(reeve_msgpack INTERFACE MSGPACK_NO_BOOST)

find_path(TOMLPLUSPLUS_INCLUDE_DIR toml++/toml.h REQUIRED)
find_path(EXPECTED_INCLUDE_DIR tl/expected.hpp REQUIRED)

# Debian's python3, which sees the python3-zmq and python3-msgpack packages, before any other of the user's. Tests only.
find_program(REEVE_PYTHON python3 HINTS /usr/bin)
