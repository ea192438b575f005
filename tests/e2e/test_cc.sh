#!/bin/bash
# SPDX-License-Identifier: MIT
# strait-cc: what it builds, what it refuses, and what is in the result.
set -u
cc=$STRAIT_BIN/strait-cc
lib=$(cd "$STRAIT_BIN/.." && pwd)/lib/strait
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
cd "$tmp" || exit 1
rc=0
ok() { echo "ok $1"; }
bad() { echo "not ok $1: $2"; rc=1; }
check() { # name command...
	local name=$1
	shift
	if "$@" >out 2>err; then ok "$name"; else bad "$name" "$(tail -n 3 err)"; fi
}
refuses() { # name word command...
	local name=$1 word=$2
	shift 2
	if "$@" >out 2>err; then bad "$name" "it succeeds"
	elif ! grep -q -- "$word" err; then bad "$name" "it says: $(head -n 2 err)"
	else ok "$name"; fi
}

cat >hello.c <<'END'
#include <stdio.h>
int main(void) { puts("hello"); return 0; }
END
cat >two.c <<'END'
int two(void) { return 2; }
END
cat >main.c <<'END'
#include <linux/futex.h>
#include <asm/unistd.h>
#include <sys/queue.h>
#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <limits.h>
#ifndef __strait__
#error __strait__ is not defined
#endif
#ifdef __GLIBC__
#error glibc headers
#endif
int two(void);
static void *t(void *a) { return a; }
int main(int c, char **v)
{
	pthread_t p;
	pthread_create(&p, 0, t, v);
	return two() + (int)sqrt(c) - 3 + FUTEX_WAIT;
}
END

# ---- what works ----
check compiles_and_links "$cc" -O2 hello.c -o hello
check compiles_only "$cc" -c two.c -o two.o
check links_objects_and_libraries "$cc" main.c two.o -o main -lm -lpthread -lrt -ldl
check preprocesses "$cc" -E main.c -o main.i
check makes_dependencies "$cc" -MD -MF main.d -c main.c -o main.o
grep -q 'sysroot/include/linux/futex.h' main.d || bad dependencies_name_the_sysroot "$(cat main.d)"
check makes_assembly "$cc" -S two.c -o two.s
check assembles "$cc" -c two.s -o two2.o
check links_relocatably "$cc" -r -nostdlib two.o -o rel.o
check reads_standard_input sh -c "echo 'int x;' | '$cc' -x c -c - -o x.o"
check takes_pic_and_static "$cc" -fPIC -static -O0 -g hello.c -o hello_g
check takes_paths_with_blanks sh -c "mkdir 'a b' && cp hello.c 'a b/h w.c' && '$cc' 'a b/h w.c' -o 'a b/h w'"
check finds_itself_through_a_link sh -c "ln -s '$cc' ./mycc && ./mycc -c two.c -o /dev/null"
check finds_itself_in_path env PATH="$STRAIT_BIN:$PATH" strait-cc -c two.c -o /dev/null
check tells_its_sysroot test "$("$cc" -print-sysroot)" = "$lib/sysroot"
check tells_its_machine test "$("$cc" -dumpmachine)" = x86_64-linux-musl
"$cc" --version | head -n 1 | grep -q '^strait-cc' || bad tells_its_version "no name"
"$cc" -pie hello.c -o hello_pie 2>err || bad pie_is_ignored "it fails"
grep -q 'note: -pie ignored' err && ok pie_is_ignored_with_a_note || bad pie_note "$(cat err)"

# ---- what is refused ----
refuses shared_is_refused 'no dynamic linker' "$cc" -shared two.c -o two.so
refuses cxx_is_refused 'only C' "$cc" hello.cc -o x
refuses cxx_by_option_is_refused 'only C' "$cc" -x c++ hello.c -o x
refuses m32_is_refused x86-64 "$cc" -m32 hello.c -o x
refuses a_missing_function_is_an_error 'undefined reference' "$cc" -x c - -o x <<<'int nosuch(void); int main(void){return nosuch();}'
refuses the_hosts_libraries_are_not_found 'cannot find -lz\|cannot find -lseccomp' "$cc" hello.c -lz -lseccomp -o x

# ---- what is in it ----
[ "$(stat -c %s hello)" -lt 409600 ] && ok hello_is_under_400_kib ||
	bad hello_is_under_400_kib "$(stat -c %s hello) bytes"
readelf -hW hello | grep -q 'Type:.*EXEC' && ok hello_is_et_exec || bad hello_is_et_exec ""
readelf -lW hello | awk '$1 == "LOAD" && $3 != $4 { bad = 1 } END { exit bad }' && ok physical_is_virtual ||
	bad physical_is_virtual "room for a second platform's loader is gone"
readelf -lW hello | awk '$1 == "LOAD" { print $3; exit }' | grep -q '^0x0*400000$' && ok the_address_is_fixed ||
	bad the_address_is_fixed ""
readelf -lW hello | grep -q INTERP && bad no_interpreter "it has one" || ok no_interpreter
readelf -sW hello >syms
entry=$(readelf -hW hello | awk '/Entry point/ { print $4 }')
awk -v e="${entry#0x}" '$8 == "strait_start" && index($2, e) { f = 1 } END { exit !f }' syms &&
	ok the_entry_is_libos || bad the_entry_is_libos "$entry"

# System call instructions stand between host_text_begin and host_text_end only;
# their names are local, so take the section's marks from libstrait.o's section.
# Beside them two `hlt` of the platform for Xen: an idle CPU's, and its last resort.
traps() { objdump -d --no-show-raw-insn "$@" | grep -E '^\s+[0-9a-f]+:\s+(syscall|sysenter|int +\$0x80|hlt)\b' || true; }
[ -z "$(traps "$lib/sysroot/lib/libc.a")" ] && ok libc_has_no_system_call_instruction ||
	bad libc_has_no_system_call_instruction "$(traps "$lib/sysroot/lib/libc.a" | head -n 3)"
for o in "$lib"/sysroot/lib/*.o; do
	[ -z "$(traps "$o")" ] || bad crt_has_no_system_call_instruction "$o"
done
n_all=$(traps "$lib/libstrait.o" | wc -l)
n_host=$(traps -j .text.strait_host "$lib/libstrait.o" | grep -c syscall)
n_halt=$(traps -j .text.xen_halt "$lib/libstrait.o" | grep -c hlt)
n_known=$((n_host + n_halt))
[ "$n_host" -gt 0 ] && [ "$n_halt" = 2 ] && [ "$n_all" = "$n_known" ] && ok libos_traps_in_two_sections_only ||
	bad libos_traps_in_two_sections_only "$n_all instructions, $n_host host calls, $n_halt hlt"
[ "$(traps hello | wc -l)" = "$n_known" ] && ok hello_traps_nowhere_else || bad hello_traps_nowhere_else ""

# Xen's entry beside Linux's: a note of 4 bytes with an address in the code.
xen_entry() { # file: the address that the note names, or nothing
	readelf -nW "$1" | awk '$1 == "Xen" && /0x0*12\)/ { n = NF; print "0x" $n $(n - 1) $(n - 2) $(n - 3) }'
}
in_code() { # file address
	readelf -lW "$1" | awk -v a="$2" '
		function h(s,  i, v) { for (i = 3; i <= length(s); i++)
			v = v * 16 + index("0123456789abcdef", tolower(substr(s, i, 1))) - 1; return v }
		$1 == "LOAD" && / R E / && h(a) >= h($3) && h(a) < h($3) + h($6) { f = 1 }
		END { exit !f }'
}
has_xen_entry() { # name options...
	local name=$1 at
	shift
	"$cc" hello.c -o hello_x "$@" 2>err || bad "$name" "$(tail -n 2 err)"
	at=$(xen_entry hello_x)
	[ -n "$at" ] && in_code hello_x "$at" && ok "$name" || bad "$name" "the note says '$at'"
}
has_xen_entry xen_finds_an_entry -O2
has_xen_entry xen_finds_an_entry_after_gc_sections -ffunction-sections -Wl,--gc-sections
has_xen_entry xen_finds_an_entry_after_stripping -s
has_xen_entry xen_finds_an_entry_with_the_programs_own_flags -Wl,-z,relro -Wl,-z,now -Wl,--build-id -Wl,-O1

# The documented list of host calls is the list.
sed -n '/g_allowed\[\] = {/,/^};/p' "$STRAIT_SRC/platform/linux/seccomp.c" | grep -oE 'SYS_[a-z0-9_]+|futex_waitv' |
	sed 's/^SYS_//' | sort >list
sed -n '/^### The [0-9]* calls/,/^### Inside/p' "$STRAIT_SRC/docs/SECURITY.md" | grep '^| `' |
	cut -d'|' -f2 | grep -oE '[a-z0-9_]+' | sort >documented
cmp -s list documented && grep -q "^### The $(wc -l <list) calls" "$STRAIT_SRC/docs/SECURITY.md" &&
	ok the_list_of_host_calls_is_documented || bad the_list_of_host_calls_is_documented "$(diff list documented | head -n 5)"

# A program's functions of libos's names do not collide.
cat >clash.c <<'END'
int thread_park(void) { return 1; }
int protobuf_c_message_pack(void) { return 2; }
int user_copy_in(void) { return 3; }
int main(void) { return thread_park() + protobuf_c_message_pack() + user_copy_in() - 6; }
END
check names_do_not_collide "$cc" clash.c -o clash

# Without strait run.
./hello >out 2>err
[ $? = 127 ] && grep -q 'strait run' err && ok alone_it_says_how_to_start_it ||
	bad alone_it_says_how_to_start_it "$(cat err)"

# ---- build systems ----
cat >Makefile <<'END'
prog: a.o b.o
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
END
echo 'int b(void); int main(void) { return b(); }' >a.c
echo 'int b(void) { return 0; }' >b.c
check plain_make_works make CC="$cc" CFLAGS=-O2 LDFLAGS=-static LDLIBS=-lm
if command -v cmake >/dev/null; then
	mkdir cm
	cat >cm/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.16)
project(x C)
include(CheckFunctionExists)
include(CheckIncludeFile)
find_package(Threads REQUIRED)
check_function_exists(epoll_create1 HAVE_EPOLL)
check_function_exists(no_such_function HAVE_NOTHING)
check_include_file(linux/if_tun.h HAVE_TUN)
if(NOT HAVE_EPOLL OR HAVE_NOTHING OR NOT HAVE_TUN)
	message(FATAL_ERROR "wrong checks: ${HAVE_EPOLL} ${HAVE_NOTHING} ${HAVE_TUN}")
endif()
add_library(l STATIC b.c)
add_executable(x a.c)
target_link_libraries(x l Threads::Threads m)
END
	cp a.c b.c cm/
	check cmake_works sh -c "cmake -S cm -B cmb -DCMAKE_TOOLCHAIN_FILE='$lib/strait-toolchain.cmake' && cmake --build cmb"
fi
if command -v autoconf >/dev/null; then
	mkdir ac
	cat >ac/configure.ac <<'END'
AC_INIT([x], [1])
AC_PROG_CC
AC_CHECK_FUNCS([epoll_create1 no_such_function])
AC_CHECK_HEADERS([linux/if_tun.h])
AC_SEARCH_LIBS([sqrt], [m])
AC_OUTPUT
test "$ac_cv_func_epoll_create1$ac_cv_func_no_such_function$cross_compiling" = yesnoyes || exit 3
END
	check autoconf_works sh -c "cd ac && autoconf && ./configure --host=x86_64-linux-musl CC='$cc'"
fi
exit $rc
