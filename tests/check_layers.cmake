# Checks which room may include which, and a few rules that keep the tree readable. A room is a folder with sources.
#
#   cmake -D ROOT=<repository> -P tests/check_layers.cmake
#
# 1. Every #include "..." names a file in the same room or in a room that the table below allows. A row may name only
#    rooms of rows above it, so that no two rooms can include each other, not even indirectly.
# 2. A *_impl.h is included only from its own room and from tests. kernels/ counts as part of its parent, and the rooms
#    of engine/ count as one.
# 3. No two .c files have the same name, and no .c or .h file has more than MAX_LINES lines.
# 4. Only engine/base/env.c reads environment variables (tests may do so, to find the temporary folder of the system).
# 5. Headers of device and file libraries are included only in the folder that is named for them below, and in tests.
cmake_minimum_required(VERSION 3.22)

set(MAX_LINES 700)

set(rooms "")
# room(NAME [room...]): the room NAME may include itself and the rooms that are named; "room/file.h" allows one file.
macro(room name)
  foreach(known ${ARGN})
    get_filename_component(folder ${known} DIRECTORY)
    if(NOT known IN_LIST rooms AND NOT folder IN_LIST rooms)
      message(FATAL_ERROR "check_layers.cmake: the row of ${name} names ${known}, which has no row above it")
    endif()
  endforeach()
  list(APPEND rooms ${name})
  string(MAKE_C_IDENTIFIER ${name} id)
  set(KNOWS_${id} ${name} ${ARGN})
endmacro()

room(engine/base)
room(engine/ops engine/base)
room(engine/graph engine/base engine/ops)
room(engine/plan engine/base engine/ops engine/graph)
room(engine/rewrite engine/base engine/ops engine/graph engine/plan)
room(engine/run engine/base engine/ops engine/graph engine/plan)
set(engine engine/base engine/ops engine/graph engine/plan engine/rewrite engine/run)

# A backend may know the interface that it implements, but not graphs or their execution.
room(backends/cpu engine/base engine/ops engine/plan/backend.h)
room(backends/opencl engine/base engine/ops engine/plan/backend.h)
room(backends engine/base engine/ops engine/plan/backend.h)

room(io engine/base)

room(net/config ${engine} io)
room(net/volume ${engine} io net/config)
room(net/cases ${engine} io net/config net/volume)
room(net/evaluate ${engine} io net/config net/volume)
room(net/model ${engine} io net/config net/volume)
room(net/sample ${engine} io net/config net/volume net/cases)
room(net/predict ${engine} io net/config net/volume net/cases net/model)
room(net/train ${engine} io net/config net/volume net/cases net/model net/sample net/predict)
set(net net/config net/volume net/cases net/evaluate net/model net/sample net/predict net/train)

# `u3d verify` compares results as the tests do. It may use the oracle, the op cases and the code that runs and compares
# them, but nothing else of tests/.
room(tests/ref engine/base engine/ops)
room(tests/support ${engine} backends backends/cpu io ${net} tests/ref)
set(judge tests/ref/ref.h tests/ref/ref_map.h tests/support/op_cases.h tests/support/support_numbers.h
  tests/support/support_op.h tests/support/support_trial.h tests/support/support_eval.h)

room(tools/draw engine/base io)
room(tools/cli ${engine} backends io ${net})
room(tools/bench ${engine} backends io ${net} tools/cli)
room(tools/verify ${engine} backends io ${net} tools/cli ${judge})
room(tools/commands ${engine} backends io ${net} tools/cli tools/draw tools/bench tools/verify)
set(tools tools/draw tools/cli tools/bench tools/verify tools/commands)

foreach(room engine backends io net tools)
  room(tests/${room} ${engine} backends backends/cpu backends/opencl io ${net} ${tools} tests/ref tests/support)
endforeach()

# Headers of device and file libraries: ONLY_<folder> lists those that only this folder may include, ALSO_<folder> the
# exceptions.
set(ONLY_backends_cpu "omp\\.h")
set(ONLY_backends_opencl "CL/|clblast_c\\.h")
set(ONLY_io "nifti2_io\\.h|nifti1\\.h|nifti2\\.h|znzlib\\.h|png\\.h|zlib\\.h|xxhash\\.h")
set(ALSO_backends_opencl "xxhash\\.h") # names of compiled kernels

set(violations "")
macro(violation text)
  string(APPEND violations "  ${text}\n")
endmacro()

# Gives the room of a file: its folder, or the parent of its folder if that is kernels/.
function(room_of file out)
  get_filename_component(folder ${file} DIRECTORY)
  string(REGEX REPLACE "/kernels$" "" folder ${folder})
  set(${out} ${folder} PARENT_SCOPE)
endfunction()

# Gives the part of the tree in which a private header may be used: the file's room, or all of engine/.
function(home_of file out)
  room_of(${file} folder)
  string(REGEX REPLACE "^engine/.*" "engine" folder ${folder})
  set(${out} ${folder} PARENT_SCOPE)
endfunction()

set(names "")
set(n_files 0)
foreach(folder engine backends io net tools tests)
  file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/${folder}/*.c ${ROOT}/${folder}/*.h)
  foreach(file ${files})
    math(EXPR n_files "${n_files} + 1")
    room_of(${file} room)
    if(NOT room IN_LIST rooms)
      violation("${file}: the table of check_layers.cmake has no row for ${room}")
      continue()
    endif()
    string(MAKE_C_IDENTIFIER ${room} id)
    if(file MATCHES "\\.c$")
      get_filename_component(name ${file} NAME)
      if(name IN_LIST names)
        violation("${file}: another .c file is also called ${name}")
      endif()
      list(APPEND names ${name})
    endif()

    file(READ ${ROOT}/${file} text)
    string(REGEX MATCHALL "\n" newlines "${text}")
    list(LENGTH newlines n_lines)
    if(n_lines GREATER MAX_LINES)
      violation("${file} has ${n_lines} lines, at most ${MAX_LINES} are allowed; split the file")
    endif()

    if(text MATCHES "[^_a-z]getenv[ ]*\\(" AND NOT file STREQUAL "engine/base/env.c" AND NOT room MATCHES "^tests")
      violation("${file} calls getenv; use u3d_env_get, the only function that reads the environment")
    endif()

    string(REGEX MATCHALL "#[ \t]*include[ \t]+[<\"][^>\"]+[>\"]" includes "${text}")
    foreach(include ${includes})
      string(REGEX REPLACE ".*([<\"])([^>\"]+)[>\"]" "\\1" bracket "${include}")
      string(REGEX REPLACE ".*[<\"]([^>\"]+)[>\"]" "\\1" path "${include}")
      if(bracket STREQUAL "\"")
        room_of(${path} theirs)
        if(NOT theirs IN_LIST KNOWS_${id} AND NOT path IN_LIST KNOWS_${id})
          violation("${file} includes ${path}, which ${room} may not include")
        elseif(NOT EXISTS ${ROOT}/${path})
          violation("${file} includes ${path}, which does not exist below the repository root")
        endif()
        if(path MATCHES "_impl\\.h$" AND NOT room MATCHES "^tests")
          home_of(${path} their_home)
          home_of(${file} our_home)
          if(NOT our_home STREQUAL their_home)
            violation("${file} includes ${path}, which is private to ${their_home}/")
          endif()
        endif()
      elseif(NOT room MATCHES "^tests")
        foreach(owner backends_cpu backends_opencl io)
          if(path MATCHES "^(${ONLY_${owner}})" AND NOT id STREQUAL owner AND
             NOT (DEFINED ALSO_${id} AND path MATCHES "^(${ALSO_${id}})"))
            violation("${file} includes <${path}>, which only ${owner} may include")
          endif()
        endforeach()
      endif()
    endforeach()
  endforeach()
endforeach()

if(n_files EQUAL 0)
  message(FATAL_ERROR "no source files below '${ROOT}': give -D ROOT=<repository>")
endif()
if(violations)
  message(FATAL_ERROR "These files break a rule:\n${violations}")
endif()
message(STATUS "${n_files} files follow the rules")
