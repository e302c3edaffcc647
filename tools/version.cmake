# Runs at build time and writes the version and the commit to the C file OUT. The file is touched only if they changed.
# In a source archive without git, the commit is "unknown commit".
execute_process(COMMAND git -C ${ROOT} describe --always --dirty OUTPUT_VARIABLE commit
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "unknown commit")
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "extern const char u3d_version[];\nconst char u3d_version[] = \"${VERSION} (${commit})\";\n")
