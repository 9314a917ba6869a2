#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs as a service inside the booted tree: both units under a real systemd and systemd-resolved, against a portal on this
# network. One line per check to standard output, as tests/package/package reads them.
PORTAL=ws://127.0.0.1:8081

# check NAME COMMAND...
check()
{
	name=$1
	shift
	if out=$("$@" 2>&1); then
		echo "ok $name"
	else
		echo "FAILED $name: $(echo "$out" | tail -n 3 | tr '\n' ' ') $(journalctl -q --no-pager -o cat -n 6 -u fz-client -u fz-gateway | tr '\n' '|')"
	fi
}

until_true()
{
	for _ in $(seq 200); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	"$@"
}

tunnel()
{
	grep -q tun-firezone /proc/net/dev
}

starts()
{
	systemctl start "$1" && systemctl is-active "$1" && tunnel
}

reloads()
{
	main=$(systemctl show -P MainPID "$1")
	systemctl reload "$1" && sleep 1 && systemctl is-active "$1" && [ "$(systemctl show -P MainPID "$1")" = "$main" ]
}

stops()
{
	systemctl stop "$1" && [ "$(systemctl show -P Result "$1")" = success ] && ! tunnel
}

restarts_after_a_kill()
{
	main=$(systemctl show -P MainPID "$1")
	[ "$main" -gt 1 ] && kill -9 "$main" &&
		until_true restarted "$1" "$main"
}

restarted()
{
	[ "$(systemctl show -P ActiveState "$1")" = active ] && [ "$(systemctl show -P MainPID "$1")" != "$2" ]
}

# a6_9: the resolver of the system asks the tunnel's name servers, and expands short names.
resolved_asks_us()
{
	resolvectl dns tun-firezone | grep -q '100\.100\.111\.' && resolvectl domain tun-firezone | grep -q 'corp\.example'
}

resolved_asks_others()
{
	! resolvectl dns tun-firezone
}

no_token()
{
	! systemctl start "$1" && journalctl -q --no-pager -o cat -u "$1" | grep -q 'token'
}


check gateway-without-token no_token fz-gateway
echo gateway-token-1 >/etc/firezone/gateway-token
printf 'FIREZONE_API_URL=%s\nFIREZONE_ID=gw-1\n' "$PORTAL" >/etc/firezone/gateway-env
systemctl stop fz-gateway
check gateway-starts starts fz-gateway
check gateway-reloads reloads fz-gateway
check gateway-restarts restarts_after_a_kill fz-gateway
check gateway-stops stops fz-gateway

umask 077
printf 'FIREZONE_API_URL=%s\nFIREZONE_ID=cl-1\n' "$PORTAL" >>/etc/default/fz-client
check a6.9-resolved-does-not-yet resolved_asks_others
check client-without-token no_token fz-client
systemctl stop fz-client
echo client-token-1 >/etc/dev.firezone.client/token
check a14.1-client-starts starts fz-client
check a6.9-resolved-asks-the-client until_true resolved_asks_us
check client-reloads reloads fz-client
check client-restarts restarts_after_a_kill fz-client
check client-stops stops fz-client
