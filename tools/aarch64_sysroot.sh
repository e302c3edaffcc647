#!/usr/bin/env bash
# Downloads the Debian arm64 packages that u3d needs and unpacks them into the folder $1. Nothing is installed. apt uses
# its own package lists and cache in a temporary folder, so this needs neither root nor a foreign architecture.
set -eu
root=$1
packages="libc6-dev libgomp1 libcmocka-dev
  libnifti-dev zlib1g-dev libcjson-dev libpng-dev libpopt-dev libxxhash-dev libclblast-dev"
[ -f "$root/complete" ] && exit 0
rm -rf "$root"
mkdir -p "$root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
touch "$work/state/status"
apt() {
  apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User="$(id -un)" \
    -o Acquire::Languages=none -o Dir::State="$work/state" -o Dir::State::status="$work/state/status" \
    -o Dir::Cache="$work/cache" "$@"
}
apt update
# shellcheck disable=SC2086
apt install -y --no-install-recommends --download-only $packages
for package in "$work"/cache/archives/*.deb; do dpkg -x "$package" "$root"; done
# Absolute links such as /lib/... would point into the host, so they are replaced by relative links.
find "$root" -type l -lname '/*' | while read -r link; do
  ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$root$(readlink "$link")")" "$link"
done
touch "$root/complete"
