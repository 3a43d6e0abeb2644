/*
 * locks: of flock(2), of processes and of open files, with ranges, inherited ones, on other things than files; and
 * two children that wait for one. Each sees the same lines in its fdinfo afterwards, and nobody else can take them.
 */
#include "files.h"

#include <sys/file.h>
#include <sys/mman.h>

#define FAR (1ll << 62)

/* The `lock:` lines of all descriptors up to 40, without the inode (a pipe and a
 * deleted file are made anew) and, but for POSIX locks, the process: it may have closed the file since.
 */
static void look(char *text, size_t size)
{
	size_t used = 0;

	for (int fd = 3; fd < 40; fd++) {
		char path[64], line[256];
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		FILE *file = fopen(path, "r");
		while (file && fgets(line, sizeof(line), file))
			if (!strncmp(line, "lock:", 5)) {
				char kind[16], mode[16], start[32], end[32];
				int pid;
				sscanf(line, "lock: %*s %15s %*s %15s %d %*s %31s %31s", kind, mode, &pid, start, end);
				used += snprintf(text + used, size - used, "%d %.1s %.1s %d %s %s\n", fd, kind, mode,
						 *kind == 'P' ? pid : 0, start, end);
			}
		if (file)
			fclose(file);
	}
}

static int make(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);

	if (fd < 0)
		die("%s", name);
	return fd;
}

static int lock(int fd, int how, short type, long long start, long long len)
{
	struct flock lock = { .l_type = type, .l_start = start, .l_len = len };

	return fcntl(fd, how, &lock);
}

static void must(int result, const char *what)
{
	if (result)
		die("%s", what);
}

/* Waits for a lock, and tells by a file when it has it. */
static pid_t waiter(const char *name, bool posix)
{
	pid_t child = fork_child();

	if (child)
		return child;
	int fd = make(name);
	check_equal("waiter: gets it", posix ? lock(fd, F_SETLKW, F_WRLCK, 0, 0) : flock(fd, LOCK_EX), 0);
	wait_for_term();
	child_finish();
}

static void blocks(pid_t pid, long call)
{
	char path[64], text[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	for (int i = 0; i < 1000; i++) {
		FILE *file = fopen(path, "r");
		if (file && fgets(text, sizeof(text), file) && strtol(text, NULL, 10) == call && text[0] != 'r') {
			fclose(file);
			return;
		}
		if (file)
			fclose(file);
		sleep_ms(2);
	}
	die("a waiter does not wait: %s", text);
}

int main(void)
{
	static char before[8192], after[8192];
	struct flock found;
	int ends[2];

	subject_init();
	int ex = make("ex"), sh = make("sh"), sh2 = make("sh");
	must(flock(ex, LOCK_EX), "flock");
	must(flock(sh, LOCK_SH) || flock(sh2, LOCK_SH), "flock");
	int copy = dup(ex);

	int ranges = make("ranges"), ranges2 = make("ranges");
	must(lock(ranges, F_SETLK, F_WRLCK, 10, 20), "F_SETLK");
	must(lock(ranges2, F_SETLK, F_RDLCK, 100, 0), "F_SETLK");
	must(lock(ranges, F_SETLK, F_WRLCK, 40, 1), "F_SETLK");
	must(lock(ranges, F_SETLK, F_RDLCK, 20, 5), "F_SETLK");
	int far = make("far");
	must(lock(far, F_SETLK, F_WRLCK, FAR, 5), "F_SETLK");
	int both = make("both");
	must(lock(both, F_SETLK, F_RDLCK, 0, 10), "F_SETLK");

	int ofd = make("ofd"), ofd2 = make("ofd");
	must(lock(ofd, F_OFD_SETLK, F_WRLCK, 0, 10), "F_OFD_SETLK");
	must(lock(ofd2, F_OFD_SETLK, F_WRLCK, 10, 0), "F_OFD_SETLK");
	must(lock(ofd2, F_OFD_SETLK, F_RDLCK, 1000, 10), "F_OFD_SETLK");

	/* Two open files whose locks look the same. */
	int twin = make("twin"), twin2 = make("twin");
	must(lock(twin, F_OFD_SETLK, F_RDLCK, 0, 10) || lock(twin2, F_OFD_SETLK, F_RDLCK, 0, 10), "F_OFD_SETLK");

	int directory = open(".", O_RDONLY), memfd = memfd_create("locked", 0);
	must(flock(directory, LOCK_SH) || flock(memfd, LOCK_EX) || lock(memfd, F_SETLK, F_WRLCK, 0, 1), "other kinds");
	must(pipe(ends) || flock(ends[0], LOCK_EX), "a pipe");
	int deleted = make("deleted");
	must(unlink("deleted") || flock(deleted, LOCK_EX) || lock(deleted, F_SETLK, F_WRLCK, 0, 1), "a deleted file");

	/* The child has what the parent took and has closed since, and locks of its own. */
	int left = make("left");
	must(flock(left, LOCK_EX), "flock");
	pid_t child = fork_child();
	if (child == 0) {
		must(lock(both, F_SETLK, F_RDLCK, 0, 10), "F_SETLK");
		look(before, sizeof(before));
		wait_for_term();
		look(after, sizeof(after));
		check(!strcmp(before, after), "child: its locks", "before:\n%s\nafter:\n%s", before, after);
		int other = make("left");
		check(flock(other, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK, "child: inherited", "it is free");
		child_finish();
	}
	close(left);
	pid_t flocker = waiter("ex", false), locker = waiter("far", true);
	blocks(flocker, SYS_flock);
	blocks(locker, SYS_fcntl);
	while (lock(both, F_OFD_GETLK, F_WRLCK, 0, 1))
		sleep_ms(1);
	look(before, sizeof(before));
	ready();
	wait_for_term();

	look(after, sizeof(after));
	check(!strcmp(before, after), "locks", "before:\n%s\nafter:\n%s", before, after);
	pid_t stranger = fork_child();
	if (stranger == 0) {
		found = (struct flock){ .l_type = F_WRLCK, .l_start = 0, .l_len = 15 };
		fcntl(ranges, F_GETLK, &found);
		check(found.l_type == F_WRLCK && found.l_pid == getppid() && found.l_start == 10 && found.l_len == 10,
		      "stranger: sees whose it is", "%d %d %lld %lld", found.l_type, found.l_pid,
		      (long long)found.l_start, (long long)found.l_len);
		check(lock(far, F_SETLK, F_RDLCK, FAR + 4, 1) && errno == EAGAIN, "stranger: far", "it is free");
		check_equal("stranger: behind it", lock(far, F_SETLK, F_RDLCK, FAR + 5, 1), 0);
		int again = make("ofd");
		check(lock(again, F_OFD_SETLK, F_RDLCK, 9, 1) && errno == EAGAIN, "stranger: open file", "it is free");
		check_equal("stranger: read lock", lock(again, F_OFD_SETLK, F_RDLCK, 1000, 10), 0);
		child_finish();
	}
	end_child("a stranger", stranger);
	end_child("child", child);
	/* Unlocking through a duplicate counts. */
	must(flock(copy, LOCK_UN), "unlock");
	must(lock(far, F_SETLK, F_UNLCK, 0, 0), "unlock");
	end_child("waits in flock", flocker);
	end_child("waits in fcntl", locker);
	finish();
}
