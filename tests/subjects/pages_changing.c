/*
 * Memory that changes step by step, a step for each SIGUSR1: pages written, written with what they hold, given back,
 * moved; a child that is born meanwhile and shares the rest, and changes its own; shared memory, and a memfd that ends
 * within a page; pages of a private mapping of a memfd that are given back and not touched again. Each task knows what it must have. Usage: pages_changing [PAGES=1024] [WRITTEN=8, pages a step] [alone: without the child]
 */
#include "mem.h"

#include <sys/mman.h>

#define MOST_PAGES 1048576
#define MOVED 16
#define SHARED 128
/* The memfd has so many pages and a half. */
#define HALF 64
#define COPIES 128

static volatile sig_atomic_t requested;
static int values[MOST_PAGES], shared_values[SHARED], half_values[HALF + 1];
static char *own, *moved, *places[2], *shared, *half, *copies;
static long n, written, done;
static bool alone, in_child;
static pid_t child;
static uint64_t state = 0x9e3779b97f4a7c15u;

static void on_step(int sig)
{
	(void)sig;
	requested++;
}

static long pick(long below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static void write_page(char *region, int *held, long page, int value)
{
	fill_page(region + page * PAGE, value, page * PAGE);
	held[page] = value;
}

static void fill_half(int page, int value)
{
	size_t size = page == HALF ? PAGE / 2 : PAGE;

	for (size_t i = 0; i < size; i += 8)
		*(uint64_t *)(half + page * PAGE + i) = word_at(value, page * PAGE + i);
	half_values[page] = value;
}

static void change(bool is_child)
{
	int value = 2 * done + is_child + 2;

	for (int i = 0; i < written; i++) {
		write_page(own, values, pick(n), value);
		long same = pick(n);
		if (values[same])
			write_page(own, values, same, values[same]);
	}
	long back = pick(n);
	if (madvise(own + back * PAGE, PAGE, MADV_DONTNEED))
		die("madvise");
	values[back] = 0;
	if (is_child)
		return;
	write_page(shared, shared_values, pick(SHARED), value);
	fill_half(pick(HALF), value);
	fill_half(HALF, value);
	char *to = places[moved == places[0]];
	if (mremap(moved, MOVED * PAGE, MOVED * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		die("mremap");
	moved = to;
	if (done <= COPIES && madvise(copies + (done - 1) * PAGE, PAGE, MADV_DONTNEED))
		die("madvise of a copy");
}

static void look(void)
{
	for (long i = 0; i < n; i++)
		if (values[i] ? !page_is(own + i * PAGE, values[i], i * PAGE) : !page_is_zero(own + i * PAGE)) {
			check(false, "own pages", "page %ld is not %d", i, values[i]);
			return;
		}
	check(true, "own pages", "-");
	check_pages("moved pages", moved, MOVED * PAGE, 5);
}

static void look_at_shared(void)
{
	for (int i = 0; i < SHARED; i++)
		if (!page_is(shared + i * PAGE, shared_values[i], i * PAGE))
			check(false, "shared pages", "page %d is not %d", i, shared_values[i]);
	for (int i = 0; i <= HALF; i++)
		for (size_t at = 0; at < (i == HALF ? PAGE / 2 : PAGE); at += 8)
			if (*(uint64_t *)(half + i * PAGE + at) != word_at(half_values[i], i * PAGE + at)) {
				check(false, "the memfd", "page %d is not %d", i, half_values[i]);
				return;
			}
	check(true, "the memfd", "-");
	for (int i = 0; i < COPIES; i++)
		if (i < done ? !page_is_zero(copies + i * PAGE) : !page_is(copies + i * PAGE, 7, i * PAGE)) {
			check(false, "copies of pages of a memfd", "page %d, of which %ld were given back", i, done);
			return;
		}
	check(true, "copies of pages of a memfd", "-");
}

static void live(bool is_child)
{
	while (!term_requested) {
		if (done == requested) {
			sleep_ms(2);
			continue;
		}
		done++;
		change(is_child);
		if (is_child)
			continue;
		if (child)
			kill(child, SIGUSR1);
		if (done == 2 && !alone) {
			child = fork_child();
			if (!child) {
				in_child = true;
				requested = done = 0;
				state *= 3;
				live(true);
				return;
			}
		}
		fact("step", "%ld", done);
	}
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_step, .sa_flags = SA_RESTART };
	int rw = PROT_READ | PROT_WRITE;

	n = atol(arg(argc, argv, 1, "1024"));
	written = atol(arg(argc, argv, 2, "8"));
	alone = argc > 3;
	subject_init();
	if (n > MOST_PAGES || sigaction(SIGUSR1, &act, NULL))
		die("sigaction");
	own = map(NULL, n * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	places[0] = map(NULL, 4 * MOVED * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	places[1] = places[0] + 2 * MOVED * PAGE;
	moved = map(places[0], MOVED * PAGE, rw, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	fill_pages(moved, MOVED * PAGE, 5);
	shared = map(NULL, SHARED * PAGE, rw, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fd = memfd_create("half", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, HALF * PAGE + PAGE / 2))
		die("memfd");
	half = map(NULL, (HALF + 1) * PAGE, rw, MAP_SHARED, fd, 0);
	fd = memfd_create("copied", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, COPIES * PAGE))
		die("memfd");
	copies = map(NULL, COPIES * PAGE, rw, MAP_PRIVATE, fd, 0);
	fill_pages(copies, COPIES * PAGE, 7);
	for (long i = 0; i < n; i++)
		write_page(own, values, i, 1);
	for (int i = 0; i < SHARED; i++)
		write_page(shared, shared_values, i, 1);
	for (int i = 0; i <= HALF; i++)
		fill_half(i, 1);
	ready();
	live(false);
	look();
	if (in_child)
		child_finish();
	look_at_shared();
	if (child)
		end_child("the child", child);
	finish();
}
