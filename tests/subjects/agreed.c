/*
 * Threads that write to all of their memory all the time, and agree on it: each write takes the next number of one
 * sequence, and adds to one sum of all memory what it changes there. Memory of two moments breaks that for good: the
 * pages hold other numbers than were taken, or another sum than was noted.
 * Usage: agreed [MIB=8] [THREADS=4] [STILL_MIB=0, that nobody writes to]
 */
#include "mem.h"

#include <pthread.h>
#include <stdatomic.h>

#define MOST 16
#define WORDS (PAGE / sizeof(uint64_t))

/* What all threads agree on, on a page of its own. */
static struct {
	_Atomic uint64_t sequence, sum;
} *agreed;

/* What one thread has, in a mapping of its own; `last` are the numbers that its pages have. */
struct part {
	uint64_t *start, *last, taken;
	size_t pages, at;
	bool torn;
};

static struct part *parts[MOST];
static size_t count;

/* Other bits at another place count differently. */
static uint64_t sum_of(const struct part *part, size_t page)
{
	const uint64_t *words = part->start + page * WORDS;
	uint64_t sum = 0;

	for (size_t i = 0; i < WORDS; i++)
		sum += words[i] * (2 * (uint64_t)(uintptr_t)(words + i) + 1);
	return sum;
}

static bool holds_last(const struct part *part, size_t page)
{
	return page_is((const char *)(part->start + page * WORDS), part->last[page], page);
}

static void write_next(struct part *part)
{
	size_t page = part->at;

	part->torn |= !holds_last(part, page);
	uint64_t number = atomic_fetch_add(&agreed->sequence, 1) + 1, before = sum_of(part, page);
	fill_page((char *)(part->start + page * WORDS), number, page);
	part->last[page] = number;
	part->taken++;
	atomic_fetch_add(&agreed->sum, sum_of(part, page) - before);
	part->at = (page + 1) % part->pages;
}

static void *writer(void *arg)
{
	while (!term_requested)
		write_next(arg);
	return NULL;
}

static int by_number(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return (a > b) - (a < b);
}

/* Each number is on one page at the most, and on none is one that was never taken. */
static bool are_of_sequence(size_t pages)
{
	uint64_t *numbers = malloc(pages * sizeof(*numbers));
	size_t n = 0;
	bool good = true;

	for (size_t i = 0; i < count; i++)
		for (size_t page = 0; page < parts[i]->pages; page++)
			numbers[n++] = parts[i]->last[page];
	qsort(numbers, n, sizeof(*numbers), by_number);
	for (size_t i = 1; i < n; i++)
		good &= numbers[i] > numbers[i - 1];
	good &= numbers[n - 1] <= agreed->sequence;
	free(numbers);
	return good;
}

int main(int argc, char **argv)
{
	size_t pages = (atol(arg(argc, argv, 1, "8")) << 20) / PAGE;
	size_t still_size = atol(arg(argc, argv, 3, "0")) << 20;
	char *still = NULL;
	int rw = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	pthread_t threads[MOST];

	count = atol(arg(argc, argv, 2, "4"));
	subject_init();
	agreed = (void *)map(NULL, PAGE, rw, flags, -1, 0);
	if (still_size) {
		still = map(NULL, still_size, rw, flags, -1, 0);
		fill_pages(still, still_size, 3);
	}
	for (size_t i = 0; i < count; i++) {
		struct part *part = parts[i] = (void *)map(NULL, PAGE, rw, flags, -1, 0);

		part->pages = pages / count;
		part->start = (void *)map(NULL, part->pages * PAGE, rw, flags, -1, 0);
		part->last = (void *)map(NULL, part->pages * sizeof(*part->last), rw, flags, -1, 0);
		/* Each page is one that a fork has copied when it is written to. */
		if (madvise(part->start, part->pages * PAGE, MADV_NOHUGEPAGE) && errno != EINVAL)
			die("MADV_NOHUGEPAGE");
		for (size_t page = 0; page < part->pages; page++) {
			fill_page((char *)(part->start + page * WORDS), 0, page);
			agreed->sum += sum_of(part, page);
		}
		for (size_t page = 0; page < part->pages; page++)
			write_next(part);
	}
	for (size_t i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, writer, parts[i]))
			die("pthread_create");
	fact("pages", "%zu", pages / count * count);
	ready();
	wait_for_term();
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);

	uint64_t sum = 0, taken = 0;
	bool whole = true;
	for (size_t i = 0; i < count; i++) {
		whole &= !parts[i]->torn;
		taken += parts[i]->taken;
		for (size_t page = 0; page < parts[i]->pages; page++) {
			whole &= holds_last(parts[i], page);
			sum += sum_of(parts[i], page);
		}
	}
	check(whole, "pages hold their numbers", "one does not");
	check(are_of_sequence(pages), "each number is there once", "one is there twice, or was never taken");
	check_equal("numbers that were taken", taken, agreed->sequence);
	check_equal("sum of all memory", sum, agreed->sum);
	if (still_size)
		check_pages("what nobody writes to", still, still_size, 3);
	finish();
}
