/*
 * Memory that is remade all the time, beside memory that stays: slots of one mapping are written to, dropped, unmapped
 * and mapped anew, moved, made unreadable and read into from a file, by several threads, and the heap grows and shrinks.
 * Each thread knows what its pages must hold, and looks before it does something to them; memory of two moments breaks
 * that. Usage: remade [STILL_MIB=16] [REMADE_MIB=4] [THREADS=2]
 */
#include "mem.h"

#include <pthread.h>
#include <sys/uio.h>

#define MOST 8
#define SLOT_PAGES 64
#define SLOT (SLOT_PAGES * PAGE)
#define HEAP_PAGES 256

/* What a page holds: nothing, what fill_page() writes for a seed, or the first page of the program's file. */
#define ZERO 0u
#define OF_FILE 1u
#define FIRST 2u

struct part {
	char *start, *spare;
	size_t slots;
	uint64_t *seeds, next, state;
	int file;
	bool torn;
	unsigned long turns;
};

static struct part parts[MOST];
static char file_page[PAGE];

static uint64_t pick(struct part *part, uint64_t below)
{
	part->state ^= part->state << 13;
	part->state ^= part->state >> 7;
	part->state ^= part->state << 17;
	return part->state % below;
}

static char *slot_at(const struct part *part, size_t slot)
{
	return part->start + slot * SLOT;
}

static bool holds(const struct part *part, size_t slot)
{
	for (size_t page = 0; page < SLOT_PAGES; page++) {
		const char *at = slot_at(part, slot) + page * PAGE;
		uint64_t seed = part->seeds[slot * SLOT_PAGES + page];

		if (seed == ZERO ? !page_is_zero(at) :
		    seed == OF_FILE ? memcmp(at, file_page, PAGE) != 0 : !page_is(at, seed, 0))
			return false;
	}
	return true;
}

static void write_some(struct part *part, size_t slot)
{
	for (int i = 0; i < 8; i++) {
		size_t page = pick(part, SLOT_PAGES);

		fill_page(slot_at(part, slot) + page * PAGE, part->next, 0);
		part->seeds[slot * SLOT_PAGES + page] = part->next++;
	}
}

/* By the kernel: from a file, and by a call that writes to another process's memory. */
static void have_written(struct part *part, size_t slot)
{
	size_t page = pick(part, SLOT_PAGES), other = pick(part, SLOT_PAGES);
	char *at = slot_at(part, slot) + page * PAGE, made[PAGE];

	if (pread(part->file, at, PAGE, 0) != PAGE)
		die("pread");
	part->seeds[slot * SLOT_PAGES + page] = OF_FILE;
	fill_page(made, part->next, 0);
	struct iovec here = { made, PAGE }, there = { slot_at(part, slot) + other * PAGE, PAGE };
	if (process_vm_writev(getpid(), &here, 1, &there, 1, 0) != PAGE)
		die("process_vm_writev");
	part->seeds[slot * SLOT_PAGES + other] = part->next++;
}

static void forget(struct part *part, size_t slot)
{
	for (size_t page = 0; page < SLOT_PAGES; page++)
		part->seeds[slot * SLOT_PAGES + page] = ZERO;
}

static void map_anew(struct part *part, size_t slot)
{
	if (munmap(slot_at(part, slot), SLOT))
		die("munmap");
	map(slot_at(part, slot), SLOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	forget(part, slot);
}

static void move(char *from, char *to)
{
	if (mremap(from, SLOT, SLOT, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		die("mremap");
}

static void exchange(struct part *part, size_t slot)
{
	size_t other = (slot + 1 + pick(part, part->slots - 1)) % part->slots;

	move(slot_at(part, slot), part->spare);
	move(slot_at(part, other), slot_at(part, slot));
	move(part->spare, slot_at(part, other));
	map(part->spare, SLOT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	for (size_t page = 0; page < SLOT_PAGES; page++) {
		uint64_t *one = &part->seeds[slot * SLOT_PAGES + page];
		uint64_t *two = &part->seeds[other * SLOT_PAGES + page], seed = *one;

		*one = *two;
		*two = seed;
	}
}

static void forbid(struct part *part, size_t slot)
{
	int prot = pick(part, 2) ? PROT_NONE : PROT_READ;

	if (mprotect(slot_at(part, slot), SLOT, prot))
		die("mprotect");
	if (prot == PROT_READ)
		part->torn |= !holds(part, slot);
	if (mprotect(slot_at(part, slot), SLOT, PROT_READ | PROT_WRITE))
		die("mprotect");
}

static void *remake(void *arg)
{
	struct part *part = arg;

	while (!term_requested && !part->torn) {
		size_t slot = pick(part, part->slots);

		part->torn |= !holds(part, slot);
		switch (pick(part, 8)) {
		case 0:
			if (madvise(slot_at(part, slot), SLOT, MADV_DONTNEED))
				die("MADV_DONTNEED");
			forget(part, slot);
			break;
		case 1:
			map_anew(part, slot);
			break;
		case 2:
			exchange(part, slot);
			break;
		case 3:
			forbid(part, slot);
			break;
		case 4:
			have_written(part, slot);
			break;
		default:
			write_some(part, slot);
		}
		part->turns++;
	}
	return NULL;
}

static bool breathes = true;
static size_t heap_pages;

/* The heap grows and shrinks, and so does the stack: in each page of the former there is its number. */
static void breathe(char *heap)
{
	volatile char deep[64 * PAGE];

	for (size_t at = 0; at < sizeof(deep); at += PAGE)
		deep[at] = at / PAGE;
	for (size_t page = 0; page < heap_pages; page++)
		breathes &= page_is(heap + page * PAGE, page + 1, 0);
	size_t wanted = (heap_pages * 5 + 7) % HEAP_PAGES;
	if (brk(heap + wanted * PAGE))
		die("brk");
	for (size_t page = heap_pages; page < wanted; page++)
		fill_page(heap + page * PAGE, page + 1, 0);
	heap_pages = wanted;
	for (size_t at = 0; at < sizeof(deep); at += PAGE)
		breathes &= deep[at] == (char)(at / PAGE);
}

int main(int argc, char **argv)
{
	size_t still_size = atol(arg(argc, argv, 1, "16")) << 20;
	size_t slots = (atol(arg(argc, argv, 2, "4")) << 20) / SLOT, count = atol(arg(argc, argv, 3, "2"));
	int rw = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	pthread_t threads[MOST];

	subject_init();
	if (count > MOST || slots / count < 2)
		die("so many threads for so little memory");
	if (pread(file, file_page, PAGE, 0) != PAGE)
		die("pread");
	char *still = map(NULL, still_size, rw, flags, -1, 0);
	char *remade = map(NULL, slots * SLOT, rw, flags, -1, 0);
	if ((madvise(still, still_size, MADV_NOHUGEPAGE) || madvise(remade, slots * SLOT, MADV_NOHUGEPAGE)) &&
	    errno != EINVAL)
		die("MADV_NOHUGEPAGE");
	fill_pages(still, still_size, 5);
	for (size_t i = 0; i < count; i++) {
		struct part *part = &parts[i];

		part->slots = slots / count;
		part->start = remade + i * part->slots * SLOT;
		part->spare = map(NULL, SLOT, PROT_NONE, flags, -1, 0);
		part->seeds = (void *)map(NULL, part->slots * SLOT_PAGES * sizeof(*part->seeds), rw, flags, -1, 0);
		part->next = FIRST + (i << 48);
		part->state = 0x9e3779b97f4a7c15u + i;
		part->file = file;
		for (size_t slot = 0; slot < part->slots; slot++)
			write_some(part, slot);
	}
	/* Not before nothing more is mapped: what one moves leaves a hole for a moment. */
	for (size_t i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, remake, &parts[i]))
			die("pthread_create");
	char *heap = (char *)(((uintptr_t)sbrk(0) + PAGE - 1) & -PAGE);
	ready();
	while (!term_requested) {
		breathe(heap);
		usleep(200);
	}
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < count; i++) {
		bool whole = !parts[i].torn;

		for (size_t slot = 0; slot < parts[i].slots; slot++)
			whole &= holds(&parts[i], slot);
		check(whole, "what is remade holds what it must", "of thread %zu, after %lu turns", i, parts[i].turns);
	}
	check(breathes, "heap and stack hold what they must", "one does not");
	check_pages("what stays", still, still_size, 5);
	finish();
}
