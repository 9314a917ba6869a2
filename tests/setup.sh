# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What ./check and ./demo share: messages, packages, builds. To be sourced from the top of the tree.

CLANG_BUILD=build-check-clang
GCC_BUILD=build-check
DEMO_BUILD=build
LOGS=build-log

# package and the file that shows that it (or something as good) is there
build_packages='
meson /usr/bin/meson
ninja-build /usr/bin/ninja
gcc /usr/bin/gcc
g++ /usr/bin/g++
pkg-config /usr/bin/pkg-config
python3 /usr/bin/python3
libssl-dev /usr/include/openssl/evp.h
libjansson-dev /usr/include/jansson.h
libwslay-dev /usr/include/wslay/wslay.h
libcurl4-openssl-dev /usr/include/*/curl/curl.h
libc-ares-dev /usr/include/ares.h
libnl-3-dev /usr/include/libnl3/netlink/netlink.h
libcap-ng-dev /usr/include/cap-ng.h
libmicrohttpd-dev /usr/include/microhttpd.h
libseccomp-dev /usr/include/seccomp.h
libsystemd-dev /usr/include/systemd/sd-daemon.h
libwebsockets-dev /usr/include/libwebsockets.h
check /usr/include/check.h
iproute2 /sbin/ip
util-linux /usr/bin/setpriv
'
doc_packages='
scdoc /usr/bin/scdoc
doxygen /usr/bin/doxygen
'
sanitizer_packages='
clang /usr/bin/clang
libclang-rt-14-dev /usr/lib/clang/*/lib/linux/libclang_rt.fuzzer-x86_64.a
'
lab_packages='
iproute2 /sbin/ip
nftables /usr/sbin/nft
iputils-ping /bin/ping
iperf3 /usr/bin/iperf3
curl /usr/bin/curl
dnsutils /usr/bin/dig
dnsmasq-base /usr/sbin/dnsmasq
coturn /usr/bin/turnserver
procps /sbin/sysctl
util-linux /usr/bin/unshare
'
package_packages='
debhelper /usr/bin/dh
dpkg-dev /usr/bin/dpkg-buildpackage
fakeroot /usr/bin/fakeroot
debootstrap /usr/sbin/debootstrap
systemd-container /usr/bin/systemd-nspawn
git /usr/bin/git
'
# programs of other people that tests and benches run against
peer_packages='
wireguard-go /usr/bin/wireguard-go
dbus-daemon /usr/bin/dbus-daemon
wireguard-tools /usr/bin/wg
binutils /usr/bin/strip
'

say()
{
	printf '\n== %s\n' "$*"
}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# need_packages "$list"...: installs what is missing; does nothing, and needs no network, where all is there
need_packages()
{
	local missing='' name file
	while read -r name file; do
		[ -n "$name" ] || continue
		# shellcheck disable=SC2086 # the file may be a pattern
		compgen -G $file >/dev/null || missing+=" $name"
	done <<<"$*"
	[ -n "$missing" ] || return 0

	say "installing:$missing"
	command -v apt-get >/dev/null || die "no apt-get here. Please install what provides Debian 12's$missing"
	local as_root=()
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || die "root is needed to install$missing"
		as_root=(sudo)
	fi
	mkdir -p "$LOGS"
	local log=$LOGS/apt.log
	# The package lists of a fresh image are absent or too old: try without them first, it is quicker.
	# shellcheck disable=SC2086
	if ! apt_install "${as_root[@]}" -- $missing >"$log" 2>&1; then
		echo "   refreshing the package lists (apt-get update)"
		"${as_root[@]}" apt-get update -q >>"$log" 2>&1 || { tail -5 "$log"; die "apt-get update failed, see $log"; }
		echo "   installing, this takes a minute or two"
		apt_install "${as_root[@]}" -- $missing >>"$log" 2>&1 ||
			{ tail -15 "$log"; die "apt-get install failed, see $log"; }
	fi
	echo "   done"
}

# apt_install [SUDO] -- PACKAGES. Services that packages bring (coturn, iperf3) are not to be started.
apt_install()
{
	local as_root=()
	while [ "$1" != -- ]; do
		as_root+=("$1")
		shift
	done
	shift
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
		apt-get install -q -y --no-install-recommends "$@"
}

# Installed, systemd-resolved would take over the machine's own names: it is only unpacked, for tests that run it in
# namespaces. Without it they are skipped.
need_resolved()
{
	local dir=build-resolved
	[ ! -x /lib/systemd/systemd-resolved ] && [ ! -x $dir/lib/systemd/systemd-resolved ] || return 0
	command -v apt-get >/dev/null || return 0
	mkdir -p $dir "$LOGS"
	(cd $dir && apt-get download -q systemd-resolved && dpkg -x systemd-resolved_*.deb .) >"$LOGS/resolved.log" 2>&1 ||
		echo "   no systemd-resolved, see $LOGS/resolved.log"
}

# build DIR MESON-OPTIONS...: configures once, builds TARGETS or all; on failure shows the compiler's messages
build()
{
	local dir=$1 log=$LOGS/$1.log
	shift
	mkdir -p "$LOGS"
	if [ ! -f "$dir/build.ninja" ]; then
		echo "   meson setup $dir $*"
		rm -rf "$dir"
		meson setup "$dir" "$@" >"$log" 2>&1 || { tail -20 "$log"; echo "meson setup failed, see $log"; return 1; }
	fi
	echo "   ninja -C $dir"
	# shellcheck disable=SC2086 # several words
	if ! ninja -C "$dir" ${TARGETS:-} >"$log" 2>&1; then
		grep -E -A8 'error:|warning:|^FAILED|undefined reference' "$log" | head -60
		echo "the build failed, see $log"
		return 1
	fi
	tail -1 "$log"
}
