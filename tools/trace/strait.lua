-- SPDX-License-Identifier: MIT
-- strait.lua - Wireshark dissector for traces made with `strait run --trace FILE`.
--
--   wireshark -X lua_script:strait.lua -o 'uat:protobuf_search_paths:"PROTO","TRUE"' \
--       -o protobuf.preload_protos:TRUE -o protobuf.pbf_as_hf:TRUE \
--       -o protobuf.bytes_as_string:TRUE FILE
--
-- PROTO is the folder of Strait's .proto files (share/strait/proto when installed):
-- Wireshark's own protobuf dissector reads the messages from them, and this script
-- reads the methods' names and messages from their service blocks.  It looks for them
-- beside itself, where they are in the source tree and where they are installed; the
-- preference strait.proto_dir or the environment's STRAIT_PROTO_DIR names another place.
--
-- A packet: 16 bytes of prefix (rpc/trace.h), the frame's 48-byte header
-- (rpc/frame.h), the protobuf message, then the payload as far as it was recorded.

local strait = Proto("strait", "Strait RPC")
strait.prefs.proto_dir = Pref.string("Folder of the .proto files", "",
	"Where session.proto, file.proto and net.proto are; empty: look beside the script")

local PREFIX, HEADER = 16, 48
local CALL, REPLY, POST, EVENT, CREDIT = 1, 2, 3, 4, 5
local F_MORE, F_QUEUED, F_REPLAY = 1, 2, 4

local kinds = {[CALL] = "call", [REPLY] = "reply", [POST] = "post", [EVENT] = "event",
	[CREDIT] = "credit"}
local directions = {[0] = "guest to service", [1] = "service to guest"}
local services = {[0] = "session", [1] = "fsd", [2] = "netd"}
local errnos = {[0] = "0",
	[1] = "EPERM", [2] = "ENOENT", [3] = "ESRCH", [4] = "EINTR", [5] = "EIO", [6] = "ENXIO",
	[7] = "E2BIG", [8] = "ENOEXEC", [9] = "EBADF", [10] = "ECHILD", [11] = "EAGAIN",
	[12] = "ENOMEM", [13] = "EACCES", [14] = "EFAULT", [15] = "ENOTBLK", [16] = "EBUSY",
	[17] = "EEXIST", [18] = "EXDEV", [19] = "ENODEV", [20] = "ENOTDIR", [21] = "EISDIR",
	[22] = "EINVAL", [23] = "ENFILE", [24] = "EMFILE", [25] = "ENOTTY", [26] = "ETXTBSY",
	[27] = "EFBIG", [28] = "ENOSPC", [29] = "ESPIPE", [30] = "EROFS", [31] = "EMLINK",
	[32] = "EPIPE", [33] = "EDOM", [34] = "ERANGE", [35] = "EDEADLK", [36] = "ENAMETOOLONG",
	[37] = "ENOLCK", [38] = "ENOSYS", [39] = "ENOTEMPTY", [40] = "ELOOP", [42] = "ENOMSG",
	[43] = "EIDRM", [44] = "ECHRNG", [45] = "EL2NSYNC", [46] = "EL3HLT", [47] = "EL3RST",
	[48] = "ELNRNG", [49] = "EUNATCH", [50] = "ENOCSI", [51] = "EL2HLT", [52] = "EBADE",
	[53] = "EBADR", [54] = "EXFULL", [55] = "ENOANO", [56] = "EBADRQC", [57] = "EBADSLT",
	[59] = "EBFONT", [60] = "ENOSTR", [61] = "ENODATA", [62] = "ETIME", [63] = "ENOSR",
	[64] = "ENONET", [65] = "ENOPKG", [66] = "EREMOTE", [67] = "ENOLINK", [68] = "EADV",
	[69] = "ESRMNT", [70] = "ECOMM", [71] = "EPROTO", [72] = "EMULTIHOP", [73] = "EDOTDOT",
	[74] = "EBADMSG", [75] = "EOVERFLOW", [76] = "ENOTUNIQ", [77] = "EBADFD", [78] = "EREMCHG",
	[79] = "ELIBACC", [80] = "ELIBBAD", [81] = "ELIBSCN", [82] = "ELIBMAX", [83] = "ELIBEXEC",
	[84] = "EILSEQ", [85] = "ERESTART", [86] = "ESTRPIPE", [87] = "EUSERS", [88] = "ENOTSOCK",
	[89] = "EDESTADDRREQ", [90] = "EMSGSIZE", [91] = "EPROTOTYPE", [92] = "ENOPROTOOPT",
	[93] = "EPROTONOSUPPORT", [94] = "ESOCKTNOSUPPORT", [95] = "EOPNOTSUPP",
	[96] = "EPFNOSUPPORT", [97] = "EAFNOSUPPORT", [98] = "EADDRINUSE", [99] = "EADDRNOTAVAIL",
	[100] = "ENETDOWN", [101] = "ENETUNREACH", [102] = "ENETRESET", [103] = "ECONNABORTED",
	[104] = "ECONNRESET", [105] = "ENOBUFS", [106] = "EISCONN", [107] = "ENOTCONN",
	[108] = "ESHUTDOWN", [109] = "ETOOMANYREFS", [110] = "ETIMEDOUT", [111] = "ECONNREFUSED",
	[112] = "EHOSTDOWN", [113] = "EHOSTUNREACH", [114] = "EALREADY", [115] = "EINPROGRESS",
	[116] = "ESTALE", [117] = "EUCLEAN", [118] = "ENOTNAM", [119] = "ENAVAIL", [120] = "EISNAM",
	[121] = "EREMOTEIO", [122] = "EDQUOT", [123] = "ENOMEDIUM", [124] = "EMEDIUMTYPE",
	[125] = "ECANCELED", [126] = "ENOKEY", [127] = "EKEYEXPIRED", [128] = "EKEYREVOKED",
	[129] = "EKEYREJECTED", [130] = "EOWNERDEAD", [131] = "ENOTRECOVERABLE", [132] = "ERFKILL",
	[133] = "EHWPOISON",
}

local f = strait.fields
f.version = ProtoField.uint8("strait.version", "Trace version")
f.direction = ProtoField.uint8("strait.direction", "Direction", base.DEC, directions)
f.service = ProtoField.uint8("strait.service", "Service", base.DEC, services)
f.domid = ProtoField.uint32("strait.domid", "Guest (domid)")
f.mono = ProtoField.uint64("strait.mono", "Taken or put, CLOCK_MONOTONIC ns")
f.len = ProtoField.uint32("strait.len", "Frame length")
f.kind = ProtoField.uint8("strait.kind", "Kind", base.DEC, kinds)
f.flags = ProtoField.uint8("strait.flags", "Flags", base.HEX)
f.more = ProtoField.bool("strait.flags.more", "More fragments follow", 8, nil, F_MORE)
f.queued = ProtoField.bool("strait.flags.queued", "Queued", 8, nil, F_QUEUED)
f.replay = ProtoField.bool("strait.flags.replay", "Sent again, to the service's next instance", 8, nil, F_REPLAY)
f.method = ProtoField.string("strait.method", "Method")
f.method_id = ProtoField.uint16("strait.method_id", "Method number", base.HEX)
f.slot = ProtoField.uint16("strait.slot", "Slot")
f.msg_len = ProtoField.uint16("strait.msg_len", "Message length")
f.seq = ProtoField.uint32("strait.seq", "Sequence")
f.err = ProtoField.uint32("strait.err", "Error", base.DEC, errnos)
f.payload_len = ProtoField.uint32("strait.payload_len", "Payload length")
f.credit = ProtoField.uint32("strait.credit", "Event credit returned")
f.reserved = ProtoField.uint32("strait.reserved", "Reserved")
f.stamp = ProtoField.uint64("strait.stamp", "Enqueued, CLOCK_MONOTONIC ns")
f.wake = ProtoField.uint64("strait.wake", "Reply before was taken, CLOCK_MONOTONIC ns")
f.path = ProtoField.string("strait.path", "Path")
f.payload = ProtoField.bytes("strait.payload", "Payload")
f.queue_time = ProtoField.double("strait.queue_time", "Queueing time (us)")
f.response_in = ProtoField.framenum("strait.response_in", "Reply in", base.NONE,
	frametype.RESPONSE)
f.response_to = ProtoField.framenum("strait.response_to", "Reply to", base.NONE,
	frametype.REQUEST)
f.response_time = ProtoField.double("strait.response_time", "Service time (us)")
f.wake_time = ProtoField.double("strait.wake_time", "Wake-up time of the reply before (us)")
f.wake_of = ProtoField.framenum("strait.wake_of", "Reply that was taken", base.NONE,
	frametype.ACK)

local x_malformed = ProtoExpert.new("strait.malformed", "Broken frame", expert.group.MALFORMED,
	expert.severity.ERROR)
local x_error = ProtoExpert.new("strait.failed", "The call failed", expert.group.RESPONSE_CODE,
	expert.severity.NOTE)
local x_proto = ProtoExpert.new("strait.no_proto", "No .proto files found",
	expert.group.UNDECODED, expert.severity.NOTE)
strait.experts = {x_malformed, x_error, x_proto}

-- ---- methods, from the .proto files ----

-- methods[number] = {name = "File.Open", call = "file.OpenReq", reply = "file.OpenRep"}
local methods, methods_from
-- paths["file.OpenReq"] = {[3] = true}: the numbers of its fields that are paths
local paths = {}

-- Read one file's service block; methods are numbered in the order they stand in.
-- Of messages only the places of their paths are read: all else is the protobuf
-- dissector's.
local function read_service(path, service)
	local file = io.open(path)
	if not file then
		return false
	end
	local package, name, index, message
	for line in file:lines() do
		line = line:gsub("//.*", "")
		package = line:match("^%s*package%s+([%w_.]+)") or package
		message = line:match("^message%s+([%w_]+)") or message
		local number = line:match("^%s*bytes%s+%w*_?path%s*=%s*(%d+)")
			or line:match("^%s*bytes%s+target%s*=%s*(%d+)")
		if number and message then
			local full = package .. "." .. message
			paths[full] = paths[full] or {}
			paths[full][tonumber(number)] = true
		end
		local began = line:match("^%s*service%s+([%w_]+)")
		if began then
			name, index = began, 0
		end
		local rpc, input, output = line:match(
			"rpc%s+([%w_]+)%s*%(%s*([%w_.]+)%s*%)%s*returns%s*%(%s*([%w_.]+)%s*%)")
		if rpc and name then
			methods[service * 256 + index] = {
				name = name .. "." .. rpc,
				call = package .. "." .. input,
				reply = package .. "." .. output,
			}
			index = index + 1
		end
	end
	file:close()
	return true
end

local here = __DIR__ or ((debug.getinfo(1, "S").source:match("^@(.*)[/\\][^/\\]*$") or ".") .. "/")

local function proto_dirs()
	local dirs = {strait.prefs.proto_dir, os.getenv("STRAIT_PROTO_DIR") or "", here .. "/proto",
		here .. "/../../proto", "/usr/local/share/strait/proto", "/usr/share/strait/proto"}
	local i = 0
	return function()
		repeat
			i = i + 1
		until dirs[i] ~= ""
		return dirs[i]
	end
end

local function load_methods()
	methods, methods_from = {}, nil
	for dir in proto_dirs() do
		if read_service(dir .. "/session.proto", 0) then
			read_service(dir .. "/file.proto", 1)
			read_service(dir .. "/net.proto", 2)
			methods_from = dir
			return
		end
	end
end

function strait.prefs_changed()
	methods = nil
end

local function method_name(number)
	local m = methods[number]
	return m and m.name or string.format("%s.%d", services[math.floor(number / 256)]
		or "service" .. math.floor(number / 256), number % 256)
end

-- ---- calls and replies ----

local open     -- "domid/service/slot" -> the slot's last call and its reply
local replies  -- packet number of a call -> that of its reply
local calls    -- packet number of a reply -> its call
local wakes    -- packet number of a call -> the reply whose wake-up it tells

function strait.init()
	open, replies, calls, wakes = {}, {}, {}, {}
	if not methods then
		load_methods()
	end
end

local function learn(pinfo, h)
	local key = h.domid .. "/" .. h.service .. "/" .. h.slot
	local last = open[key]
	if h.kind == CALL then
		if last and last.reply and h.wake > UInt64(0) and h.seq == last.seq + 1 then
			wakes[pinfo.number] = last
		end
		open[key] = {number = pinfo.number, seq = h.seq, method = h.method, mono = h.mono}
	elseif h.kind == REPLY and last and not last.reply and last.seq == h.seq
			and last.method == h.method then
		last.reply, last.reply_mono = pinfo.number, h.mono
		replies[last.number] = pinfo.number
		calls[pinfo.number] = last
	end
end

-- Microseconds from one UInt64 of ns to another; nil when the second is before.
local function us(from, to)
	if to < from then
		return nil
	end
	return (to - from):tonumber() / 1000
end

local function add_generated(tree, field, value)
	if value then
		tree:add(field, value):set_generated()
	end
end

local function add_links(tree, pinfo, h)
	if h.kind == CALL or h.kind == POST then
		if h.stamp > UInt64(0) then
			add_generated(tree, f.queue_time, us(h.stamp, h.mono))
		end
		add_generated(tree, f.response_in, replies[pinfo.number])
		local before = wakes[pinfo.number]
		if before then
			add_generated(tree, f.wake_of, before.reply)
			add_generated(tree, f.wake_time, us(before.reply_mono, h.wake))
		end
	elseif h.kind == REPLY and calls[pinfo.number] then
		local call = calls[pinfo.number]
		add_generated(tree, f.response_to, call.number)
		add_generated(tree, f.response_time, us(call.mono, h.mono))
	end
end

-- ---- dissecting ----

local function read_header(tvb)
	return {
		direction = tvb(1, 1):uint(), service = tvb(2, 1):uint(),
		domid = tvb(4, 4):le_uint(), mono = tvb(8, 8):le_uint64(),
		len = tvb(16, 4):le_uint(), kind = tvb(20, 1):uint(), flags = tvb(21, 1):uint(),
		method = tvb(22, 2):le_uint(), slot = tvb(24, 2):le_uint(),
		msg_len = tvb(26, 2):le_uint(), seq = tvb(28, 4):le_uint(),
		err = tvb(32, 4):le_uint(), payload_len = tvb(36, 4):le_uint(),
		stamp = tvb(48, 8):le_uint64(), wake = tvb(56, 8):le_uint64(),
	}
end

local function what_is_wrong(tvb, h)
	if tvb(0, 1):uint() ~= 1 then
		return "another version of the trace format"
	elseif not kinds[h.kind] then
		return "unknown kind"
	elseif h.len ~= HEADER + h.msg_len + h.payload_len then
		return "length is not header + message + payload"
	elseif tvb:len() < PREFIX + HEADER + h.msg_len then
		return "the message was cut short"
	elseif (h.kind == REPLY or h.kind == EVENT) ~= (h.direction == 1) then
		return "this kind does not travel this way"
	end
end

local function add_header(tree, tvb, h)
	tree:add_le(f.version, tvb(0, 1))
	tree:add_le(f.direction, tvb(1, 1))
	tree:add_le(f.service, tvb(2, 1))
	tree:add_le(f.domid, tvb(4, 4))
	tree:add_le(f.mono, tvb(8, 8))
	local hdr = tree:add(strait, tvb(PREFIX, HEADER), "Frame header")
	hdr:add_le(f.len, tvb(16, 4))
	hdr:add_le(f.kind, tvb(20, 1))
	local flags = hdr:add_le(f.flags, tvb(21, 1))
	flags:add_le(f.more, tvb(21, 1))
	flags:add_le(f.queued, tvb(21, 1))
	flags:add_le(f.replay, tvb(21, 1))
	hdr:add(f.method, tvb(22, 2), method_name(h.method))
	hdr:add_le(f.method_id, tvb(22, 2))
	hdr:add_le(f.slot, tvb(24, 2))
	hdr:add_le(f.msg_len, tvb(26, 2))
	hdr:add_le(f.seq, tvb(28, 4))
	local err = hdr:add_le(f.err, tvb(32, 4))
	if h.err ~= 0 then
		err:add_proto_expert_info(x_error)
	end
	hdr:add_le(f.payload_len, tvb(36, 4))
	hdr:add_le(f.credit, tvb(40, 4))
	hdr:add_le(f.reserved, tvb(44, 4))
	hdr:add_le(f.stamp, tvb(48, 8))
	hdr:add_le(f.wake, tvb(56, 8))
	return hdr
end

-- A varint at @at: its value and the place behind it; nil when it runs out.
local function varint(tvb, at)
	local value, scale = 0, 1
	while at < tvb:len() do
		local byte = tvb(at, 1):uint()
		value, at = value + byte % 128 * scale, at + 1
		if byte < 128 then
			return value, at
		end
		scale = scale * 128
	end
end

-- One line, whatever a name holds.
local function printable(text)
	return (text:gsub("[%c\\]", function(c)
		return string.format("\\%03o", c:byte())
	end))
end

-- Add the paths of a message to the tree and return them for the summary.
local function add_paths(tree, tvb, wanted)
	local found, at = {}, 0
	while wanted and at < tvb:len() do
		local key, value
		key, at = varint(tvb, at)
		if not key then
			break
		elseif key % 8 == 0 then
			value, at = varint(tvb, at)
		elseif key % 8 == 2 then
			value, at = varint(tvb, at)
			if not value or at + value > tvb:len() then
				break
			end
			if wanted[math.floor(key / 8)] and value > 0 then
				found[#found + 1] = printable(tvb(at, value):string())
				tree:add(f.path, tvb(at, value))
			end
			at = at + value
		else
			break -- our messages have no other types
		end
		if not at then
			break
		end
	end
	return table.concat(found, " -> ")
end

local protobuf = Dissector.get("protobuf")

-- Hand the message to the protobuf dissector; returns its paths.
local function add_message(root, tree, tvb, pinfo, h)
	local m = methods[h.method]
	if h.msg_len == 0 or not m then
		return ""
	end
	local kind = h.kind == REPLY and m.reply or m.call
	local message = tvb(PREFIX + HEADER, h.msg_len)
	local text = add_paths(tree, message:tvb(), paths[kind])
	pinfo.private["pb_msg_type"] = "message," .. kind
	protobuf:call(message:tvb(), pinfo, root)
	return text
end

local function info_of(h)
	local text = string.format("%s %s", method_name(h.method), kinds[h.kind] or "?")
	if h.kind == CALL or h.kind == REPLY then
		text = text .. string.format(" slot=%d seq=%d", h.slot, h.seq)
	end
	if h.err ~= 0 then
		text = text .. " " .. (errnos[h.err] or "errno " .. h.err)
	elseif h.kind == REPLY and h.flags % 4 >= F_QUEUED then
		text = text .. " queued"
	elseif h.kind == CALL and h.flags % 8 >= F_REPLAY then
		text = text .. " again"
	end
	if h.payload_len > 0 then
		text = text .. string.format(" [%d bytes%s]", h.payload_len,
			h.flags % 2 == F_MORE and ", more follow" or "")
	end
	return text
end

local function set_columns(pinfo, h)
	local service = services[h.service] or "service " .. h.service
	local guest = "guest " .. h.domid
	pinfo.cols.protocol = "STRAIT"
	pinfo.cols.src = h.direction == 0 and guest or service
	pinfo.cols.dst = h.direction == 0 and service or guest
end

function strait.dissector(tvb, pinfo, root)
	if not methods then
		load_methods() -- the preference changed
	end
	if tvb:len() < PREFIX + HEADER then
		root:add(strait, tvb()):add_proto_expert_info(x_malformed, "too short for a frame")
		return tvb:len()
	end
	local h = read_header(tvb)
	local tree = root:add(strait, tvb())
	local hdr = add_header(tree, tvb, h)
	local wrong = what_is_wrong(tvb, h)
	set_columns(pinfo, h)
	pinfo.cols.info = info_of(h)
	if not methods_from then
		tree:add_proto_expert_info(x_proto)
	end
	if wrong then
		hdr:add_proto_expert_info(x_malformed, wrong)
		return tvb:len()
	end
	tree:append_text(", " .. info_of(h))
	if not pinfo.visited then
		learn(pinfo, h)
	end
	add_links(tree, pinfo, h)
	local about = add_message(root, tree, tvb, pinfo, h)
	pinfo.cols.info = info_of(h) .. (about ~= "" and " " .. about or "") -- the protobuf dissector has columns of its own
	pinfo.cols.protocol = "STRAIT"
	local at = PREFIX + HEADER + h.msg_len
	if tvb:len() > at then
		tree:add(f.payload, tvb(at))
	end
	return tvb:len()
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, strait)
