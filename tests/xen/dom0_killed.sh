# SPDX-License-Identifier: MIT
# dom0_killed.sh - in dom0: a guest writes and syncs until the machine is killed.
#
# What it says is passed on at once; the other end knows what has been acknowledged.
cat >/run/killed.desc <<'CFG'
name = "killed"
services = [ "file, kind=file, image=default, squash=none, disk=/dev/vdc, mount=xvda:/srv" ]
guests = [ [ "writer", "elf=/test/probe", "args=append /srv/log 1000000", "memory=32", "service=file" ] ]
CFG
strait deploy /run/killed.desc || exit 1
strait logs -f writer | tr -d '\r' | while read -r line; do
	echo "$line"
	case $line in
	'acknowledged 100') die_now ;;
	esac
done
