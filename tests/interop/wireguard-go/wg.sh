#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fz_wg against wireguard-go, in a network namespace of its own that goes away with this script.
# usage: wg.sh PROGRAM [long]     77 = cannot run here
set -u

prog=$1 mode=${2:-short}
if [ -z "${WGT_INSIDE:-}" ]; then
	for tool in wireguard-go wg ip ping unshare; do
		command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
	done
	[ -c /dev/net/tun ] || { echo "skipped: no /dev/net/tun"; exit 77; }
	# The mount namespace hides the control socket's folder from the rest of the machine.
	isolate=(unshare -nm)
	[ "$(id -u)" = 0 ] || isolate=(unshare -Urnm)
	"${isolate[@]}" true 2>/dev/null || { echo "skipped: no network namespaces"; exit 77; }
	WGT_INSIDE=1 exec "${isolate[@]}" "$BASH" "$0" "$@"
fi

umask 077
work=$(mktemp -d)
daemon=
cleanup()
{
	[ -z "$daemon" ] || { kill "$daemon"; wait "$daemon"; } 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
mount -t tmpfs tmpfs /run || { echo "skipped: cannot mount"; exit 77; }
ip link set lo up

failed=0
keys()
{
	wg genkey >"$work/$1.key" && wg pubkey <"$work/$1.key" >"$work/$1.pub"
}
keys theirs
keys ours
wg genpsk >"$work/psk"

# A fresh wireguard-go on port 51821 that knows us on port 51822; more words go to `wg set ... peer`.
start_theirs()
{
	[ -z "$daemon" ] || { kill "$daemon"; wait "$daemon"; } 2>/dev/null
	LOG_LEVEL=${WGT_LOG:-error} wireguard-go -f wgt0 >"$work/log" 2>&1 &
	daemon=$!
	for _ in $(seq 100); do
		[ -S /run/wireguard/wgt0.sock ] && ip link show wgt0 >/dev/null 2>&1 && break
		kill -0 "$daemon" 2>/dev/null || { cat "$work/log"; echo "skipped: wireguard-go does not start"; exit 77; }
		sleep 0.05
	done
	wg set wgt0 private-key "$work/theirs.key" listen-port 51821 peer "$(cat "$work/ours.pub")" \
		preshared-key "$work/psk" endpoint 127.0.0.1:51822 allowed-ips 10.99.0.2/32,fd99::2/128 "$@" || exit 1
	ip addr add 10.99.0.1/24 dev wgt0
	ip addr add fd99::1/64 dev wgt0 nodad
	ip link set wgt0 mtu 1280 up
}
ours() # MODE SECONDS [REKEY_MS]
{
	exec "$prog" "$1" 51822 51821 "$(cat "$work/ours.key")" "$(cat "$work/theirs.pub")" "$(cat "$work/psk")" "${@:2}"
}
check() # NAME CODE
{
	case $2 in
	0) echo "ok      $1" ;;
	77) echo "skipped $1" ;;
	*)
		echo "FAILED  $1"
		failed=1
		;;
	esac
}
ping_ours() # COUNT INTERVAL SIZE: none may get lost
{
	ping -q -c "$1" -i "$2" -s "$3" -W 8 10.99.0.2 >"$work/ping4" &
	local four=$!
	ping -6 -q -c "$1" -i "$2" -s "$3" -W 8 fd99::2 >"$work/ping6"
	local rc=$?
	wait $four && [ $rc = 0 ] && grep -q " 0% packet loss" "$work/ping4" && grep -q " 0% packet loss" "$work/ping6" ||
		{ grep loss "$work"/ping[46]; return 1; }
}
# Our end in the background, theirs starts it all by its first ping.
serve() # NAME MODE COMMAND...
{
	ours "$2" 600 &
	local pid=$!
	sleep 0.3
	"${@:3}"
	local rc=$?
	sleep 0.3
	kill $pid
	wait $pid && check "$1" $rc || check "$1" 1
}
restart_theirs()
{
	ping_ours 20 0.02 100 && start_theirs && ping_ours 20 0.02 100
}

start_theirs
(ours ping 13 2000)
check "we begin, re-key every 2 s, no ping lost" $?

start_theirs
serve "they begin" echo ping_ours 150 0.02 1000

start_theirs
serve "we begin again and again under their traffic, no ping lost" connect ping_ours 400 0.02 100

start_theirs
serve "they repeat an unanswered initiation" silent ping_ours 5 1.2 56

start_theirs
serve "they start anew" echo restart_theirs

start_theirs
serve "they come back with our cookie" cookie ping -q -c 12 -i 1 10.99.0.2 >"$work/out"
grep -E "^(cookie:|ok|FAILED)" "$work/out"

start_theirs
(ours flood 15)
check "we come back with their cookie" $?

if [ "$mode" = long ]; then
	start_theirs
	(ours ping 260)
	check "we begin, re-key at 120 s" $?
	start_theirs
	serve "they begin, re-key at 120 s" echo ping_ours 2500 0.1 500
	[ "$(wg show wgt0 latest-handshakes | cut -f2)" -gt "$(($(date +%s) - 60))" ]
	check "their last handshake is younger than a minute" $?
fi
exit $failed
