#!/bin/bash
# Process 1 of a sandbox host: gives the inner engine a cgroup tree that it may write to, then keeps sshd and
# the engine running, as a service manager would.
set -u
trap 'exit 0' TERM INT

# Each host has a cgroup namespace of its own, so what is below is the host's own part of the tree and goes away
# with it. A container gets it read-only unless it is privileged; CAP_SYS_ADMIN is enough to change that.
while read -r _ folder kind _; do
  case $kind in cgroup | cgroup2) mount -o remount,bind,rw "$folder" ;; esac
done </proc/mounts

# cgroup v2: a group with children of its own may hold no process, so this host's processes move to a leaf first.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir -p /sys/fs/cgroup/boot
  while read -r process; do
    echo "$process" >/sys/fs/cgroup/boot/cgroup.procs
  done </sys/fs/cgroup/cgroup.procs
  for controller in $(</sys/fs/cgroup/cgroup.controllers); do
    echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
  done
fi

mkdir -p /run/sshd

# There is nothing outside to be found: an engine that looks for an image in a registry gives up at once.
echo 'nameserver 127.0.0.1' >/etc/resolv.conf

keep() {
  while :; do
    "$@"
    sleep 0.2
  done
}

# sshd comes up as soon as the host's key was put in place. The address pools stay clear of those that engines
# take by default, so that an inner network never hides the network that the host itself stands in.
keep /usr/sbin/sshd -D >>/var/log/sshd.log 2>&1 &
keep dockerd --log-level warn --bip 10.201.255.1/24 --default-address-pool base=10.201.0.0/17,size=24 \
  >>/var/log/dockerd.log 2>&1 &
wait
