# SPDX-License-Identifier: MIT
# cases.sh - test cases in dom0; source it, define functions case_NAME, end with `cases`.
# Functions long_NAME are cases, too, that run only when they are asked for (long).
#
# Each case runs in a shell of its own.  /out/results gets a line "ok NAME SECONDS" or
# "not ok NAME SECONDS"; what a case says goes to /out/case.NAME too.

# A failed case leaves no domain behind for the next (other cases may keep theirs: a
# boot's services).
leave_none() {
	local name
	for name in $(xl list | awk 'NR > 1 {print $1}'); do
		case " $1 " in *" $name "*) ;; *) echo "destroyed what was left: $name"; xl destroy "$name" ;; esac
	done
}

# fail TEXT: end this case.
fail() {
	echo "FAILED: $*"
	exit 1
}

# want TEXT COMMAND...: the command must succeed.
want() {
	local what=$1
	shift
	"$@" || fail "$what"
}

# result NAME STATUS SECONDS-TIMES-100
result() {
	local word=ok
	[ "$2" = 0 ] || word="not ok"
	echo "$word $1 $(($3 / 100)).$(printf %02d $(($3 % 100)))" | tee -a /out/results
}

# cases [SCRIPT...]: every case_NAME in them, in order; if there is a /test/only, those
# that it names, also long_NAME.
cases() {
	local name kind begin before rc all=0
	[ $# -gt 0 ] || set -- .script
	: >>/out/results
	for name in $(sed -n 's/^\(case_[a-z0-9_]*\|long_[a-z0-9_]*\)().*/\1/p' "$@"); do
		kind=${name%%_*} name=${name#*_}
		if [ -e /test/only ]; then
			grep -qx "$name" /test/only || continue
		elif [ $kind = long ]; then
			continue
		fi
		begin=$(now)
		before=$(xl list | awk 'NR > 1 {print $1}' | tr '\n' ' ')
		echo "# $name"
		{ ("${kind}_$name"); echo $? >/run/case.status; } 2>&1 | tee "/out/case.$name"
		rc=$(cat /run/case.status)
		result "$name" "$rc" $(($(now) - begin))
		[ "$rc" = 0 ] || { leave_none "$before"; all=1; }
	done
	return $all
}
