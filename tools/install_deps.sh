#!/usr/bin/env bash
# Installs what building and running u3d needs on Debian and Ubuntu, as root. Arguments name further packages to
# install. On other systems, or without root, prints the names of the packages and ends with exit code 2.
set -eu
packages="gcc libc6-dev cmake ninja-build pkg-config git ca-certificates
  libnifti-dev zlib1g-dev libcjson-dev libpng-dev libpopt-dev libxxhash-dev libclblast-dev"
explain() {
  cat >&2 <<TEXT
$1
What u3d needs:
  Debian, Ubuntu: $(echo $packages)
  Fedora:         gcc cmake ninja-build pkgconf-pkg-config git nifticlib-devel zlib-devel cjson-devel libpng-devel
                  popt-devel xxhash-devel clblast-devel opencl-headers
  Arch:           gcc cmake ninja pkgconf git zlib cjson libpng popt xxhash clblast opencl-headers, and nifticlib (AUR)
  conda-forge:    c-compiler cmake ninja pkg-config git zlib cjson libpng popt xxhash clblast opencl-headers, and the
                  NIfTI C library from its sources (github.com/NIFTI-Imaging/nifti_clib)
The tests need cmocka as well, and PoCL as an OpenCL device. Debian 12 is what u3d is tested on.
TEXT
  exit 2
}
command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
  explain "install_deps.sh installs packages on Debian and Ubuntu only."
missing=""
for p in $packages "$@"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
[ "$(id -u)" -eq 0 ] || explain "Packages are missing. As root: apt-get install$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
