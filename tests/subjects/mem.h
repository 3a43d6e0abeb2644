/*
 * What the memory subjects share: pages with contents that tell which page they are, and a look at
 * one's own mappings.
 */
#ifndef MEM_H
#define MEM_H

#include "subject.h"

#include <fcntl.h>
#include <sys/mman.h>

#define PAGE 4096UL

/* Every word of a page tells its mapping's seed and its own place. */
static inline uint64_t word_at(uint64_t seed, size_t offset)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + offset;

	x ^= x >> 29;
	return x * 0xbf58476d1ce4e5b9u;
}

static inline void fill_page(char *page, uint64_t seed, size_t offset)
{
	for (size_t i = 0; i < PAGE; i += 8)
		*(uint64_t *)(page + i) = word_at(seed, offset + i);
}

static inline void fill_pages(char *start, size_t len, uint64_t seed)
{
	for (size_t at = 0; at < len; at += PAGE)
		fill_page(start + at, seed, at);
}

static inline bool page_is(const char *page, uint64_t seed, size_t offset)
{
	for (size_t i = 0; i < PAGE; i += 8)
		if (*(const uint64_t *)(page + i) != word_at(seed, offset + i))
			return false;
	return true;
}

static inline bool page_is_zero(const char *page)
{
	for (size_t i = 0; i < PAGE; i += 8)
		if (*(const uint64_t *)(page + i))
			return false;
	return true;
}

/* All pages of a region hold what fill_pages() wrote. */
static inline bool check_pages(const char *name, const char *start, size_t len, uint64_t seed)
{
	for (size_t at = 0; at < len; at += PAGE)
		if (!page_is(start + at, seed, at))
			return check(false, name, "page %zu of %zu at %p has changed", at / PAGE, len / PAGE,
				     (const void *)(start + at));
	return check(true, name, "-");
}

/* One of the mappings as /proc/self/smaps shows it. */
struct mapping {
	unsigned long start, end, offset, inode;
	char perms[5], path[256], flags[128];
	unsigned long rss_kb, locked_kb, swap_kb, anonymous_kb, private_dirty_kb;
};

/* Finds the mapping that holds an address; false where there is none. */
static inline bool mapping_of(const void *address, struct mapping *found)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[512];
	bool inside = false;

	if (!file)
		die("/proc/self/smaps");
	memset(found, 0, sizeof(*found));
	while (fgets(line, sizeof(line), file)) {
		struct mapping m = { 0 };

		if (sscanf(line, "%lx-%lx %4s %lx %*s %lu %255[^\n]", &m.start, &m.end, m.perms, &m.offset,
			   &m.inode, m.path) >= 5) {
			if (inside)
				break;
			if ((unsigned long)address >= m.start && (unsigned long)address < m.end) {
				inside = true;
				*found = m;
			}
		} else if (inside) {
			sscanf(line, "Rss: %lu", &found->rss_kb);
			sscanf(line, "Locked: %lu", &found->locked_kb);
			sscanf(line, "Swap: %lu", &found->swap_kb);
			sscanf(line, "Anonymous: %lu", &found->anonymous_kb);
			sscanf(line, "Private_Dirty: %lu", &found->private_dirty_kb);
			sscanf(line, "VmFlags: %127[^\n]", found->flags);
		}
	}
	fclose(file);
	return inside;
}

/* Permissions as in maps, "rw-p". */
static inline bool check_perms(const char *name, const void *address, const char *perms)
{
	struct mapping m;

	if (!mapping_of(address, &m))
		return check(false, name, "nothing is mapped at %p", address);
	return check(!strcmp(m.perms, perms), name, "%s instead of %s at %p", m.perms, perms, address);
}

/* The kernel must not let us read there: a write() of it to a pipe fails with EFAULT. */
static inline bool is_readable(const void *address)
{
	int ends[2];
	char byte;

	if (pipe(ends))
		die("pipe");
	bool good = write(ends[1], address, 1) == 1 && read(ends[0], &byte, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return good;
}

static inline char *map(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	char *got = mmap(at, len, prot, flags, fd, offset);

	if (got == MAP_FAILED)
		die("mmap(%zu bytes, flags %#x)", len, flags);
	return got;
}

/* A file of `pages` filled pages in the working directory, open for reading and writing. */
static inline int make_file(const char *name, size_t pages, uint64_t seed)
{
	char page[PAGE];
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		die("open(%s)", name);
	for (size_t i = 0; i < pages; i++) {
		fill_page(page, seed, i * PAGE);
		if (write(fd, page, PAGE) != (ssize_t)PAGE)
			die("write(%s)", name);
	}
	return fd;
}

#endif
