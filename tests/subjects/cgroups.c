/*
 * Control groups: the first thread, other threads and children put themselves into groups, and must be in the same
 * ones afterwards. Usage: cgroups [WHO=FILE]..., where WHO is `self`, `thread` or `child`, and FILE the list of tasks
 * of a group, which a 0 is written to.
 */
#include "subject.h"

#include <fcntl.h>
#include <pthread.h>

#define MOST 16

struct member {
	pthread_t thread;
	pid_t pid;
	const char *file;
	volatile bool entered;
	char groups[4096];
};

static struct member self, members[MOST];
static volatile bool stop;

static void enter(const char *file)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		die("entering %s", file);
	close(fd);
}

/* All groups but roots: hierarchies may come and go, and everybody is in the root of a new one. */
static void look(char *groups, size_t size)
{
	int fd = open("/proc/thread-self/cgroup", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, groups, size - 1);
	if (n < 0)
		n = snprintf(groups, size, "errno %d", errno);
	groups[n] = 0;
	close(fd);
	char *to = groups;
	for (char *from = groups, *end; *from; from = end) {
		end = strchr(from, '\n');
		end = end ? end + 1 : from + strlen(from);
		if (end - from > 3 && !strncmp(end - 3, ":/\n", 3))
			continue;
		memmove(to, from, end - from);
		to += end - from;
	}
	*to = 0;
}

static void compare(const char *name, const struct member *member)
{
	char now[sizeof(member->groups)];
	look(now, sizeof(now));
	check(!strcmp(now, member->groups), name, "%s instead of %s", now, member->groups);
}

static void *worker(void *arg)
{
	struct member *member = arg;
	enter(member->file);
	look(member->groups, sizeof(member->groups));
	member->entered = true;
	while (!stop)
		sleep_ms(10);
	compare("thread", member);
	return NULL;
}

int main(int argc, char **argv)
{
	int n = 0;

	subject_init();
	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], "self=", 5))
			enter(argv[i] + 5);
	look(self.groups, sizeof(self.groups));
	for (int i = 1; i < argc && n < MOST; i++) {
		struct member *member = &members[n];
		if (!strncmp(argv[i], "thread=", 7)) {
			member->file = argv[i] + 7;
			if (pthread_create(&member->thread, NULL, worker, member))
				die("pthread_create");
			while (!member->entered)
				sleep_ms(1);
			n++;
		} else if (!strncmp(argv[i], "child=", 6)) {
			int ready_pipe[2];
			char c;
			if (pipe(ready_pipe))
				die("pipe");
			member->pid = fork_child();
			if (member->pid == 0) {
				enter(argv[i] + 6);
				look(member->groups, sizeof(member->groups));
				if (write(ready_pipe[1], "", 1) != 1)
					die("write");
				close(ready_pipe[0]);
				close(ready_pipe[1]);
				wait_for_term();
				compare("child", member);
				child_finish();
			}
			if (read(ready_pipe[0], &c, 1) != 1)
				die("a child");
			close(ready_pipe[0]);
			close(ready_pipe[1]);
			n++;
		}
	}
	ready();
	wait_for_term();

	compare("self", &self);
	stop = true;
	for (int i = 0; i < n; i++) {
		if (members[i].pid)
			end_child("child", members[i].pid);
		else
			pthread_join(members[i].thread, NULL);
	}
	finish();
}
