/*
 * Open files and descriptor tables shared between tasks: an opening shared through fork (its position
 * is one), the same number for different files in parent and child, a child with the very same table
 * (CLONE_FILES), and with the very same working directory and umask (CLONE_FS).
 */
#include "files.h"

#include <sched.h>
#include <sys/mman.h>

struct shared {
	volatile int step, table_fd, child_fd_right, fs_right;
};

static struct shared *shared;
static char stack[65536] __attribute__((aligned(16)));
static int position_fd, own_fd;

static void await_step(int step)
{
	for (int i = 0; i < 5000 && shared->step < step; i++)
		sleep_ms(1);
}

/* Has the parent's table and file system view: what it opens and changes shows there. */
static int sharing_child(void *unused)
{
	char cwd[256];

	(void)unused;
	while (!term_requested)
		sleep_ms(2);
	await_step(1);
	shared->table_fd = open("by the child", O_RDWR | O_CREAT, 0600);
	shared->child_fd_right = write(shared->table_fd, "child", 5) == 5;
	/* The parent has changed into "below" after SIGTERM. */
	shared->fs_right = getcwd(cwd, sizeof(cwd)) && strstr(cwd, "/below");
	umask(0123);
	shared->step = 2;
	await_step(3);
	_exit(0);
}

int main(void)
{
	char text[16] = "";

	subject_init();
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	mkdir("below", 0755);
	umask(022);
	position_fd = open("position", O_RDWR | O_CREAT, 0600);
	own_fd = open("parent only", O_RDWR | O_CREAT, 0600);
	if (write(position_fd, "0123456789", 10) != 10 || write(own_fd, "P", 1) != 1)
		die("write");
	lseek(position_fd, 3, SEEK_SET);

	pid_t forked = fork_child();
	if (forked == 0) {
		/* The same number, another file; and a descriptor that the parent has not. */
		int mine = open("child only", O_RDWR | O_CREAT, 0600);
		dup2(mine, own_fd);
		fcntl(position_fd, F_SETFD, FD_CLOEXEC);
		int extra = dup2(position_fd, 77);
		if (write(mine, "C", 1) != 1)
			die("write");
		wait_for_term();
		check_equal("child: close-on-exec is its own", fcntl(position_fd, F_GETFD), FD_CLOEXEC);
		check(pread(own_fd, text, 1, 0) == 1 && text[0] == 'C', "child: its own file", "%s", text);
		check_equal("child: position", lseek(extra, 0, SEEK_CUR), 3);
		check(read(extra, text, 2) == 2 && !strncmp(text, "34", 2), "child: reads on", "%s", text);
		child_finish();
	}
	pid_t sharing = clone(sharing_child, stack + sizeof(stack), CLONE_FILES | CLONE_FS | SIGCHLD, NULL);
	if (sharing < 0)
		die("clone");
	fact("forked", "%d", forked);
	fact("sharing", "%d", sharing);
	sleep_ms(20);
	ready();
	wait_for_term();

	check_equal("position before", lseek(position_fd, 0, SEEK_CUR), 3);
	end_child("forked child", forked);
	check_equal("position moved by the child", lseek(position_fd, 0, SEEK_CUR), 5);
	check_equal("close-on-exec", fcntl(position_fd, F_GETFD), 0);
	check(fcntl(77, F_GETFD) == -1, "the child's descriptor", "it is here too");
	check(pread(own_fd, text, 1, 0) == 1 && text[0] == 'P', "own file", "%c", text[0]);
	if (chdir("below"))
		die("chdir");
	kill(sharing, SIGTERM);
	shared->step = 1;
	await_step(2);
	check_equal("the child that shares wrote", shared->child_fd_right, 1);
	memset(text, 0, sizeof(text));
	check(pread(shared->table_fd, text, 5, 0) == 5 && !strcmp(text, "child"), "one descriptor table",
	      "descriptor %d: errno %d", shared->table_fd, errno);
	check(shared->fs_right, "one working directory", "the child does not see the change");
	check_equal("one umask", umask(0), 0123);
	shared->step = 3;
	end_child("child that shares", sharing);
	finish();
}
