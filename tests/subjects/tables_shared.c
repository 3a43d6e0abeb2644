/*
 * Many tasks with one descriptor table and one view of the file system (working directory, umask), so that
 * whoever builds them at once would take each other's descriptors away; and a socket with a relative name in
 * that directory, which only they can give it. Argument: how many children.
 */
#include "files.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NUMBER 77
#define MAX 64

struct shared {
	volatile int step, seen[MAX], moved[MAX];
};

static struct shared *shared;
static char stacks[MAX][16384] __attribute__((aligned(16)));

static int child(void *argument)
{
	long index = (long)argument;
	char cwd[256];

	while (!shared->step)
		sleep_ms(2);
	shared->seen[index] = fcntl(NUMBER, F_GETFD) >= 0;
	shared->moved[index] = getcwd(cwd, sizeof(cwd)) && strstr(cwd, "/below");
	while (!term_requested)
		sleep_ms(2);
	_exit(0);
}

int main(int argc, char **argv)
{
	int count = atoi(arg(argc, argv, 1, "24"));
	struct sockaddr_un name = { .sun_family = AF_UNIX, .sun_path = "socket" };
	struct stat file;
	pid_t pids[MAX];

	subject_init();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	umask(027);
	mkdir("below", 0755);
	int server = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(server, (void *)&name, sizeof(name)) || listen(server, 1))
		die("bind");
	for (long i = 0; i < count; i++) {
		pids[i] = clone(child, stacks[i] + sizeof(stacks[i]), CLONE_FILES | CLONE_FS | SIGCHLD, (void *)i);
		if (pids[i] < 0)
			die("clone");
	}
	ready();
	wait_for_term();

	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	check(connect(client, (void *)&name, sizeof(name)) == 0, "the socket by its name", "errno %d", errno);
	check(stat("socket", &file) == 0 && (file.st_mode & 0777) == 0750, "the mode of its file", "%#o",
	      file.st_mode);
	check_equal("umask", umask(027), 027);
	if (dup2(server, NUMBER) != NUMBER || chdir("below"))
		die("dup2");
	shared->step = 1;
	for (long i = 0; i < count; i++) {
		char what[48];

		end_child("a child", pids[i]);
		snprintf(what, sizeof(what), "child %ld: one table", i);
		check(shared->seen[i], what, "it does not have descriptor %d", NUMBER);
		snprintf(what, sizeof(what), "child %ld: one working directory", i);
		check(shared->moved[i], what, "it has not moved");
	}
	finish();
}
