# Who may include whom (the arrows between folders and between their rooms), and rules that keep the tree readable.
#
#   cmake -D ROOT=<repository> -P tests/check_layers.cmake
#
# 1. Every #include "..." of a product file stays in its own room or goes to a room that the table below allows.
#    A row may name only rooms of rows above it, so that no two rooms can include each other, however indirectly.
# 2. A *_impl.h is included only from its own room (kernels/ counts as its parent, the rooms of engine/ as one) and from tests.
# 3. No two .c files have the same name; no .c or .h file has more than MAX_LINES lines.
# 4. Environment variables are read only in engine/base/env.c (tests may ask the system for its temporary folder).
cmake_minimum_required(VERSION 3.22)

set(MAX_LINES 700)

set(rooms "")
# room(NAME [room...]): NAME may include itself and the rooms named; "room/file.h" allows that one file.
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

# A backend knows the interface that it implements, not graphs or their execution.
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

# `u3d verify` judges with what the tests judge with: the oracle, its cases, watched runs. Nothing else of tests/.
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

# Device and file libraries, by the folder that alone may know them.
set(ONLY_backends_cpu "omp\\.h")
set(ONLY_backends_opencl "CL/|clblast_c\\.h")
set(ONLY_io "nifti2_io\\.h|nifti1\\.h|nifti2\\.h|znzlib\\.h|png\\.h|zlib\\.h|xxhash\\.h")
set(ALSO_backends_opencl "xxhash\\.h") # names of compiled kernels

set(violations "")
macro(violation text)
  string(APPEND violations "  ${text}\n")
endmacro()

# The room of a file: its folder, with kernels/ as part of its parent.
function(room_of file out)
  get_filename_component(folder ${file} DIRECTORY)
  string(REGEX REPLACE "/kernels$" "" folder ${folder})
  set(${out} ${folder} PARENT_SCOPE)
endfunction()

# The part of the tree in which a private header may be used.
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
      violation("${file}: no row for ${room} in the table of check_layers.cmake")
      continue()
    endif()
    string(MAKE_C_IDENTIFIER ${room} id)
    if(file MATCHES "\\.c$")
      get_filename_component(name ${file} NAME)
      if(name IN_LIST names)
        violation("${file}: another .c file is called ${name} too")
      endif()
      list(APPEND names ${name})
    endif()

    file(READ ${ROOT}/${file} text)
    string(REGEX MATCHALL "\n" newlines "${text}")
    list(LENGTH newlines n_lines)
    if(n_lines GREATER MAX_LINES)
      violation("${file}: ${n_lines} lines, at most ${MAX_LINES}; split it in two")
    endif()

    if(text MATCHES "[^_a-z]getenv[ ]*\\(" AND NOT file STREQUAL "engine/base/env.c" AND NOT room MATCHES "^tests")
      violation("${file} calls getenv; use u3d_env_get, which is the one place that reads the environment")
    endif()

    string(REGEX MATCHALL "#[ \t]*include[ \t]+[<\"][^>\"]+[>\"]" includes "${text}")
    foreach(include ${includes})
      string(REGEX REPLACE ".*([<\"])([^>\"]+)[>\"]" "\\1" bracket "${include}")
      string(REGEX REPLACE ".*[<\"]([^>\"]+)[>\"]" "\\1" path "${include}")
      if(bracket STREQUAL "\"")
        room_of(${path} theirs)
        if(NOT theirs IN_LIST KNOWS_${id} AND NOT path IN_LIST KNOWS_${id})
          violation("${file} includes ${path}, which ${room} may not know")
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
            violation("${file} includes <${path}>, which only ${owner} may know")
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
  message(FATAL_ERROR "rules broken:\n${violations}")
endif()
message(STATUS "${n_files} files keep the rules")
