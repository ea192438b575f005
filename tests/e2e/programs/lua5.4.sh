#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Lua on Strait: files, buffering modes, os.*, large strings, coroutines; the same
# script prints the same on plain Linux.
. "$STRAIT_SRC/tests/e2e/programs/lib.sh" || exit 1
mkdir "$T/g" "$T/n" "$T/s"
cat >"$T/s/t.lua" <<'LUA'
local name = "lua-io.txt"
local f = assert(io.open(name, "w"))
assert(f:setvbuf("full", 1000))
for i = 1, 20000 do f:write(i, " ", i * i % 977, "\n") end
assert(f:seek("cur") == f:seek("end"))
f:close()
local n, sum = 0, 0
for l in io.lines(name) do
  local a, b = l:match("^(%d+) (%d+)$")
  n = n + 1; sum = sum + a * b % 1013
end
print(n, sum)
f = assert(io.open(name, "r+b"))
assert(f:seek("set", 10)); f:write("XYZ"); assert(f:seek("set", 8)); print(f:read(7))
print(f:read("n"), f:read("l"), f:seek("set", 0), f:read("a"):len())
f:close()
f = assert(io.open(name, "a")); f:write("tail\n"); f:close()
f = assert(io.open(name)); f:seek("end", -5); print(f:read("a")); f:close()
assert(os.rename(name, name .. ".2")); print(io.open(name)); assert(os.remove(name .. ".2"))
print(select(2, os.remove("no-such-file")))
local t = os.tmpname(); print(type(t), os.remove(t))
local tf = io.tmpfile(); tf:write(("x"):rep(100000)); tf:seek("set"); print(#tf:read("a")); tf:close()
print(os.getenv("HOME") ~= nil, os.date("!%Y-%m-%d", 0), math.type(os.time()))
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
print(co(), co(), co())
print(#string.rep("abc", 1000000), pcall(error, "e"))
print(io.open("/no/such/dir/f", "w"))
os.exit(7)
LUA
(cd "$T/n" && HOME=/ "$P-native/lua5.4/bin/lua" "$T/s/t.lua" >"$T/native" 2>&1)
[ $? = 7 ] || fail the_oracle_ran
"$S" run --no-squash -v "$T/g:/w" -v "$T/s:/s:ro" -w /w -e HOME=/ "$P/lua5.4/bin/lua" /s/t.lua >"$T/out" 2>"$T/log"
rc=$?
[ $rc = 7 ] || { cat "$T/out"; fail the_exit_status_is_the_programs "$rc"; }
ok the_exit_status_is_the_programs
same it_prints_what_it_prints_on_linux "$T/native" "$T/out"
[ -z "$(ls -A "$T/g")" ] || fail nothing_is_left_in_the_folder
ok nothing_is_left_in_the_folder
