/* eventfd: counters, large ones, semaphore mode, flags; one shared with a child. */
#include "files.h"

#include <sys/eventfd.h>

static uint64_t take(int fd)
{
	uint64_t value = 0;

	return read_now(fd, &value, 8) == 8 ? value : 0;
}

int main(void)
{
	uint64_t most = 0xfffffffffffffffe;

	subject_init();
	int zero = eventfd(0, EFD_CLOEXEC), some = eventfd(12345, EFD_NONBLOCK), large = eventfd(0, 0);
	int semaphore = eventfd(3, EFD_SEMAPHORE), shared = eventfd(0, 0);
	if (write(large, &most, 8) != 8)
		die("write");
	pid_t child = fork_child();
	if (child == 0) {
		wait_for_term();
		uint64_t add = 40;
		check(write(shared, &add, 8) == 8, "child: adds", "errno %d", errno);
		child_finish();
	}
	ready();
	wait_for_term();
	check_equal("close-on-exec", fcntl(zero, F_GETFD), FD_CLOEXEC);
	check_equal("flags", fcntl(some, F_GETFL), O_RDWR | O_NONBLOCK);
	check_equal("flags without", fcntl(zero, F_GETFL), O_RDWR);
	check_equal("zero", take(zero), 0);
	check_equal("some", take(some), 12345);
	check(take(large) == most, "the largest", "another value");
	for (int i = 0; i < 3; i++)
		check_equal("semaphore", take(semaphore), 1);
	check_equal("semaphore is down", take(semaphore), 0);
	uint64_t two = 2;
	if (write(shared, &two, 8) != 8)
		die("write");
	end_child("child", child);
	check_equal("shared with the child", take(shared), 42);
	finish();
}
