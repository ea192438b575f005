# SPDX-License-Identifier: MIT
strait_fuzzer(fuzz_trace LIBS trace)
