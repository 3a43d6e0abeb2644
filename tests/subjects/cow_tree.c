/*
 * Tasks that have most of their private memory in common, as fork left it. Usage: cow_tree HOW [PAGES=2048]
 *
 *   idle      a task and three children that do nothing
 *   left      the same, and the task has given the memory up
 *   own       the same, each of whom has written a part of its own
 *   grand     a child and its child, each with more than the one before
 *   adopted   two whose parent has written all of it and ended
 *   program   a child that has become another program, which has two children
 *   huge      huge pages
 *   zeros     every second page was read and never written: what is in common there is the zero page
 *   kept      it has been kept from children that came later (MADV_DONTFORK), and is wiped in them
 */
#include "mem.h"

#include <sys/prctl.h>

#define HUGE (2UL << 20)

static char *memory, *more[3];
static size_t size;
static pid_t children[4];
static int count;
static int *standing;
static bool zeros;

/* Pages that were written, and between them such that were only read. */
static char *with_zeros(uint64_t seed)
{
	char *start = map(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	/* A huge page would be one that was written. */
	madvise(start, size, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < size; at += 2 * PAGE) {
		fill_page(start + at, seed, at);
		if (!page_is_zero(start + at + PAGE))
			die("a new page");
	}
	return start;
}

static bool check_memory(const char *name, const char *start, uint64_t seed)
{
	if (!zeros)
		return check_pages(name, start, size, seed);
	for (size_t at = 0; at < size; at += 2 * PAGE)
		if (!page_is(start + at, seed, at) || !page_is_zero(start + at + PAGE))
			return check(false, name, "page %zu or the next has changed", at / PAGE);
	return check(true, name, "-");
}

/* A child waits until it is asked, and is right if the memory is what the seed made of it. */
static void child_of(const char *name, char *start, uint64_t seed)
{
	__atomic_add_fetch(standing, 1, __ATOMIC_SEQ_CST);
	wait_for_term();
	check_memory(name, start, seed);
	child_finish();
}

static void await_standing(int wanted)
{
	while (__atomic_load_n(standing, __ATOMIC_SEQ_CST) < wanted)
		sleep_ms(2);
}

static char *filled(uint64_t seed)
{
	char *start = map(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	fill_pages(start, size, seed);
	return start;
}

static void bear_idle(int wanted)
{
	for (int i = 0; i < wanted; i++)
		if ((children[count++] = fork_child()) == 0)
			child_of("child", memory, 1);
	await_standing(wanted);
}

/* Everybody writes a part of its own, and has the rest. */
static void own(int index)
{
	size_t part = size / 8;

	fill_pages(memory + index * part, part, 10 + index);
	__atomic_add_fetch(standing, 1, __ATOMIC_SEQ_CST);
	if (index == 0) {
		await_standing(4);
		ready();
	}
	wait_for_term();
	for (int i = 0; i < 8; i++)
		for (size_t at = 0; at < part; at += PAGE)
			if (!page_is(memory + i * part + at, i == index ? 10 + i : 1, i == index ? at : i * part + at))
				check(false, "parts", "task %d: page %zu of part %d", index, at / PAGE, i);
	if (index)
		child_finish();
}

static void grand(int level)
{
	more[level] = filled(20 + level);
	if (level < 2) {
		children[0] = fork_child();
		if (children[0] == 0)
			return grand(level + 1);
	}
	__atomic_add_fetch(standing, 1, __ATOMIC_SEQ_CST);
	if (level == 0) {
		await_standing(3);
		ready();
	}
	wait_for_term();
	check_pages("memory", memory, size, 1);
	for (int i = 0; i <= level; i++)
		check_pages("more", more[i], size, 20 + i);
	if (level < 2)
		end_child("child", children[0]);
	if (level)
		child_finish();
}

static void adopted(void)
{
	pid_t *pids = (pid_t *)map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t between = fork_child();

	if (between == 0) {
		fill_pages(memory, size, 2);
		for (int i = 0; i < 2; i++)
			if ((children[i] = fork_child()) == 0)
				child_of("adopted", memory, 2);
			else
				pids[i] = children[i];
		await_standing(2);
		_exit(0);
	}
	waitpid(between, NULL, 0);
	children[count++] = pids[0];
	children[count++] = pids[1];
}

static void program(char **argv)
{
	char number[24];

	snprintf(number, sizeof(number), "%d", open("standing", O_RDWR | O_CREAT, 0600));
	ftruncate(atoi(number), PAGE);
	if ((children[count++] = fork_child()) == 0)
		execl(argv[0], argv[0], "exec", argv[2] ? argv[2] : "2048", number, NULL);
	standing = (int *)map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(number), 0);
	children[count++] = fork_child();
	if (children[1] == 0)
		child_of("child", memory, 1);
	await_standing(4);
}

int main(int argc, char **argv)
{
	const char *how = arg(argc, argv, 1, "idle");

	size = atol(arg(argc, argv, 2, "2048")) * PAGE;
	zeros = !strcmp(how, "zeros");
	subject_init();
	if (!strcmp(how, "exec"))
		standing = (int *)map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[3]), 0);
	else
		standing = (int *)map(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!strcmp(how, "huge")) {
		char *room = map(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memory = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));
		if (madvise(memory, size, MADV_HUGEPAGE))
			unsupported("this kernel has no transparent huge pages");
		fill_pages(memory, size, 1);
	} else
		memory = zeros ? with_zeros(1) : filled(1);

	if (!strcmp(how, "own")) {
		for (int i = 1; i < 4; i++)
			if ((children[count++] = fork_child()) == 0)
				own(i);
		own(0);
	} else if (!strcmp(how, "grand")) {
		grand(0);
	} else if (!strcmp(how, "exec")) {
		bear_idle(2);
		__atomic_add_fetch(standing, 1, __ATOMIC_SEQ_CST);
		wait_for_term();
		check_pages("program", memory, size, 1);
		for (int i = 0; i < count; i++)
			end_child("child of the program", children[i]);
		child_finish();
	} else {
		if (!strcmp(how, "adopted"))
			adopted();
		else if (!strcmp(how, "program"))
			program(argv);
		else
			bear_idle(3);
		if (!strcmp(how, "left"))
			munmap(memory, size);
		if (!strcmp(how, "kept") && madvise(memory, size / 2, MADV_DONTFORK))
			die("madvise");
		if (!strcmp(how, "kept") && madvise(memory + size / 2, size / 2, MADV_WIPEONFORK))
			die("madvise");
		ready();
		wait_for_term();
		if (strcmp(how, "left"))
			check_memory("memory", memory, 1);
	}
	for (int i = 0; i < count; i++)
		end_child("child", children[i]);
	finish();
}
