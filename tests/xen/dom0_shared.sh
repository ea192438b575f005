# SPDX-License-Identifier: MIT
# dom0_shared.sh - in dom0: the services are processes there.
image=dom0
file="mount=/srv:/srv"
net="interface=vnet1"
bridge_with_vnet1
mkdir -p /srv
mount -t ext4 /dev/vdc /srv || exit 1

files_are_equal() { cmp /srv/wget.out /test/www/index.html && cmp /srv/curl.out /test/www/big.bin; }

. ./services.sh

# In the same run: a null call from a guest to fsd in dom0, and 16 bytes there and back
# between a bare guest and a libxenvchan server in dom0.
case_null_calls_against_a_bare_guest() {
	local path=/local/domain/0/data/echo ours bare
	deploy figures '[ "calls", "elf=/test/probe", "args=calls /srv/calls 1000", "memory=32" ]' ||
		fail "strait deploy"
	waits calls 0
	ours=$(sed -n 's/.*calls, \([0-9]*\) us.*/\1/p' /run/calls.said)
	strait down figures || fail "strait down"
	guest ring /test/bare 16 "vchan 0 $path 1000"
	start ring -p || fail "the bare guest was not created"
	vchan-echo "$(id ring)" $path 1000 >/run/echo &
	soon grep -q ready /run/echo || fail "no echo server"
	xl unpause ring
	ended ring 60
	wait
	gone ring
	bare=$(sed -n 's/round-trip \([0-9]*\) us/\1/p' /run/echo)
	[ -n "$ours" ] && [ -n "$bare" ] || fail "no figures"
	say "null RPC $ours us, libxenvchan to a bare guest $bare us: $((ours * 100 / bare)) %" | tee -a /out/figures
}

cases services.sh .script
rc=$?
umount /srv || rc=1
exit $rc
