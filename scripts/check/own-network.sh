#!/bin/sh
# Runs a program in a network of its own, under `unshare --net`: what an engine does there to the rules for packets disturbs
# no other engine of this machine. It has a loopback and one address more, as a host has.
set -eu
ip link set lo up
ip link add host0 type veth peer name host0-peer
ip address add 198.51.100.7/24 dev host0
ip link set host0 up
ip link set host0-peer up
exec "$@"
