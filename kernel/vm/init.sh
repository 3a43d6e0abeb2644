#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# PID 1 of the VM: makes the root usable, runs /job/run.sh, reports its status, powers off.
#
# The root is a read-only image, everything writable is tmpfs, and what comes from the host by 9p lies
# under an overlay, so nothing that runs here changes anything there, except in /share.

export PATH=/usr/sbin:/usr/bin

from_host() { # TAG PLACE: a directory of the host, seen as it is, changes kept in memory
	mkdir -p "$2" "/run/host/$1" "/run/changes/$1/upper" "/run/changes/$1/work"
	mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000,cache=loose "$1" "/run/host/$1" &&
		mount -t overlay -o "lowerdir=/run/host/$1,upperdir=/run/changes/$1/upper,workdir=/run/changes/$1/work" \
			"$1" "$2"
}

# What the command left running would hold the pipes open for ever. PID 1 and its helpers are in session 0.
kill_the_rest() {
	found=yes
	while [ "$found" ]; do
		found=
		for process in /proc/[0-9]*; do
			read -r line <"$process/stat" || continue
			set -- ${line##*) } # state, parent, group, session, ...
			[ "$4" = 0 ] || [ "$1" = Z ] || { found=yes && kill -9 "${process#/proc/}"; }
		done
	done 2>/dev/null
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
for place in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $place; done
for place in /run /root; do mount -t tmpfs -o mode=755 tmpfs $place; done
ifconfig lo up
hostname stasis-vm

# No cache where host and guest both write: a cached write may be lost at power-off.
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none job /job
. /job/settings.sh
from_host repository "$REPOSITORY"
from_host modules /var/deno
[ -z "$SHARE" ] ||
	mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=none share /share

# The ports are named by the host; their numbers depend on the order of discovery.
for port in /sys/class/virtio-ports/*; do
	case $(cat "$port/name") in
		stasis.out) out=/dev/${port##*/} ;;
		stasis.err) err=/dev/${port##*/} ;;
	esac
done

# Through pipes, because a port can be opened only once and a command may open /dev/stdout again.
mkfifo /run/out /run/err
cat </run/out >"$out" &
copy_out=$!
cat </run/err >"$err" &
copy_err=$!

setsid sh /job/run.sh </dev/null >/run/out 2>/run/err &
wait $!
status=$?
kill_the_rest
wait $copy_out $copy_err
echo "$status" >/job/status
sync
poweroff -f
