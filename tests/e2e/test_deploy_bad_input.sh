#!/bin/bash
# SPDX-License-Identifier: MIT
# What strait deploy refuses before it makes anything: a sentence that names the thing.
. "$(dirname "$0")/xen/lib.sh"

# one NAME STATUS TEXT SERVICES GUESTS
one()
{
	printf 'services = [ %s ]\nguests = [ %s ]\n' "$4" "$5" >"$W/site.cfg"
	refused "$1" "$2" "$3"
	[ "$(wc -l <"$W/err")" = 1 ] || fail "$1: not one line: $(cat "$W/err")"
	grep -q "^create" "$FAKE_XEN/calls" && fail "$1: something was created"
}
file='"file, kind=file"'

fresh
one nothing 125 "site.cfg: describes no service and no guest" "" ""
one no_bridge 125 "bridge br7: there is no such bridge" '"net,kind=net,bridge=br7,ip=192.0.2.9/24"' ""
one no_bridge_but_an_interface 125 "bridge lo: that interface is no bridge" '"net,kind=net,bridge=lo,ip=192.0.2.9/24"' ""
one no_bridge_given 125 "bridge: net has none" '"net,kind=net,ip=192.0.2.9/24"' ""
one host_stack_in_a_domain 125 "stack host: a service domain's kernel has no address" '"net,kind=net,bridge=br0,stack=host"' ""
one no_address 125 "ip: net has none" '"net,kind=net,bridge=br0"' ""
one no_interface 125 "interface eth9: dom0 has no such interface" '"net,kind=net,image=dom0,interface=eth9,ip=192.0.2.9/24"' ""
one bridge_in_dom0 125 "a service in dom0 has no interface of its own" '"net,kind=net,image=dom0,bridge=br0,ip=192.0.2.9/24"' ""
one no_disk 125 "disk $W/none: no such block device or image" '"file,kind=file,disk=none"' ""
one disk_is_a_folder 125 "is neither a block device nor an image" "\"file,kind=file,disk=$W\"" ""
: >"$W/empty.img"
one disk_is_empty 125 "the image is empty" '"file,kind=file,disk=empty.img"' ""
one disk_in_dom0 125 "a service in dom0 mounts folders" '"file,kind=file,image=dom0,disk=disk.img"' ""
one folder_of_dom0 125 "a folder of dom0" '"file,kind=file,mount=./www:/www"' ""
one no_folder 125 "mount $W/nowhere: there is no such folder" '"file,kind=file,image=dom0,mount=./nowhere:/www"' ""
one no_image 125 "image $W/im: there is no file vmlinuz in it" '"file,kind=file,image=./im"' ""
one name_with_a_dot 125 "has no dot" '"fi.le,kind=file"' ""
one no_program 127 "$W/none: no such program" "$file" '"g,elf=none"'
one program_without_xen_note 126 "it has no Xen note (PHYS32_ENTRY)" "$file" "\"g,elf=$T/stand_in_guest\""
one not_from_strait_cc 126 "linked dynamically" "$file" '"g,elf=/bin/true"'
one too_little_memory 125 "memory: the domains need 2155 MiB" "$file" '"g,elf=guest,memory=2000"'
one long_command_line 125 "make a command line of" "$file" "\"g,elf=guest,args=$(head -c 4000 /dev/zero | tr '\0' x)\""
mkdir -p "$FAKE_XEN/doms"; echo "site.g 0-0 16 r----- -" >"$FAKE_XEN/doms/3"
printf 'guests = [ "g, elf=guest" ]\n' >"$W/site.cfg"
CASE=name_is_taken
"$STRAIT" deploy "$W/site.cfg" 2>"$W/err"; is status $? 125
grep -q "site.cfg:1: name site.g: domain 3 is called so already" "$W/err" || fail "$CASE: $(cat "$W/err")"
is untouched "$(cat "$FAKE_XEN/doms/3")" "site.g 0-0 16 r----- -"
rm "$FAKE_XEN/doms/3"
passed

CASE=check_alone_makes_nothing
"$STRAIT" deploy --check "$W/site.cfg" >"$W/out" 2>"$W/err" || fail "$CASE: $(cat "$W/err")"
is says "$(cat "$W/out")" "site can be deployed: 0 services, 1 guests"
gone
passed

STRAIT_AGENT=$W/none one no_agent 125 "strait-agent, which runs services there, is not installed" '"file,kind=file,image=dom0"' ""
rm -r "$STRAIT_IMAGES/default"
STRAIT=$W/bin/strait one no_mkimage 125 "mkimage, which builds it, is not installed" "$file" ""

fresh
printf 'guests = [ "g, elf=guest" ]\n' >"$W/site.cfg"
echo "virt_caps : pv" >"$FAKE_XEN/info"
refused no_pvh 125 "Xen here cannot run PVH domains (virt_caps: pv)"
echo "xencall: error: Could not obtain handle on privileged command interface: No such file or directory" >"$FAKE_XEN/dead"
refused not_on_xen 125 "this machine does not run Xen: xl info says: xencall: error"
fresh
mv "$FAKE_XEN/store" "$FAKE_XEN/no-store"
refused no_xenstored 125 "cannot reach xenstore: Connection refused; is xenstored running?"
PATH=/usr/bin:/bin refused no_xl 125 "this machine does not run Xen (there is no xl in PATH)"
mv "$FAKE_XEN/no-store" "$FAKE_XEN/store"
chmod -R a+rwX "$W"
CASE=not_root
$user env PATH="$PATH" "$W/bin/strait" deploy "$W/site.cfg" >"$W/out" 2>"$W/err"; is status $? 125
grep -q "only root of dom0" "$W/err" || fail "$CASE: $(cat "$W/err")"
passed

refused no_file 125 "$W/nothing.cfg: cannot be read: No such file" "$W/nothing.cfg"
refused no_argument 125 "deploy: want" --frob
for cmd in "down nothing" "logs nothing" "console nothing" "wait nothing"; do
	CASE="no_such_thing: $cmd"
	"$STRAIT" $cmd 2>"$W/err"; is status $? 125
	grep -q "^strait: .*nothing" "$W/err" || fail "$CASE: $(cat "$W/err")"
	passed
done
ip link del br0
finish
