/*
 * Directories that are watched by fcntl(F_NOTIFY): for several events until that is taken back, with a signal of its
 * own; once, for one event; one whose watch has told already, and is gone; and of one open file, parent and child each
 * for something else.
 */
#include "files.h"

#include <sys/stat.h>

static void watch(int fd, unsigned long events, int signal)
{
	if (fcntl(fd, F_NOTIFY, events)) {
		if (errno == EINVAL)
			unsupported("no dnotify");
		die("F_NOTIFY");
	}
	if (fcntl(fd, F_SETSIG, signal))
		die("F_SETSIG");
}

static int directory(const char *name)
{
	int fd;

	if ((mkdir(name, 0700) && errno != EEXIST) || (fd = open(name, O_RDONLY | O_DIRECTORY)) < 0)
		die("%s", name);
	return fd;
}

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	if (fd < 0 || close(fd))
		die("%s", path);
}

/* How often a signal came, if it always told of this descriptor. */
static int came(int signal, int fd)
{
	const struct timespec now = { 0 };
	sigset_t set;
	siginfo_t info;
	int count = 0;

	sigemptyset(&set);
	sigaddset(&set, signal);
	while (sigtimedwait(&set, &info, &now) == signal) {
		check_equal("descriptor", info.si_fd, fd);
		count++;
	}
	return count;
}

int main(void)
{
	const int many = SIGRTMIN + 1, once = SIGRTMIN + 2, gone = SIGRTMIN + 3, shared = SIGRTMIN + 4;
	sigset_t set;

	subject_init();
	sigemptyset(&set);
	for (int signal = many; signal <= shared; signal++)
		sigaddset(&set, signal);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int a = directory("a"), b = directory("b"), c = directory("c"), d = directory("d");
	touch("c/file");
	watch(a, DN_CREATE | DN_ATTRIB | DN_MULTISHOT, many);
	watch(b, DN_DELETE, once);
	touch("b/file");
	touch("b/other");
	watch(c, DN_DELETE, gone);
	unlink("c/file");
	check_equal("before", came(gone, c), 1);
	watch(d, DN_CREATE, shared);
	pid_t child = fork_child();
	if (child == 0) {
		watch(d, DN_DELETE | DN_MULTISHOT, shared);
		touch("watched");
		wait_for_term();
		child_finish();
	}
	while (access("watched", F_OK))
		sleep_ms(1);
	ready();
	wait_for_term();
	touch("a/file");
	check_equal("created", came(many, a), 1);
	chmod("a/file", 0644);
	check_equal("changed", came(many, a), 1);
	touch("b/more");
	check_equal("not for what is created", came(once, b), 0);
	unlink("b/file");
	unlink("b/other");
	check_equal("deleted, told of once", came(once, b), 1);
	touch("c/again");
	unlink("c/again");
	check_equal("what has told already", came(gone, c), 0);
	touch("d/file");
	check_equal("of the parent", came(shared, d), 1);
	unlink("d/file");
	check_equal("of the child", came(shared, d), 1);
	end_child("child", child);
	touch("d/file");
	unlink("d/file");
	check_equal("of the child, which has ended", came(shared, d), 0);
	finish();
}
