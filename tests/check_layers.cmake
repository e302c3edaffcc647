# Who may include whom (the arrows between the folders), and rules that keep the tree readable.
#
#   cmake -D ROOT=<repository> -P tests/check_layers.cmake
#
# 1. Every #include "folder/..." of a product file must be allowed by the table below.
# 2. A *_impl.h is included only from its own folder (kernels/ counts as its parent's) and from tests.
# 3. No two .c files share a name; no .c or .h file has more than MAX_LINES lines.
# 4. Environment variables are read in engine/base/env.c alone (tests may ask the system for its temporary folder).
cmake_minimum_required(VERSION 3.25)

set(MAX_LINES 700)

# Regular expressions for the quoted paths that a folder's files may include.
set(ALLOW_engine "^engine/")
set(ALLOW_io "^(io/|engine/(status|log|mem|type|tensor|clock|env)\\.h$)")
set(ALLOW_net "^(net|engine|io)/")
set(ALLOW_backends "^(engine/|backends/backends\\.h$)")
set(ALLOW_backends_cpu "^(engine|backends/cpu)/")
set(ALLOW_backends_opencl "^(engine|backends/opencl)/")
# `u3d verify` judges with what the tests judge with: the oracle, its cases, watched runs. Nothing else of tests/.
set(ALLOW_tools "^((tools|net|backends|io|engine)/|tests/(ref/ref(_map)?|op_cases|support_(numbers|op|trial|eval))\\.h$)")
set(ALLOW_tests "^(tests|tools|net|backends|io|engine)/")

# Device and file libraries, by the folder that alone may know them.
set(ONLY_backends_cpu "omp\\.h")
set(ONLY_backends_opencl "CL/|clblast_c\\.h")
set(ONLY_io "nifti2_io\\.h|nifti1\\.h|nifti2\\.h|znzlib\\.h|png\\.h|zlib\\.h|xxhash\\.h")
set(ALSO_backends_opencl "xxhash\\.h") # names of compiled kernels

set(violations "")
macro(violation text)
  string(APPEND violations "  ${text}\n")
endmacro()

# Which row of the table a file belongs to.
function(layer_of file out)
  if(file MATCHES "^backends/(cpu|opencl)/")
    set(layer backends_${CMAKE_MATCH_1})
  else()
    string(REGEX REPLACE "/.*" "" layer ${file})
  endif()
  set(${out} ${layer} PARENT_SCOPE)
endfunction()

# The folder in which a private header may be used: kernels/ and ops/ belong to their parent.
function(home_of file out)
  get_filename_component(folder ${file} DIRECTORY)
  string(REGEX REPLACE "/(kernels|ops)$" "" folder ${folder})
  set(${out} ${folder} PARENT_SCOPE)
endfunction()

set(names "")
set(n_files 0)
foreach(folder engine backends io net tools tests)
  file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/${folder}/*.c ${ROOT}/${folder}/*.h)
  foreach(file ${files})
    math(EXPR n_files "${n_files} + 1")
    layer_of(${file} layer)
    if(NOT DEFINED ALLOW_${layer})
      violation("${file}: no row for ${layer} in the table of check_layers.cmake")
      continue()
    endif()
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
      violation("${file}: ${n_lines} lines, at most ${MAX_LINES}; it wants to be two files")
    endif()

    if(text MATCHES "[^_a-z]getenv[ ]*\\(" AND NOT file STREQUAL "engine/base/env.c" AND NOT layer STREQUAL "tests")
      violation("${file} calls getenv; u3d_env_get is the one place")
    endif()

    string(REGEX MATCHALL "#[ \t]*include[ \t]+[<\"][^>\"]+[>\"]" includes "${text}")
    foreach(include ${includes})
      string(REGEX REPLACE ".*([<\"])([^>\"]+)[>\"]" "\\1" bracket "${include}")
      string(REGEX REPLACE ".*[<\"]([^>\"]+)[>\"]" "\\1" path "${include}")
      if(bracket STREQUAL "\"")
        if(NOT path MATCHES "${ALLOW_${layer}}")
          violation("${file} includes ${path}, which ${layer} may not know")
        elseif(NOT EXISTS ${ROOT}/${path})
          violation("${file} includes ${path}, which does not exist below the repository root")
        endif()
        if(path MATCHES "_impl\\.h$" AND NOT layer STREQUAL "tests")
          home_of(${path} theirs)
          home_of(${file} ours)
          if(NOT ours STREQUAL theirs)
            violation("${file} includes ${path}, which is private to ${theirs}/")
          endif()
        endif()
      elseif(NOT layer STREQUAL "tests")
        foreach(owner backends_cpu backends_opencl io)
          if(path MATCHES "^(${ONLY_${owner}})" AND NOT layer STREQUAL owner AND
             NOT (DEFINED ALSO_${layer} AND path MATCHES "^(${ALSO_${layer}})"))
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
