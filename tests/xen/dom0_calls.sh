# SPDX-License-Identifier: MIT
# dom0_calls.sh - in dom0: the conformance programs that need a service, by strait deploy.
#
# /test/list: a line "NAME KIND MEMORY CWD MOUNT" for each, KIND being file or net; MOUNT is
# "dir" where CWD is a folder of dom0's ext4, "ro" or "mem" where it is such a mount.  All of a
# kind share one service, a process in dom0.  Results as dom0_sys.sh leaves them.
bridge_with_vnet1
mkdir -p /srv
mount -t ext4 /dev/vdc /srv || exit 1
(cd /test/sys && sha256sum *) >/out/sha256

service_file() {
	printf '  [ "file", "kind=file", "image=dom0", "squash=none", "mount=/srv:/t"'
	grep ' file ' /test/list | while read -r name _ _ cwd mount; do
		case $mount in
		mem) printf ', "mount=mem:%s:16m"' "$cwd" ;;
		ro) printf ', "mount=/srv/%s:%s:ro"' "$name" "$cwd" ;;
		esac
		mkdir -p "/srv/$name"
	done
	echo ' ],'
}

service_net() {
	echo '  "file, kind=file, image=dom0",' # /etc
	echo '  "net, kind=net, image=dom0, interface=vnet1, ip=10.55.0.2/24, gateway=10.55.0.1",'
}

# all KIND: bring them up, collect how they ended, take them down.
all() {
	local kind=$1 name rc status begin word
	{
		printf 'name = "%s"\nservices = [\n' "$kind"
		service_"$kind"
		printf ']\nguests = [\n'
		grep " $kind " /test/list | while read -r name _ memory cwd _; do
			printf '  [ "t-%s", "elf=/test/sys/%s", "memory=%s", "cwd=%s" ],\n' \
				"$name" "$name" "$memory" "$cwd"
		done
		printf ']\n'
	} >"/run/$kind.desc"
	strait deploy "/run/$kind.desc"
	rc=$?
	begin=$(now)
	for name in $(awk -v k="$kind" '$2 == k {print $1}' /test/list); do
		word=not-created
		if [ $rc = 0 ]; then
			timeout 180 strait wait "t-$name"
			status=$?
			case $status in
			124|143) word=hangs ;;
			125) word=crash ;;
			*) word=exit-$status ;;
			esac
			strait logs "t-$name" | tr -d '\r' >"/out/$name.console"
		fi
		echo "$name $word $((($(now) - begin) / 100)).0" | tee -a /out/results
	done
	strait down "$kind"
}

all file
all net
umount /srv
! grep -qv ' exit-\(0\|77\) ' /out/results
