/*
 * Descriptors of processes: of itself, of a child and by that of its parent, of one that has ended and one that was
 * reaped, with flags, by dup, and one of a thread (the first).
 */
#include "files.h"

#include <poll.h>
#include <sys/pidfd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int open_pid(pid_t pid, unsigned flags)
{
	int fd = syscall(SYS_pidfd_open, pid, flags);

	if (fd < 0)
		die("pidfd_open %d", pid);
	return fd;
}

/* Which process the kernel says that it is. */
static int pid_of(int fd)
{
	char path[64], line[256];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "Pid: %d", &pid);
	if (file)
		fclose(file);
	return pid;
}

static ino_t inode_of(int fd)
{
	struct stat st = { 0 };

	fstat(fd, &st);
	return st.st_ino;
}

static bool has_ended(int fd)
{
	struct pollfd pollfd = { fd, POLLIN, 0 };

	return poll(&pollfd, 1, 0) == 1 && (pollfd.revents & POLLIN);
}

static int send_nothing(int fd)
{
	return syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) == 0 ? 0 : errno;
}

int main(void)
{
	siginfo_t info = { 0 };
	pid_t parent = getpid();

	subject_init();
	int self = open_pid(parent, 0), first = syscall(SYS_pidfd_open, parent, PIDFD_THREAD);
	pid_t gone = fork_child();
	if (gone == 0)
		child_finish();
	int reaped = open_pid(gone, O_NONBLOCK), twin = dup(reaped), again = open_pid(gone, 0);
	waitpid(gone, NULL, 0);
	pid_t other = fork_child();
	if (other == 0)
		child_finish();
	int another = open_pid(other, 0);
	waitpid(other, NULL, 0);
	/* Before Linux 6.9 all pidfds have one inode. */
	bool tells = inode_of(reaped) != inode_of(another);
	pid_t ended = fork_child();
	if (ended == 0)
		_exit(23);
	int zombie = open_pid(ended, 0);
	waitid(P_PID, ended, &info, WEXITED | WNOWAIT);
	pid_t child = fork_child();
	if (child == 0) {
		wait_for_term();
		check_equal("child: of the parent", pid_of(self), parent);
		check_equal("child: the parent lives", send_nothing(self), 0);
		child_finish();
	}
	int alive = open_pid(child, O_NONBLOCK);
	ready();
	wait_for_term();
	check_equal("of itself", pid_of(self), parent);
	check_equal("it lives", send_nothing(self), 0);
	if (first >= 0) {
		check_equal("of the first thread", pid_of(first), parent);
		check_equal("flags of a thread's", fcntl(first, F_GETFL), O_RDWR | PIDFD_THREAD);
	}
	check_equal("of the child", pid_of(alive), child);
	check_equal("flags", fcntl(alive, F_GETFL), O_RDWR | O_NONBLOCK);
	check_equal("close-on-exec", fcntl(alive, F_GETFD), FD_CLOEXEC);
	check(!has_ended(alive) && !has_ended(self), "they live", "one has ended");
	check_equal("of one that was reaped", pid_of(reaped), -1);
	check_equal("its flags", fcntl(twin, F_GETFL), O_RDWR | O_NONBLOCK);
	check_equal("it is not to be reached", send_nothing(twin), ESRCH);
	check(has_ended(reaped), "it has ended", "it lives");
	check(inode_of(again) == inode_of(reaped), "two of one", "they are of two processes");
	check((inode_of(another) != inode_of(reaped)) == tells, "two of two", "they are of one process");
	check(has_ended(another), "another has ended", "it lives");
	check_equal("flags of another", fcntl(another, F_GETFL), O_RDWR);
	check_equal("of one that has ended", pid_of(zombie), ended);
	check(has_ended(zombie), "it has ended, too", "it lives");
	info.si_status = 0;
	check(waitid(P_PIDFD, zombie, &info, WEXITED) == 0 && info.si_status == 23, "its status", "%d, errno %d",
	      info.si_status, errno);
	syscall(SYS_pidfd_send_signal, alive, SIGTERM, NULL, 0);
	end_child("child", child);
	check(has_ended(alive), "the child has ended", "it lives");
	finish();
}
