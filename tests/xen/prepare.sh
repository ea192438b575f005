# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# prepare.sh - what each boot takes along; sourced by boot.
#
# prepare_NAME [CASE...] fills `files` and `options` for the lab, in folder $work;
# after_NAME looks at what is there once the machine is off ($out, disks in $work).

# sys_row KIND NAME: the rest of the row of sys.tbl for that program, if any.
sys_row() {
	local kind pattern rest
	while read -r kind pattern rest; do
		# shellcheck disable=SC2053
		[ "$kind" = "$1" ] && [[ $2 == $pattern ]] && { echo "$rest"; return 0; }
	done < <(grep -v '^#' "$here/sys.tbl")
	return 1
}

prepare_sys() {
	local exe name size
	mkdir "$work/sys"
	for exe in "$STRAIT_BUILD"/tests/sys/strait/*; do
		name=${exe##*/test_sys_}
		sys_row out "$name" >/dev/null && continue
		[ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
		cp "$exe" "$work/sys/$name"
		size=$(sys_row set "$name") || size="32 60"
		echo "$name $size" >>"$work/list"
	done
	files=("$work/sys" "$work/list")
	seconds=420
}

prepare_bare() {
	cp "$STRAIT_BUILD"/tests/xen/{probe,bare} "$work/"
	sha256sum <"$STRAIT_BUILD/tests/xen/probe" >"$work/probe.sha256"
	files=("$work"/{probe,bare,probe.sha256})
	seconds=300
}
