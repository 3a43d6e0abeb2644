/*
 * Many processes: a tree in which every process has WIDTH children until there are N, each with its own
 * pid, parent and page of memory. Usage: tree_many [N=30] [WIDTH=3]
 */
#include "mem.h"

struct shared {
	volatile int ready, right;
	volatile pid_t pids[];
};

static struct shared *shared;
static long n, width;

/* Process number `index` has the children index * width + 1 ... index * width + width. */
static void live(long index, pid_t parent)
{
	pid_t *children = calloc(width, sizeof(*children)), own = getpid();
	char *page = map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool right = true;

	fill_page(page, index, 0);
	shared->pids[index] = own;
	for (long i = 0; i < width && index * width + 1 + i < n; i++) {
		children[i] = fork_child();
		if (children[i] == 0) {
			live(index * width + 1 + i, own);
			_exit(0);
		}
	}
	__sync_fetch_and_add(&shared->ready, 1);
	if (index == 0) {
		while (shared->ready < n)
			sleep_ms(1);
		fact("processes", "%ld", n);
		ready();
	}
	wait_for_term();
	right &= getpid() == own && shared->pids[index] == own && page_is(page, index, 0);
	right &= index == 0 || getppid() == parent;
	for (long i = 0; i < width && children[i]; i++) {
		int status = -1;

		kill(children[i], SIGTERM);
		right &= waitpid(children[i], &status, 0) == children[i] && status == 0;
	}
	if (right)
		__sync_fetch_and_add(&shared->right, 1);
}

int main(int argc, char **argv)
{
	n = atol(arg(argc, argv, 1, "30"));
	width = atol(arg(argc, argv, 2, "3"));
	subject_init();
	size_t size = (sizeof(*shared) + n * sizeof(pid_t) + PAGE - 1) & ~(PAGE - 1);
	shared = (void *)map(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	live(0, getppid());
	check_equal("processes as they were", shared->right, n);
	finish();
}
