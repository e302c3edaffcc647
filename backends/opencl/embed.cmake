# Writes kernel sources as C: the array cl_sources[] of names and texts, in the order of FILES. A NULL name ends it.
#   cmake -D "FILES=a.cl;b.cl" -D OUT=cl_sources.c -P embed.cmake
set(code "/* Written by embed.cmake. */\n#include \"backends/opencl/cl_program.h\"\n\nconst cl_source cl_sources[] = {\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND code "    {\"${name}\", (const char[]){${bytes}0}},\n")
endforeach()
string(APPEND code "    {0, 0},\n};\n")
file(WRITE ${OUT} "${code}")
