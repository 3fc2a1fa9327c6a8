# Writes OUT: every file of the page as a constant. Called at build time: cmake -DOUT=… -DPAGE=folder -P embed.cmake
file(GLOB files ${PAGE}/*)
set(entries "")
set(constants "")
set(n 0)
foreach(file IN LISTS files)
  get_filename_component(name ${file} NAME)
  get_filename_component(ending ${file} LAST_EXT)
  if(ending STREQUAL ".html")
    set(type "text/html; charset=utf-8")
  elseif(ending STREQUAL ".css")
    set(type "text/css; charset=utf-8")
  elseif(ending STREQUAL ".js")
    set(type "text/javascript; charset=utf-8")
  else()
    set(type "image/svg+xml")
  endif()
  if(name STREQUAL "index.html")
    set(path "/")
  else()
    set(path "/page/${name}")
  endif()
  file(READ ${file} content HEX)
  string(REGEX REPLACE "(..)" "0x\\1," content "${content}")
  string(APPEND constants "const unsigned char file_${n}[] = {${content}0};\n")
  string(APPEND entries "    {\"${path}\", \"${type}\", {reinterpret_cast<const char*>(file_${n}), sizeof file_${n} - 1}},\n")
  math(EXPR n "${n} + 1")
endforeach()
file(WRITE ${OUT} "// Made by embed.cmake out of the files of the page. Never edited.
#include \"agents/dashboard/assets.hpp\"

namespace reeve::dashboard {
namespace {
${constants}} // namespace

const std::vector<Asset>& assets() {
  static const std::vector<Asset> all{
${entries}  };
  return all;
}

} // namespace reeve::dashboard
")
