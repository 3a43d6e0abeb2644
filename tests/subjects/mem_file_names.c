/*
 * Mapped files whose names maps shows alike: one with a newline, one with the four characters that stand for it there.
 */
#include "mem.h"

#include <limits.h>

static const char *const names[] = { "t\n", "t\\012", "t\\\n012 \\134", "t (deleted)" };
#define COUNT (sizeof(names) / sizeof(names[0]))

int main(void)
{
	char *at[COUNT], link[64], path[PATH_MAX], cwd[PATH_MAX], want[2 * PATH_MAX];

	subject_init();
	for (size_t i = 0; i < COUNT; i++) {
		int fd = make_file(names[i], 2, i);
		at[i] = map(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
		close(fd);
	}
	ready();
	wait_for_term();

	if (!getcwd(cwd, sizeof(cwd)))
		die("getcwd");
	for (size_t i = 0; i < COUNT; i++) {
		check_pages("contents", at[i], 2 * PAGE, i);
		snprintf(link, sizeof(link), "/proc/self/map_files/%lx-%lx", (unsigned long)at[i],
			 (unsigned long)at[i] + 2 * PAGE);
		ssize_t n = readlink(link, path, sizeof(path) - 1);
		path[n < 0 ? 0 : n] = 0;
		snprintf(want, sizeof(want), "%s/%s", cwd, names[i]);
		check(!strcmp(path, want), "name", "%zu: %s", i, path);
	}
	finish();
}
