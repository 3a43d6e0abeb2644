/*
 * A task that cannot help with its own dump: no descriptor is free (RLIMIT_NOFILE), its files may not grow
 * (RLIMIT_FSIZE), or its memory may not be read; or one that has just the room for it in its address space and data
 * (RLIMIT_AS, RLIMIT_DATA), or among what it may lock (RLIMIT_MEMLOCK), all of which its restore needs as well.
 * Usage: mem_limits nofile|fsize|unreadable|space|locked
 */
#include "mem.h"

#include <sys/resource.h>

static volatile sig_atomic_t xfsz;

static void on_xfsz(int sig)
{
	(void)sig;
	xfsz++;
}

/* What is left to the tool: its scratch memory, and a page to look at. */
#define ROOM (160 << 10)

/* A size of /proc/self/status, in bytes. */
static rlim_t size_of(const char *field)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	rlim_t size = 0;

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, field, strlen(field)))
			size = strtoul(line + strlen(field), NULL, 10) << 10;
	if (file)
		fclose(file);
	return size;
}

/* Sets a limit to what there is and a little more. */
static void limit_to(int resource, const char *field)
{
	struct rlimit limit = { size_of(field) + ROOM, size_of(field) + ROOM };

	if (setrlimit(resource, &limit))
		die("setrlimit(%d)", resource);
}

int main(int argc, char **argv)
{
	const char *what = arg(argc, argv, 1, "nofile");
	size_t len = 600 * PAGE;

	subject_init();
	signal(SIGXFSZ, on_xfsz);
	char *pages = map(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fill_pages(pages, len, 1);
	if (!strcmp(what, "nofile")) {
		struct rlimit limit = { 8, 8 };
		if (setrlimit(RLIMIT_NOFILE, &limit))
			die("setrlimit");
		while (dup(1) >= 0)
			;
	} else if (!strcmp(what, "fsize")) {
		struct rlimit limit = { 100000, 100000 };
		if (setrlimit(RLIMIT_FSIZE, &limit))
			die("setrlimit");
	} else if (!strcmp(what, "space")) {
		limit_to(RLIMIT_AS, "VmSize:");
		limit_to(RLIMIT_DATA, "VmData:");
	} else if (!strcmp(what, "locked")) {
		if (mlockall(MCL_CURRENT | MCL_FUTURE))
			die("mlockall");
		limit_to(RLIMIT_MEMLOCK, "VmLck:");
	} else {
		mprotect(pages, 200 * PAGE, PROT_NONE);
		mprotect(pages + 300 * PAGE, 100 * PAGE, PROT_NONE);
	}
	ready();
	wait_for_term();

	if (!strcmp(what, "unreadable")) {
		check_perms("no permissions", pages, "---p");
		check_perms("between", pages + 250 * PAGE, "rw-p");
		check_perms("no permissions again", pages + 350 * PAGE, "---p");
		mprotect(pages, len, PROT_READ);
	}
	check_pages("contents", pages, len, 1);
	check_equal("signals about the size of files", xfsz, 0);
	if (!strcmp(what, "nofile"))
		check(dup(1) < 0 && errno == EMFILE, "no descriptor is free", "there is one");
	finish();
}
