/* Shared mappings of a file, two of the same pages: writes show in the file and in the other one. */
#include "mem.h"

#define PAGES 8

int main(void)
{
	char page[PAGE];

	subject_init();
	int fd = make_file("shared.bin", PAGES, 1);
	char *a = map(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *b = map(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 2 * PAGE);
	int ro_fd = open("shared.bin", O_RDONLY);
	char *ro = map(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, ro_fd, 0);
	close(fd);
	close(ro_fd);
	fill_page(a, 2, 0);
	fill_page(b, 3, 0);
	ready();
	while (!term_requested) {
		(*(volatile uint64_t *)(a + 7 * PAGE))++;
		sleep_ms(1);
	}
	uint64_t counter = *(volatile uint64_t *)(a + 7 * PAGE);
	check(page_is(a, 2, 0) && page_is(a + PAGE, 1, PAGE) && page_is(a + 2 * PAGE, 3, 0), "contents",
	      "a page changed");
	check_perms("permissions", a, "rw-s");
	check_perms("permissions of the read-only one", ro, "r--s");
	fill_page(b + PAGE, 4, 0);
	check(page_is(a + 3 * PAGE, 4, 0) && page_is(ro + 3 * PAGE, 4, 0), "shared with each other",
	      "a write through one does not show in the other");
	fd = open("shared.bin", O_RDWR);
	check(pread(fd, page, PAGE, 3 * PAGE) == (ssize_t)PAGE && page_is(page, 4, 0),
	      "shared with the file", "a write does not show there");
	check(pread(fd, page, 8, 7 * PAGE) == 8 && *(uint64_t *)page == counter, "counter",
	      "%lu in the file, %lu in memory", *(uint64_t *)page, counter);
	check(mprotect(ro, PAGE, PROT_READ | PROT_WRITE) == -1 && errno == EACCES, "read-only for ever",
	      "a mapping of a file open for reading can be made writable");
	finish();
}
