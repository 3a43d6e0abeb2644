/*
 * What of an address space CRIU's images have no field for: names of anonymous mappings, private and shared,
 * sealed mappings, memory that may be dropped, and that nothing writable may become executable.
 */
#include "mem.h"

#include <sys/prctl.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#define SYS_MSEAL 462
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

static bool set_name(void *start, size_t len, const char *name)
{
	return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, start, len, name) == 0;
}

static void check_name(const char *what, void *start, const char *name)
{
	struct mapping m;

	mapping_of(start, &m);
	check(!strcmp(m.path, name), what, "%s", m.path);
}

int main(void)
{
	int rw = PROT_READ | PROT_WRITE;

	subject_init();
	char *named = map(NULL, 4 * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *shared = map(NULL, 4 * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("behind a name", 0);
	if (fd < 0 || ftruncate(fd, 4 * PAGE))
		die("memfd_create");
	char *mem = map(NULL, 4 * PAGE, rw, MAP_SHARED, fd, 0);
	char *sealed = map(NULL, 2 * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill_pages(named, 4 * PAGE, 1);
	fill_pages(shared, 4 * PAGE, 2);
	fill_pages(mem, 4 * PAGE, 3);
	fill_pages(sealed, 2 * PAGE, 4);
	mprotect(sealed, 2 * PAGE, PROT_READ);
	bool names = set_name(named, 4 * PAGE, "a name: of ours");
	bool shared_names = set_name(shared, 4 * PAGE, "shared") && set_name(mem, 4 * PAGE, "memfd");
	bool seals = syscall(SYS_MSEAL, sealed, 2 * PAGE, 0) == 0;
	char *drop = mmap(NULL, 2 * PAGE, rw, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
	if (drop != MAP_FAILED)
		fill_pages(drop, 2 * PAGE, 5);
	char *tail = map(NULL, 8 * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fill_pages(tail, 8 * PAGE, 7);
	munmap(tail + 5 * PAGE, 3 * PAGE);
	if (prctl(PR_SET_THP_DISABLE, 1, 2, 0, 0)) /* except where advised: 6.18 */
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	int thp = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	bool mdwe = prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0;
	struct mapping before;
	mapping_of(named, &before);
	fact("names", "%d", names);
	fact("seals", "%d", seals);
	fact("mdwe", "%d", mdwe);
	fact("thp", "%d", thp);
	ready();
	wait_for_term();

	struct mapping m;
	check_pages("named contents", named, 4 * PAGE, 1);
	check_pages("shared contents", shared, 4 * PAGE, 2);
	check_pages("memfd contents", mem, 4 * PAGE, 3);
	check_pages("sealed contents", sealed, 2 * PAGE, 4);
	check_pages("the rest of a shared mapping", tail, 5 * PAGE, 7);
	check_equal("no huge pages", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), thp);
	if (names)
		check_name("private name", named, before.path);
	if (shared_names) {
		check_name("shared name", shared, "[anon_shmem:shared]");
		check_name("name of a memfd's mapping", mem, "[anon_shmem:memfd]");
	}
	char page[PAGE];
	fill_page(page, 6, 0);
	check(pwrite(fd, page, PAGE, PAGE) == (ssize_t)PAGE && page_is(mem + PAGE, 6, 0),
	      "still the memfd behind its name", "a write to the descriptor does not show");
	if (seals) {
		check(munmap(sealed, 2 * PAGE) < 0 && errno == EPERM, "sealed", "it can be unmapped");
		check(mprotect(sealed, 2 * PAGE, rw) < 0 && errno == EPERM, "sealed protection",
		      "it can be changed");
	}
	if (drop != MAP_FAILED) {
		mapping_of(drop, &m);
		check(strstr(m.flags, " dp") && (page_is_zero(drop) || page_is(drop, 5, 0)), "droppable",
		      "flags%s", m.flags);
	}
	if (mdwe) {
		check_equal("MDWE", prctl(PR_GET_MDWE, 0, 0, 0, 0), 1);
		check(mmap(NULL, PAGE, rw | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED,
		      "MDWE in force", "memory can be mapped writable and executable");
	}
	finish();
}
