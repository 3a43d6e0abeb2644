/* A process that looks all the time whether its child is stopped, as nobody else tells it when it is not. */
#include "../../subjects/subject.h"

#include <fcntl.h>

static char state_of(int fd)
{
	char text[512] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		die("pread");
	char *end = strrchr(text, ')');
	return end ? end[2] : '?';
}

int main(void)
{
	char path[64], state;
	int status, fd;

	subject_init();
	pid_t child = fork_child();
	if (child == 0)
		for (;;)
			pause();
	kill(child, SIGSTOP);
	if (waitpid(child, &status, WUNTRACED) != child || !WIFSTOPPED(status))
		die("waitpid");
	ready();
	do {
		/* Opened anew each time: that of a restored process is another file. */
		snprintf(path, sizeof(path), "/proc/%d/stat", child);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		state = state_of(fd);
		close(fd);
	} while (state == 'T' && !term_requested);
	check(state == 'T', "stopped", "it is in state %c", state);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	finish();
}
