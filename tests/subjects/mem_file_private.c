/*
 * Private mappings of a file: dirty pages differ from the file, clean ones show the file, and the file
 * itself is not changed; with an offset, read-only with dirty pages below, and past the file's end.
 */
#include "mem.h"

#define PAGES 16

int main(void)
{
	subject_init();
	int fd = make_file("private.bin", PAGES, 1);
	char *p = map(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	char *at = map(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 8 * PAGE);
	char *ro = map(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4 * PAGE);
	char *past = map(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, (PAGES - 1) * PAGE);
	close(fd);

	for (int i = 0; i < PAGES; i += 3)
		fill_page(p + i * PAGE, 2, i * PAGE);
	memset(p + PAGE, 0, PAGE); /* dirty and zero, over a file page that is not */
	fill_page(at + PAGE, 3, PAGE);
	fill_page(ro, 4, 0);
	mprotect(ro, 4 * PAGE, PROT_READ);
	fact("p", "%p", (void *)p);
	ready();
	wait_for_term();

	struct mapping m;
	mapping_of(p, &m);
	int dirty = 0;
	bool good = true;
	for (int i = 0; i < PAGES; i++) {
		bool is_dirty = i % 3 == 0 || i == 1;
		dirty += is_dirty;
		if (i == 1)
			good &= page_is_zero(p + PAGE);
		else
			good &= page_is(p + i * PAGE, is_dirty ? 2 : 1, i * PAGE);
	}
	check(good, "contents", "a page changed");
	check_equal("pages of its own", m.anonymous_kb / 4, dirty);
	check(strstr(m.path, "private.bin") && m.offset == 0, "file", "%s at %#lx", m.path, m.offset);
	check(page_is(at, 1, 8 * PAGE) && page_is(at + PAGE, 3, PAGE), "with an offset", "it changed");
	mapping_of(at, &m);
	check_equal("offset", m.offset, 8 * PAGE);
	check(page_is(ro, 4, 0) && page_is(ro + PAGE, 1, 5 * PAGE), "read-only", "it changed");
	check_perms("read-only permissions", ro, "r--p");
	check(page_is(past, 1, (PAGES - 1) * PAGE) && !is_readable(past + PAGE), "past the end",
	      "the page there can be read");
	fd = open("private.bin", O_RDWR);
	char page[PAGE];
	for (int i = 0; i < PAGES; i++)
		good &= pread(fd, page, PAGE, i * PAGE) == (ssize_t)PAGE && page_is(page, 1, i * PAGE);
	check(good, "the file", "it was written to");
	/* A clean page is still the file's. */
	fill_page(page, 9, 0);
	check(pwrite(fd, page, PAGE, 5 * PAGE) == (ssize_t)PAGE && page_is(p + 5 * PAGE, 9, 0),
	      "clean pages follow the file", "page 5 does not");
	finish();
}
