# Writes OUT with version and commit at build time, touching it only where they changed. A source archive without git says so.
execute_process(COMMAND git -C ${ROOT} describe --always --dirty OUTPUT_VARIABLE commit
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "unknown commit")
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "extern const char u3d_version[];\nconst char u3d_version[] = \"${VERSION} (${commit})\";\n")
