#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vmlinux.py BZIMAGE ELF - take the ELF kernel out of a bzImage (x86 boot protocol)."""
import lzma
import struct
import sys


def main():
    image = open(sys.argv[1], "rb").read()
    setup = ((image[0x1F1] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[setup + offset:setup + offset + length]
    if payload[:6] != b"\xfd7zXZ\0":
        sys.exit(f"vmlinux.py: {sys.argv[1]} is not compressed with xz")
    kernel = lzma.LZMADecompressor(format=lzma.FORMAT_XZ).decompress(payload)
    if kernel[:4] != b"\x7fELF":
        sys.exit(f"vmlinux.py: no ELF file in {sys.argv[1]}")
    with open(sys.argv[2], "wb") as out:
        out.write(kernel)


main()
