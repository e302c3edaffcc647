#!/usr/bin/env bash
# What building and running u3d needs, from Debian's packages. Extra packages may be named as arguments.
set -eu
packages="gcc libc6-dev cmake ninja-build pkg-config git ca-certificates
  libnifti-dev zlib1g-dev libcjson-dev libpng-dev libpopt-dev libxxhash-dev libclblast-dev $*"
missing=""
for p in $packages; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "missing packages; as root: apt-get install$missing" >&2
  exit 2
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
