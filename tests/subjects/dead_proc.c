/*
 * Files of /proc of processes that are gone: the working directory of one task, a directory that is open, a file that
 * is open and has been read in part, one by O_PATH. All of them are of nobody any more, whoever has the ids by now.
 */
#include "subject.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

static pid_t start(void)
{
	pid_t pid = fork_child();
	if (pid == 0) {
		wait_for_term();
		_exit(0);
	}
	return pid;
}

static int open_of(pid_t pid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d%s", pid, name);
	int fd = open(path, flags);
	if (fd < 0)
		die("%s", path);
	return fd;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* What the link of a descriptor, or of the working directory, says. */
static void link_of(int fd, char *text)
{
	char path[64] = "/proc/self/cwd";

	if (fd >= 0)
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t length = readlink(path, text, PATH_MAX - 1);
	text[length < 0 ? 0 : length] = 0;
}

int main(void)
{
	static char text[4][PATH_MAX], now[PATH_MAX];
	char bytes[256];
	struct stat st;

	subject_init();
	pid_t one = start(), other = start();
	int fds[4] = { open_of(one, "", O_RDONLY | O_DIRECTORY), open_of(one, "/status", O_RDONLY),
		       open_of(other, "/mountinfo", O_PATH), -1 };
	if (read(fds[1], bytes, 100) != 100)
		die("reading");
	/* The descriptor is that of the directory, and so is the working directory. */
	if (fchdir(fds[0]))
		die("fchdir");
	end(one);
	end(other);
	for (int i = 0; i < 4; i++)
		link_of(fds[i], text[i]);
	ready();
	wait_for_term();
	for (int i = 0; i < 4; i++) {
		link_of(fds[i], now);
		check(!strcmp(now, text[i]), "the link", "%s instead of %s", now, text[i]);
	}
	check(getcwd(now, sizeof(now)) == NULL && errno == ENOENT, "nobody's directory", "%s, errno %d", now, errno);
	check(openat(fds[0], "status", O_RDONLY) < 0, "nothing is in it", "there is a status");
	check_equal("position", lseek(fds[1], 0, SEEK_CUR), 100);
	lseek(fds[1], 0, SEEK_SET);
	check(read(fds[1], bytes, 100) < 0 && errno == ESRCH, "nobody's status", "errno %d", errno);
	check_equal("flags", fcntl(fds[2], F_GETFL) & O_PATH, O_PATH);
	check(fstat(fds[2], &st) == 0 && S_ISREG(st.st_mode), "by O_PATH", "mode %o, errno %d", st.st_mode, errno);
	finish();
}
