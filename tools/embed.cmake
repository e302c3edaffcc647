# Writes text files as C: an array of names and texts, in the order of FILES. A NULL name ends it. HEADER declares TYPE and ARRAY.
#   cmake -D "FILES=a.cl;b.cl" -D OUT=cl_sources.c -D HEADER=backends/opencl/cl_program.h -D TYPE=cl_source
#         -D ARRAY=cl_sources -P embed.cmake
set(code "/* Written by embed.cmake. */\n#include \"${HEADER}\"\n\nconst ${TYPE} ${ARRAY}[] = {\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(APPEND code "    {\"${name}\", (const char[]){${bytes}0}},\n")
endforeach()
string(APPEND code "    {0, 0},\n};\n")
file(WRITE ${OUT} "${code}")
