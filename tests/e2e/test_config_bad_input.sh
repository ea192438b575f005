#!/bin/bash
# SPDX-License-Identifier: MIT
# Descriptions with mistakes: one sentence with file, line and key, status 125.
. "$(dirname "$0")/run/lib.sh"

export STRAIT_FSD=$T/stand_in_service STRAIT_NETD=$T/stand_in_service
G=$W/bin/stand_in_guest
D=$W/d.cfg

# bad NAME TEXT LINE...: a description of these lines is refused so.
bad()
{
	local name=$1 text=$2

	shift 2
	printf '%s\n' "$@" >"$D"
	expect "$name" 125 "$text" "$STRAIT" run --config "$D"
}

bad syntax "$D:2: config parsing error near" 'services = [' 'x = 3'
bad string_not_closed "$D:1: config parsing error" 'name = "x'
bad unknown_key "$D:2: domains: no such key" '# a comment' 'domains = []'
bad key_of_xl "$D:1: kernel: no such key" 'kernel = "x"'
bad list_wanted "$D:1: parameter \`guests' is a single value but should be a list" 'guests = "x"'
bad string_wanted "$D:1: parameter \`name' is a list but should be a single value" 'name = [ "x" ]'
bad bad_name "$D: name a b: want" 'name = "a b"' "guests = [ \"g,elf=$G\" ]"
bad name_with_a_dot "$D: name a.b: want" 'name = "a.b"' "guests = [ \"g,elf=$G\" ]"
bad nothing "$D: describes no service and no guest" ''
bad no_guest "$D: guests: none is described" 'services = [ "kind=file" ]'
bad unknown_service_key "$D:2: memry: a service has no such key" 'services = [' '"f,kind=file,memry=3" ]'
bad unknown_guest_key "$D:3: kernel: a guest has no such key" 'guests = [' '[ "g",' '"kernel=x" ] ]'
bad no_kind "$D:1: kind: f has none" 'services = [ "f" ]'
bad bad_kind "$D:1: kind disk: want file or net" 'services = [ "f,kind=disk" ]'
bad key_of_the_other_kind "$D:1: bridge: a service of kind=file has no such key" 'services = [ "f,kind=file,bridge=br0" ]'
bad disk_of_net "$D:1: disk: a service of kind=net has no such key" 'services = [ "f,kind=net,disk=/x" ]'
bad value_missing "$D:1: memory : want a number" 'services = [ "f,kind=file,memory=" ]'
bad no_value "$D:1: memory: want KEY=VALUE" 'services = [ "f,kind=file,memory" ]'
bad empty_part "$D:1: nothing stands between two commas" 'services = [ "f,,kind=file" ]'
bad open_quote "$D:1: a quote is not closed" "services = [ \"f,kind='file\" ]"
bad little_memory "$D:1: memory 16: want a number from 32" 'services = [ "f,kind=file,memory=16" ]'
bad hang_in_words "$D:1: hang soon: want whole seconds" 'services = [ "f,kind=file,hang=soon" ]'
bad paused_for_days "$D:1: paused 86401: want a number from 0 to 86400" 'services = [ "f,kind=file,paused=86401" ]'
bad bad_image "$D:1: image debian: want default, dom0" 'services = [ "f,kind=file,image=debian" ]'
bad bad_mount "$D:1: mount /data: want SOURCE:GUESTDIR" 'services = [ "f,kind=file,mount=/data" ]'
bad mount_of_no_disk "$D:1: mount xvdb:/: the service has no such disk" 'services = [ "f,kind=file,disk=/x,mount=xvdb:/" ]'
bad mount_relative "$D:1: mount mem:tmp: the guest's directory must be an absolute path" 'services = [ "f,kind=file,mount=mem:tmp" ]'
bad mount_option "$D:1: mount ./x:/x:rx: after GUESTDIR want" 'services = [ "f,kind=file,mount=./x:/x:rx" ]'
bad mount_size "$D:1: mount mem:/x:12q: after GUESTDIR want" 'services = [ "f,kind=file,mount=mem:/x:12q" ]'
bad mount_twice "$D:1: mount mem:/x: something is mounted" 'services = [ "f,kind=file,mount=mem:/x,mount=mem:/x" ]'
bad write_on_read_only_disk "$D:1: mount xvda:/:rw: the disk is read-only" 'services = [ "f,kind=file,disk=/x:ro,mount=xvda:/:rw" ]'
bad bad_squash "$D:1: squash root: want UID" 'services = [ "f,kind=file,squash=root" ]'
bad bad_ip "$D:1: ip 192.0.2.1: want ADDRESS/PREFIX" 'services = [ "n,kind=net,ip=192.0.2.1" ]'
bad two_ips "$D:1: ip 192.0.2.2/24: one IPv4" 'services = [ "n,kind=net,ip=192.0.2.1/24,ip=192.0.2.2/24" ]'
bad bad_gateway "$D:1: gateway gw: want an address" 'services = [ "n,kind=net,gateway=gw" ]'
bad bad_mac "$D:1: mac 01:00:00:00:00:00: want the address" 'services = [ "n,kind=net,mac=01:00:00:00:00:00" ]'
bad bad_stack "$D:1: stack linux: want lwip or host" 'services = [ "n,kind=net,stack=linux" ]'
bad reserved_xl "$D:1: xl memory=3: this setting is made from other keys" 'services = [ "n,kind=net,xl=memory=3" ]'
bad bad_log "$D:1: log loud: want a list" 'services = [ "n,kind=net,log=loud" ]'
bad same_name "$D:2: name a: another entry is called so" "services = [ 'a,kind=file' ]" "guests = [ 'a,elf=$G' ]"
bad nameless_guest "$D:1: name: this guest has none" "guests = [ 'elf=$G' ]"
bad no_elf "$D:1: elf: g has none" "guests = [ 'g' ]"
bad two_elfs "$D:1: elf b: the guest has a program already" "guests = [ 'g,elf=a,elf=b' ]"
bad bad_args "$D:1: args 'x: a quote is not closed" "guests = [ [ \"g\", \"elf=$G\", \"args='x\" ] ]"
bad bad_env "$D:1: env HOME: want NAME=VALUE" "guests = [ 'g,elf=$G,env=HOME' ]"
bad bad_uid "$D:1: uid root: want a number" "guests = [ 'g,elf=$G,uid=root' ]"
bad bad_groups "$D:1: groups x: want a number" "guests = [ 'g,elf=$G,groups=x' ]"
bad bad_cwd "$D:1: cwd tmp: want an absolute path" "guests = [ 'g,elf=$G,cwd=tmp' ]"
bad bad_hostname "$D:1: hostname a/b: want 1 to 63" "guests = [ 'g,elf=$G,hostname=a/b' ]"
bad unknown_service "$D:1: service x: no service of this name" "guests = [ 'g,elf=$G,service=x' ]"
bad two_of_a_kind "$D:2: service: g could use f1 or f2; say which" "services = [ 'f1,kind=file', 'f2,kind=file' ]" "guests = [ 'g,elf=$G' ]"
bad both_of_a_kind "$D:2: service f2: the guest uses f1 already" "services = [ 'f1,kind=file', 'f2,kind=file' ]" "guests = [ 'g,elf=$G,service=f1,service=f2' ]"
bad port_without_net "$D:1: port 80:80: the guest uses no service of kind=net" "guests = [ 'g,elf=$G,port=80:80' ]"
bad bad_port "$D:2: port 80: want [ADDR:]HOSTPORT" "services = [ 'n,kind=net' ]" "guests = [ 'g,elf=$G,port=80' ]"
bad mount_without_file "$D:1: mount mem:/x: the guest uses no service of kind=file" "guests = [ 'g,elf=$G,mount=mem:/x' ]"
bad shares_half "$D:2: service: hosted, guests that share file must share net too" \
	"services = [ 'f,kind=file', 'n1,kind=net', 'n2,kind=net' ]" \
	"guests = [ 'g,elf=$G,service=f,service=n1', 'h,elf=$G,service=f,service=n2' ]"
bad folder_is_missing "-v $W/none: no such directory" "services = [ 'f,kind=file,mount=./none:/x' ]" "guests = [ 'g,elf=$G' ]"
bad image_is_missing "disk $W/none: No such file" "services = [ 'f,kind=file,disk=none,mount=xvda:/x' ]" "guests = [ 'g,elf=$G' ]"
printf 'a\0b' >"$D"
expect zero_bytes 125 "$D: holds zero bytes" "$STRAIT" run --config "$D"
expect no_file 125 "$W/none: cannot be read" "$STRAIT" run --config "$W/none"
expect a_folder 125 "$W: is not a regular file" "$STRAIT" run --config "$W"
expect with_a_program 125 "--config $D: takes no other option" "$STRAIT" run --config "$D" "$G"
expect with_an_option 125 "--config $D: takes no other option" "$STRAIT" run --net none --config "$D"
printf 'guests = [ "g,elf=none" ]' >"$D"
expect no_program 127 "$W/none: no such program" "$STRAIT" run --config "$D"
printf 'guests = [ "g,elf=/bin/true" ]' >"$D"
expect not_ours 126 "/bin/true: is linked dynamically" "$STRAIT" run --config "$D"

# A machine without Xen's libraries.
for lib in /usr/lib/x86_64-linux-gnu/libxlutil.so* /lib/x86_64-linux-gnu/libxlutil.so*; do
	[ -f "$lib" ] && mount --bind /dev/null "$lib" 2>/dev/null
done
expect no_libxlutil 125 "Xen's library libxlutil, which this machine does not have" "$STRAIT" run --config "$D"
finish
