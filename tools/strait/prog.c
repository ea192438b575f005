/* SPDX-License-Identifier: MIT */
/*
 * prog.c - is this file a program that strait can run?  And where its own are.
 *
 * Only headers are read, and only through a bounded copy: the file may be
 * anything.  What strait-cc links carries a note of its own (owner "Strait",
 * type 1, a 32-bit ABI version).
 */
#include "tools/strait/strait.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_OWNER "Strait"
#define NOTE_TYPE 1u
#define NOTE_ABI 1u
#define PHDRS_MAX 64
#define NOTES_MAX 8192

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

/* Where a name without a slash is looked for: here, then in PATH. */
static int open_in_path(const char *name, char *found, size_t size)
{
	const char *path = getenv("PATH");
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 || errno != ENOENT) {
		snprintf(found, size, "./%s", name);
		return fd;
	}
	while (path && *path) {
		size_t len = strcspn(path, ":");

		if (len && snprintf(found, size, "%.*s/%s", (int)len, path, name) < (int)size) {
			fd = open(found, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
			if (fd >= 0)
				return fd;
		}
		path += len + (path[len] == ':');
	}
	snprintf(found, size, "%s", name);
	errno = ENOENT;
	return -1;
}

static bool read_at(int fd, void *to, size_t len, uint64_t off)
{
	return off <= INT64_MAX - len && pread(fd, to, len, (off_t)off) == (ssize_t)len;
}

/* The ABI version in a block of notes, 0 when there is none of ours. */
static uint32_t note_abi(const uint8_t *p, size_t len)
{
	while (len >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr h;
		uint32_t abi;

		memcpy(&h, p, sizeof(h));
		size_t name = ((size_t)h.n_namesz + 3) & ~(size_t)3;
		size_t desc = ((size_t)h.n_descsz + 3) & ~(size_t)3;

		p += sizeof(h);
		len -= sizeof(h);
		if (name > len || desc > len - name)
			return 0;
		if (h.n_type == NOTE_TYPE && h.n_namesz == sizeof(NOTE_OWNER) &&
		    !memcmp(p, NOTE_OWNER, sizeof(NOTE_OWNER)) && h.n_descsz == 4) {
			memcpy(&abi, p + name, 4);
			return abi ? abi : UINT32_MAX;
		}
		p += name + desc;
		len -= name + desc;
	}
	return 0;
}

/* One sentence that says why the ELF cannot run, or NULL. */
static const char *check_segments(int fd, const Elf64_Ehdr *e, uint64_t size)
{
	static Elf64_Phdr ph[PHDRS_MAX];
	static uint8_t notes[NOTES_MAX];
	uint32_t abi = 0;
	unsigned loads = 0;

	if (e->e_phentsize != sizeof(ph[0]) || !e->e_phnum || e->e_phnum > PHDRS_MAX)
		return "has a damaged ELF header; build it again";
	if (!read_at(fd, ph, e->e_phnum * sizeof(ph[0]), e->e_phoff))
		return "is a truncated ELF file; build it again";
	for (unsigned i = 0; i < e->e_phnum; i++) {
		if (ph[i].p_type == PT_INTERP)
			return "is linked dynamically, so not built by strait-cc; "
			       "build it with CC=strait-cc";
		if (ph[i].p_type != PT_LOAD && ph[i].p_type != PT_NOTE)
			continue;
		if (ph[i].p_offset > size || ph[i].p_filesz > size - ph[i].p_offset)
			return "is a truncated ELF file; build it again";
		loads += ph[i].p_type == PT_LOAD;
		if (ph[i].p_type == PT_NOTE && !abi && ph[i].p_filesz <= NOTES_MAX &&
		    read_at(fd, notes, ph[i].p_filesz, ph[i].p_offset))
			abi = note_abi(notes, ph[i].p_filesz);
	}
	if (!loads)
		return "has nothing to load; build it again";
	if (!abi)
		return "was not built by strait-cc; build it with CC=strait-cc";
	if (abi != NOTE_ABI)
		return "was built by another version of strait-cc; link it again";
	return NULL;
}

static const char *check_elf(int fd, uint64_t size)
{
	Elf64_Ehdr e;
	char head[4] = { 0 };
	ssize_t n = pread(fd, head, sizeof(head), 0);

	if (n >= 2 && head[0] == '#' && head[1] == '!')
		return "is a script; strait runs only programs built by strait-cc";
	if (n < 4 || memcmp(head, ELFMAG, SELFMAG))
		return "is not an ELF program; strait runs programs built by strait-cc";
	if (!read_at(fd, &e, sizeof(e), 0))
		return "is a truncated ELF file; build it again";
	if (e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_ident[EI_DATA] != ELFDATA2LSB ||
	    e.e_machine != EM_X86_64)
		return "is not for x86-64; build it with CC=strait-cc";
	if (e.e_type != ET_EXEC && e.e_type != ET_DYN)
		return "is not a linked program (an object file, or a core); "
		       "link it with strait-cc";
	return check_segments(fd, &e, size);
}

int prog_open(const char *name, bool *others_may_exec)
{
	char found[PATH_MAX];
	struct stat st;
	int fd;

	if (strchr(name, '/')) {
		snprintf(found, sizeof(found), "%s", name);
		fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	} else {
		fd = open_in_path(name, found, sizeof(found));
	}
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		die(EXIT_NOTFOUND, "%s: no such program; give the path of one built by strait-cc",
		    name);
	if (fd < 0)
		die(EXIT_UNUSABLE, "%s: cannot be read: %s", found, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		die(EXIT_UNUSABLE, "%s: is not a regular file, so not a program", found);

	const char *why = check_elf(fd, (uint64_t)st.st_size);

	if (why)
		die(EXIT_UNUSABLE, "%s: %s", found, why);
	if (faccessat(fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS))
		die(EXIT_UNUSABLE, "%s: may not be executed (%s); chmod +x it", found,
		    strerror(errno));
	*others_may_exec = (st.st_mode & 0005) == 0005;
	return fd;
}

bool prog_is_dynamic(int fd)
{
	Elf64_Ehdr e;
	Elf64_Phdr ph;

	if (!read_at(fd, &e, sizeof(e), 0) || memcmp(e.e_ident, ELFMAG, SELFMAG))
		return true; /* a script, or not ours to judge: exec will */
	for (unsigned i = 0; i < e.e_phnum; i++)
		if (read_at(fd, &ph, sizeof(ph), e.e_phoff + i * sizeof(ph)) &&
		    ph.p_type == PT_INTERP)
			return true;
	return false;
}

int prog_copy(int fd)
{
	struct stat st;
	off_t off = 0;
	int to = memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);

	if (to < 0 && errno == EINVAL)
		to = memfd_create("program", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (to < 0 || fstat(fd, &st))
		return -errno;
	while (off < st.st_size) {
		ssize_t n = sendfile(to, fd, &off, (size_t)(st.st_size - off));

		if (n <= 0) {
			int e = n ? errno : EIO;

			close(to);
			return -e;
		}
	}
	if (fchmod(to, 0555) ||
	    fcntl(to, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)) {
		int e = errno;

		close(to);
		return -e;
	}
	return to;
}

char *prog_beside(const char *env, const char *const *places)
{
	char self[4096];
	const char *given = getenv(env);
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (given && *given)
		return xprintf("%s", given);
	if (n < 0)
		die(EXIT_STRAIT, "cannot tell where strait lies: /proc/self/exe: %s",
		    strerror(errno));
	self[n] = 0;
	*strrchr(self, '/') = 0;
	for (; *places; places++) {
		char *path = xprintf("%s/%s", self, *places);

		if (!access(path, F_OK))
			return path;
		free(path);
	}
	return NULL;
}
