/*
 * A family of tasks that come from each other by fork and that have changed what they inherited in all ways:
 * written, given back, protected, unmapped, mapped anew. Each knows what it must have, looks at it, writes all of
 * it, and looks whether it has what it wrote. Usage: mem_family SEED [PAGES=96]
 */
#include "mem.h"

#include <sys/prctl.h>

#define TASKS 12
#define MOST_PAGES 512

/* What a page holds: nothing is mapped there; what it began with; or what was written with that seed. */
enum { NOTHING = -1, FRESH = 0 };

static struct {
	int count, settled, looked, written, failed;
	struct {
		pid_t pid;
		bool ends;
		int pages[2][MOST_PAGES];
	} tasks[TASKS];
} *family;

static long n;
static char *regions[2];
static int self, file, next_value = 1;
static uint64_t state;

static long pick(long below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static int *pages_of(int region)
{
	return family->tasks[self].pages[region];
}

static void set(int region, long from, long count, int value)
{
	for (long i = from; i < from + count; i++)
		pages_of(region)[i] = value;
}

static bool mapped(int region, long from, long count)
{
	for (long i = from; i < from + count; i++)
		if (pages_of(region)[i] == NOTHING)
			return false;
	return true;
}

static void map_anew(int region, long from, long count)
{
	int flags = MAP_PRIVATE | MAP_FIXED | (region ? 0 : MAP_ANONYMOUS);

	map(regions[region] + from * PAGE, count * PAGE, PROT_READ | PROT_WRITE, flags, region ? file : -1,
	    region ? from * PAGE : 0);
	set(region, from, count, FRESH);
}

static void change(void)
{
	int region = pick(2);
	long from = pick(n), count = 1 + pick(pick(4) ? 4 : n - from);
	if (count > n - from)
		count = n - from;
	char *start = regions[region] + from * PAGE;

	switch (pick(8)) {
	case 0:
		munmap(start, count * PAGE);
		set(region, from, count, NOTHING);
		return;
	case 1:
		map_anew(region, from, count);
		return;
	default:
		if (!mapped(region, from, count))
			return;
	}
	switch (pick(8)) {
	case 0:
		if (madvise(start, count * PAGE, MADV_DONTNEED))
			die("madvise");
		set(region, from, count, FRESH);
		return;
	case 1:
		mprotect(start, count * PAGE, pick(2) ? PROT_READ : PROT_NONE);
		return;
	case 2:
		madvise(start, count * PAGE, pick(2) ? MADV_DONTDUMP : MADV_SEQUENTIAL);
		return;
	case 3:
		mprotect(start, count * PAGE, PROT_READ);
		for (long i = 0; i < count; i++)
			(void)*(volatile char *)(start + i * PAGE);
		return;
	default:
		mprotect(start, count * PAGE, PROT_READ | PROT_WRITE);
		int value = self * 1000 + next_value++;
		for (long i = 0; i < count; i++)
			fill_page(start + i * PAGE, value, (from + i) * PAGE);
		set(region, from, count, value);
	}
}

static bool is_right(int region, long i)
{
	const char *page = regions[region] + i * PAGE;
	int value = pages_of(region)[i];

	if (value == NOTHING)
		return !is_readable(page);
	if (value != FRESH)
		return page_is(page, value, i * PAGE);
	return region ? page_is(page, 7, i * PAGE) : page_is_zero(page);
}

static void look(const char *when)
{
	for (int region = 0; region < 2; region++)
		for (long i = 0; i < n; i++) {
			if (pages_of(region)[i] != NOTHING)
				mprotect(regions[region] + i * PAGE, PAGE, PROT_READ | PROT_WRITE);
			if (is_right(region, i))
				continue;
			check(false, when, "task %d: page %ld of region %d is not %d", self, i, region,
			      pages_of(region)[i]);
			__atomic_add_fetch(&family->failed, 1, __ATOMIC_SEQ_CST);
			return;
		}
}

static void write_all(void)
{
	for (int region = 0; region < 2; region++)
		for (long i = 0; i < n; i++) {
			if (pages_of(region)[i] == NOTHING)
				continue;
			fill_page(regions[region] + i * PAGE, self + 1, i * PAGE);
			pages_of(region)[i] = self + 1;
		}
}

static void await(int *count, int wanted)
{
	while (__atomic_load_n(count, __ATOMIC_SEQ_CST) < wanted)
		sleep_ms(2);
}

static void tell(int *count)
{
	__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
}

static int living(void)
{
	int count = 0;
	for (int i = 0; i < TASKS; i++)
		count += family->tasks[i].pid != 0 && !family->tasks[i].ends;
	return count;
}

/* What a task does until it is settled: changes, and bears others. */
static void live(void)
{
	for (int round = 10 + pick(30); round > 0; round--) {
		if (pick(6) || (self && !pick(3))) {
			change();
			continue;
		}
		int child = __atomic_add_fetch(&family->count, 1, __ATOMIC_SEQ_CST);
		if (child >= TASKS)
			continue;
		memcpy(family->tasks[child].pages, family->tasks[self].pages, sizeof(family->tasks[0].pages));
		uint64_t seed = state * 31 + child;
		bool ends = !pick(4);
		if (fork_child() == 0) {
			self = child;
			state = seed;
			family->tasks[self].ends = ends;
			family->tasks[self].pid = getpid();
			live();
			return;
		}
		while (__atomic_load_n(&family->tasks[child].pid, __ATOMIC_SEQ_CST) == 0)
			sleep_ms(1);
	}
}

int main(int argc, char **argv)
{
	state = 0x9e3779b97f4a7c15u * (atol(arg(argc, argv, 1, "1")) + 1);
	n = atol(arg(argc, argv, 2, "96"));
	subject_init();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	family = (void *)map(NULL, sizeof(*family), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	file = make_file("family", n, 7);
	char *room = map(NULL, (2 * n + 3) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	regions[0] = room + PAGE;
	regions[1] = room + (n + 2) * PAGE;
	map_anew(0, 0, n);
	map_anew(1, 0, n);
	family->tasks[0].pid = getpid();
	live();
	tell(&family->settled);
	if (family->tasks[self].ends)
		_exit(0);
	if (self == 0) {
		for (int i = 0, all; i < (all = family->count < TASKS ? family->count + 1 : TASKS); i++)
			await(&family->settled, all);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		fact("tasks", "%d", living());
		ready();
	}
	wait_for_term();
	int all = living();
	if (self == 0)
		for (int i = 1; i < TASKS; i++)
			if (family->tasks[i].pid && !family->tasks[i].ends)
				kill(family->tasks[i].pid, SIGTERM);
	look("memory");
	tell(&family->looked);
	await(&family->looked, all);
	write_all();
	tell(&family->written);
	await(&family->written, all);
	look("what it wrote");
	if (self)
		child_finish();
	for (int i = 1; i < all; i++)
		wait(NULL);
	check_equal("tasks that have what they must have not", family->failed, 0);
	finish();
}
