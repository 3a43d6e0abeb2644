/* A program that runs from a memfd (fexecve(3)), as installers and sandboxes start others. */
#include "mem.h"

#include <sys/sendfile.h>
#include <sys/stat.h>

extern char **environ;

int main(int argc, char **argv)
{
	char path[256], again[256];
	struct mapping m;
	struct stat stat;

	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = 0;
	if (strncmp(path, "/memfd:", 7)) {
		int self = open("/proc/self/exe", O_RDONLY), fd = memfd_create("a program", MFD_CLOEXEC);
		if (self < 0 || fd < 0 || fstat(self, &stat) || sendfile(fd, self, NULL, stat.st_size) != stat.st_size)
			die("memfd_create");
		fexecve(fd, argv, environ);
		die("fexecve");
	}
	subject_init();
	static int counter = 7;
	mapping_of(&counter, &m);
	fact("exe", "%s", path);
	fact("data", "%s", m.path);
	counter = argc + 41;
	ready();
	wait_for_term();

	n = readlink("/proc/self/exe", again, sizeof(again) - 1);
	again[n < 0 ? 0 : n] = 0;
	check(!strcmp(path, again), "executable", "%s instead of %s", again, path);
	check_equal("data", counter, argc + 41);
	struct mapping now;
	check(mapping_of(&counter, &now) && !strcmp(m.path, now.path), "mapped", "%s", now.path);
	/* What runs cannot be written to. */
	check(open("/proc/self/exe", O_WRONLY) < 0 && errno == ETXTBSY, "busy", "errno %d", errno);
	finish();
}
