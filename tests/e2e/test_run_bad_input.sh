#!/bin/bash
# SPDX-License-Identifier: MIT
# What strait run refuses: one sentence, the documented status, nothing left.
. "$(dirname "$0")/run/lib.sh"

export STRAIT_FSD=$T/stand_in_service STRAIT_NETD=$T/stand_in_service
G=$W/bin/stand_in_guest
run="$STRAIT run"

expect no_command 125 "no command" "$STRAIT"
expect unknown_command 125 "unknown command frob" "$STRAIT" frob
expect no_program 125 "no program given" $run
expect unknown_option 125 "unknown option --frob" $run --frob "$G"
expect option_without_value 125 "--name needs a value" $run --name
expect value_where_none_is 125 "--strace takes no value" $run --strace=1 "$G"
expect bad_volume 125 "-v $W: want HOSTDIR:GUESTDIR" $run -v "$W" "$G"
expect relative_guest_path 125 "absolute path" $run -v "$W:data" "$G"
expect dotdot_guest_path 125 "absolute path" $run -v "$W:/a/../b" "$G"
expect bad_volume_mode 125 "must be ro or rw" $run -v "$W:/a:rx" "$G"
expect mounted_twice 125 "mounted on that directory already" $run -v "$W:/a" --mem /a/ "$G"
expect missing_source 125 "-v $W/none: no such directory" $run -v "$W/none:/a" "$G"
expect source_is_a_file 125 "is not a directory" $run -v "$G:/a" "$G"
expect bad_mem_size 125 "--mem /a:12q" $run --mem /a:12q "$G"
expect zero_mem_size 125 "--mem /a:0" $run --mem /a:0 "$G"
expect bad_memory 125 "--memory 1k" $run --memory 1k "$G"
expect huge_memory 125 "--memory 99999999999999999999" $run --memory 99999999999999999999 "$G"
expect bad_cpus 125 "--cpus 0" $run --cpus 0 "$G"
expect bad_user 125 "-u root" $run -u root "$G"
expect bad_net 125 "--net wifi" $run --net wifi "$G"
expect bad_port 125 "-p 80" $run -p 80 "$G"
expect port_too_large 125 "-p 70000:80" $run -p 70000:80 "$G"
expect bad_port_address 125 "-p example.org:80:80" $run -p example.org:80:80 "$G"
expect bad_port_protocol 125 "-p 80:80/sctp" $run -p 80:80/sctp "$G"
expect ports_without_network 125 "nothing to publish" $run --net none -p 8080:80 "$G"
expect bad_log 125 "--log frob" $run --log frob "$G"
expect bad_name 125 "--name a/b" $run --name a/b "$G"
expect payload_without_trace 125 "--trace-payload" $run --trace-payload "$G"
expect missing_env_file 125 "--env-file $W/none" $run --env-file "$W/none" "$G"
expect bad_env 125 "-e =x" $run -e =x "$G"
expect trace_in_missing_folder 125 "$W/none/t" $run --trace "$W/none/t" "$G"
expect trace_on_full_disk 125 "/dev/full" $run --trace /dev/full "$G"

# Programs that cannot run.
expect missing_program 127 "$W/none: no such program" $run "$W/none"
expect missing_program_in_path 127 "nosuchprogram" $run nosuchprogram
expect program_is_a_directory 126 "not a regular file" $run "$W"
expect native_program 126 "linked dynamically" $run /bin/true
printf '#!/bin/sh\n' >"$W/script" && chmod +x "$W/script"
expect script 126 "is a script" $run "$W/script"
echo hello >"$W/text" && chmod +x "$W/text"
expect text_file 126 "is not an ELF program" $run "$W/text"
: >"$W/empty" && chmod +x "$W/empty"
expect empty_file 126 "is not an ELF program" $run "$W/empty"
head -c 40 "$G" >"$W/cut" && chmod +x "$W/cut"
expect cut_in_the_header 126 "truncated ELF" $run "$W/cut"
head -c 20000 "$G" >"$W/cut2" && chmod +x "$W/cut2"
expect cut_in_a_segment 126 "truncated ELF" $run "$W/cut2"
cp "$G" "$W/arm" && printf '\267' | dd of="$W/arm" bs=1 seek=18 conv=notrunc status=none
expect other_machine 126 "not for x86-64" $run "$W/arm"
cp "$G" "$W/noexec" && chmod -x "$W/noexec"
expect not_executable 126 "chmod +x" $run "$W/noexec"
cp "$G" "$W/old" && python3 - "$W/old" <<'P'
import sys
p = sys.argv[1]
b = bytearray(open(p, 'rb').read())
i = b.index(b'Strait\0\0')
b[i + 8] = 77
open(p, 'wb').write(b)
P
expect other_abi 126 "another version of strait-cc" $run "$W/old"
cp "$G" "$W/nonote" && python3 - "$W/nonote" <<'P'
import sys
p = sys.argv[1]
b = bytearray(open(p, 'rb').read())
i = b.index(b'Strait\0\0')
b[i] = ord('s')
open(p, 'wb').write(b)
P
expect no_note 126 "not built by strait-cc" $run "$W/nonote"

# Services that are none.
STRAIT_FSD=$W/none expect missing_service 125 "STRAIT_FSD" $run "$G"
STRAIT_FSD=/bin/true expect not_a_service 125 "ended before it was ready" $run "$G"
STRAIT_FSD=$T/stand_in_service_VERSION expect other_protocol_version 125 \
	"speaks protocol version 42" $run "$G"
STRAIT_NETD=$T/stand_in_service_VERSION expect other_protocol_version_of_netd 125 \
	"speaks protocol version 42" $run "$G"
STRAIT_FSD=$T/stand_in_service_GARBAGE expect garbage 125 "does not speak" $run "$G"
STRAIT_FSD=$T/stand_in_service_DIES expect service_dies 125 "ended while the guest ran" \
	$run --recover 0 "$G" deaf
STRAIT_FSD=$T/stand_in_service_SILENT expect silent_service 125 "does not say that it is ready" \
	$run "$G"
STRAIT_FSD=$T/stand_in_service_CLINGS expect clinging_service 3 "did not let go" \
	$run "$G" exit 3

# Ports.
python3 -c '
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen()
open("'"$W"'/listens", "w")
time.sleep(60)' &
for _ in $(seq 100); do
	[ -e "$W/listens" ] && break
	sleep 0.1
done
expect port_taken 125 "port 8080 is taken" $run -p 8080:80 "$G"
kill %1; wait
expect port_of_no_address 125 "-p 192.0.2.9:80:80" $run -p 192.0.2.9:80:80 "$G"

# An ordinary user.
STRAIT=$W/bin/strait
cp "$T/stand_in_service" "$W/bin/"
chmod a+rx "$W/bin"/*
export STRAIT_FSD=$W/bin/stand_in_service STRAIT_NETD=$W/bin/stand_in_service
run="$user $STRAIT run"
echo 1 >/proc/sys/net/ipv4/ip_unprivileged_port_start 2>/dev/null
sysctl -qw net.ipv4.ip_unprivileged_port_start=1024
expect low_port_for_a_user 125 "for root only" $run -p 80:80 "$G"
[ "$whos" = root ] && finish
chmod 0600 /dev/net/tun
expect no_tap_permission 125 "may not open /dev/net/tun" $run "$G"
chmod 0666 /dev/net/tun
# In a user namespace of its own, that shall have none below it.
no_userns()
{
	unshare --user --map-root-user sh -c 'echo 0 >/proc/sys/user/max_user_namespaces &&
		exec setpriv --bounding-set=-all --inh-caps=-all -- "$@"' sh "$@"
}
expect user_namespaces_forbidden 125 "does not let user 0 make a user namespace (the limit is reached)" \
	no_userns "$STRAIT" run "$G"
mkdir -m 700 "$W/secret"
expect secret_source 125 "-v $W/secret/x" $run -v "$W/secret/x:/a" "$G"
expect trace_not_allowed 125 "cannot create the trace" $run --trace "$W/t" "$G"
finish
