#!/usr/bin/env bash
# Run a program of an unpacked Debian swiftlang, whose libraries are newer than this machine's, in a root of its own.
#
#   .ci/swift.sh TREE FOLDER PROGRAM ARG...
#   TREE=$(python3 .ci/debian.py trixie swiftlang libc6-dev libstdc++-14-dev --with-dependencies)
#   .ci/swift.sh "$TREE" ios_demo swift-frontend -parse App/Engine.swift
#
# PROGRAM sees TREE's /usr and /etc read-only, FOLDER read-only as /work where it stands, and $SCRATCH, if set, as
# /scratch. All mounts are made in a mount namespace of their own, so that they are gone when the program ends, however
# it ends. Needs unshare (util-linux); root, or a kernel that gives users namespaces. TIMEOUT seconds (240).
set -euo pipefail
if [ "${1:-}" != --inside ]; then
    root=$(mktemp -d)
    trap 'rmdir "$root"' EXIT
    names=(--mount)
    [ "$(id -u)" = 0 ] || names+=(--map-root-user)
    timeout --kill-after=5 "${TIMEOUT:-240}" unshare "${names[@]}" "$BASH" "$0" --inside "$root" "$@"
    exit
fi
root=$2 tree=$(realpath "$3") folder=$(realpath "$4")
shift 4
mount -t tmpfs -o mode=755 none "$root"
mkdir "$root"/{usr,etc,proc,dev,tmp,work,scratch}
for name in bin lib lib64 sbin; do ln -s "usr/$name" "$root/$name"; done
readonly_bind() {
    mount --bind "$1" "$2"
    mount -o remount,bind,ro "$2"
}
readonly_bind "$tree/usr" "$root/usr"
readonly_bind "$tree/etc" "$root/etc"
readonly_bind "$folder" "$root/work"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
[ -z "${SCRATCH:-}" ] || mount --bind "$SCRATCH" "$root/scratch"
export HOME=/tmp PATH=/usr/libexec/swift/bin:/usr/bin
exec unshare --root="$root" --wd=/work "$@"
