/* Parts of the mixed subject that are mappings. The first word of every page that can be written holds a seed:
 * of a private mapping one for each memory that has it, of a shared one the same for all. */
#ifndef MIXED_MAPPINGS_H
#define MIXED_MAPPINGS_H

#include "mixed.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* 6.13 and later */
#endif
#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT 1
#endif

static inline bool is_shared(const struct part *p)
{
	return has(p, "shared");
}

static inline volatile long *seed_of(const struct part *p, int vm)
{
	return &common->seed[is_shared(p) ? MAX_PARTS - 1 : vm][p->id];
}

/* Whether a page is one of those that the part has made special. */
static inline bool special(const struct part *p, long page)
{
	return page == number(p, "hole", -1) || page == number(p, "none", -1) || page == number(p, "guard", -1) ||
	       page == number(p, "ro", -1);
}

static inline int protection(const struct part *p)
{
	const char *text = text_of(p, "prot", "rw");
	return (strchr(text, 'r') ? PROT_READ : 0) | (strchr(text, 'w') ? PROT_WRITE : 0) |
	       (strchr(text, 'x') ? PROT_EXEC : 0);
}

static inline void map_write(const struct part *p, long seed)
{
	for (long i = 0; i < number(p, "pages", 4); i++)
		if (!special(p, i) && !(has(p, "thin") && i % 2))
			*(volatile long *)(MAP_AT(p->id) + i * PAGE) = seed + i;
}

static inline void map_make(const struct part *p)
{
	static const struct {
		const char *word;
		int advice;
	} ADVICE[] = { { "dontfork", MADV_DONTFORK },	{ "wipe", MADV_WIPEONFORK }, { "dontdump", MADV_DONTDUMP },
		       { "huge", MADV_HUGEPAGE },	{ "nohuge", MADV_NOHUGEPAGE }, { "merge", MADV_MERGEABLE },
		       { "random", MADV_RANDOM },	{ "sequential", MADV_SEQUENTIAL } };
	long pages = number(p, "pages", 4), size = pages * PAGE, at;
	int fd = -1, flags = (is_shared(p) ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED_NOREPLACE;
	unsigned char *memory = MAP_AT(p->id);
	const struct part *object = ref(p, 0);
	char path[600];

	if (has(p, "file")) {
		fd = open(at_home(path, sizeof(path), "map", p->id), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0 || ftruncate(fd, size))
			die("%s", path);
	} else if (object) {
		fd = FD(object->id, 0);
	} else {
		flags |= MAP_ANONYMOUS;
	}
	flags |= (has(p, "noreserve") ? MAP_NORESERVE : 0) | (has(p, "down") ? MAP_GROWSDOWN : 0);
	if (mmap(memory, size, PROT_READ | PROT_WRITE, flags, fd, 0) != memory)
		die("mmap");
	if (has(p, "file"))
		close(fd);
	if (has(p, "deleted") && unlink(path))
		die("unlink");
	if (number(p, "hole", -1) >= 0)
		munmap(memory + number(p, "hole", 0) * PAGE, PAGE);
	if (!has(p, "untouched"))
		map_write(p, *seed_of(p, common->vm[common->who]) = p->id * 1000 + 7);
	if ((at = number(p, "guard", -1)) >= 0 && madvise(memory + at * PAGE, PAGE, MADV_GUARD_INSTALL))
		/* Locked memory takes none: what stands in for it looks the same from here. */
		mprotect(memory + at * PAGE, PAGE, PROT_NONE);
	if ((at = number(p, "none", -1)) >= 0)
		mprotect(memory + at * PAGE, PAGE, PROT_NONE);
	if ((at = number(p, "ro", -1)) >= 0)
		mprotect(memory + at * PAGE, PAGE, PROT_READ);
	for (size_t i = 0; i < sizeof(ADVICE) / sizeof(*ADVICE); i++)
		if (has(p, ADVICE[i].word) && madvise(memory, size, ADVICE[i].advice) && errno != ENOMEM &&
		    errno != EINVAL)
			die("madvise %s", ADVICE[i].word);
	if ((has(p, "lock") || has(p, "onfault")) && syscall(SYS_mlock2, memory, size, has(p, "onfault") ? MLOCK_ONFAULT : 0) &&
	    errno != ENOMEM)
		die("mlock2");
	if (number(p, "grow", 0) && mremap(memory, size, size + number(p, "grow", 0) * PAGE, 0) != memory)
		die("mremap");
	if (protection(p) != (PROT_READ | PROT_WRITE))
		for (long i = 0; i < pages; i++)
			if (!special(p, i))
				mprotect(memory + i * PAGE, PAGE, protection(p));
}

static inline void map_change(const struct part *p, long round)
{
	long seed = round * 100003 + p->id * 31 + common->vm[common->who];
	if (!(protection(p) & PROT_WRITE) || has(p, "untouched"))
		return;
	map_write(p, seed);
	*seed_of(p, common->vm[common->who]) = seed;
}

/* Whether one byte can be read, asked of the kernel. */
static inline bool can_read(const unsigned char *at)
{
	int ends[2];
	bool can;
	if (pipe2(ends, O_CLOEXEC))
		return false;
	can = write(ends[1], at, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return can;
}

static inline void map_look(const struct part *p)
{
	long seed = *seed_of(p, common->vm[common->who]);
	for (long i = 0; i < number(p, "pages", 4); i++) {
		const unsigned char *at = MAP_AT(p->id) + i * PAGE;
		if (i == number(p, "hole", -1) || i == number(p, "none", -1) || i == number(p, "guard", -1)) {
			if (can_read(at))
				bad(p, "page %ld can be read", i);
			continue;
		}
		if (special(p, i) || !(protection(p) & PROT_READ))
			continue;
		/* A mapping that was wiped at fork, or never touched, is zero. */
		long want = seed && !(has(p, "thin") && i % 2) ? seed + i : 0, got = *(const volatile long *)at;
		if (got != want)
			bad(p, "page %ld holds %ld and should %ld", i, got, want);
	}
}

#endif
